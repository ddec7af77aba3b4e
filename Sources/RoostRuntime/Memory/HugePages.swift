// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// Memory straight from the kernel, in huge pages where it has them: a million processes touch so many pages that
/// faults on small ones would be half the cost of starting them. (Linux, "Transparent Hugepage Support".)
enum HugePages {
    static let byteCount = 2 << 20

    /// Fresh addresses, aligned to a huge page; memory comes with the first access. Without addresses the program ends.
    static func map(byteCount: Int, _ protection: CInt) -> UnsafeMutableRawPointer {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let map = unsafe mmap(nil, byteCount + Self.byteCount, protection, flags, -1, 0)
        guard unsafe map != MAP_FAILED, let map = unsafe map else {
            fatalError("cannot map \(byteCount) bytes: errno \(errno); is RLIMIT_AS or vm.max_map_count too low?")
        }
        let start = unsafe map.alignedUp(toMultipleOf: Self.byteCount)
        let before = unsafe start - map
        if before > 0 { unsafe _ = munmap(map, before) }
        unsafe _ = munmap(start + byteCount, Self.byteCount - before)
        return unsafe start
    }

    /// Asks for huge pages. A kernel that has none goes on with small ones.
    static func advise(_ start: UnsafeMutableRawPointer, byteCount: Int) {
        unsafe _ = madvise(start, byteCount, MADV_HUGEPAGE)
    }
}
