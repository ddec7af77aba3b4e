// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// What the kernel says about this process (proc(5)). A figure that it does not tell is nil.
package struct ProcessFigures: Sendable, Equatable {
    package var residentByteCount: Int?
    package var virtualByteCount: Int?
    /// User and system time.
    package var cpuSeconds: Double?
    /// Since 1970.
    package var startSeconds: Double?
    package var openDescriptorCount: Int?
    package var descriptorCountMax: Int?

    package init() {}

    /// Reads a handful of small files.
    package static func current() -> ProcessFigures {
        var figures = ProcessFigures()
        if let stat = contents("/proc/self/stat") { figures.read(stat: stat, bootSeconds: bootSeconds) }
        figures.openDescriptorCount = openDescriptorCount()
        var limit = rlimit()
        if unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            figures.descriptorCountMax = Int(clamping: limit.rlim_cur)
        }
        return figures
    }

    /// Takes what is needed from the one line of /proc/self/stat.
    mutating func read(stat line: String, bootSeconds: Double) {
        // The second field is the program's name in parentheses, with any characters in it.
        guard let end = line.lastIndex(of: ")") else { return }
        let fields = line[line.index(after: end)...].split(separator: " ")
        func field(_ number: Int) -> Int? { fields.indices.contains(number - 3) ? Int(fields[number - 3]) : nil }
        let ticksPerSecond = Double(sysconf(CInt(_SC_CLK_TCK)))
        if let user = field(14), let system = field(15) { cpuSeconds = Double(user + system) / ticksPerSecond }
        if let start = field(22) { startSeconds = bootSeconds + Double(start) / ticksPerSecond }
        virtualByteCount = field(23)
        residentByteCount = field(24).map { $0 * sysconf(CInt(_SC_PAGESIZE)) }
    }

    /// When the machine was started, by today's clock: taken once, so that the start of the process stays where it is.
    private static let bootSeconds: Double = {
        var (now, sinceBoot) = (timespec(), timespec())
        unsafe _ = clock_gettime(CLOCK_REALTIME, &now)
        unsafe _ = clock_gettime(CLOCK_BOOTTIME, &sinceBoot)
        return Double(now.tv_sec - sinceBoot.tv_sec) + Double(now.tv_nsec - sinceBoot.tv_nsec) / 1e9
    }()

    /// The size that the directory says it has, since Linux 6.2: its entries may be a million.
    private static func openDescriptorCount() -> Int? {
        var status = stat()
        guard unsafe stat("/proc/self/fd", &status) == 0, status.st_size > 0 else { return nil }
        return Int(status.st_size)
    }

    /// At most 64 KiB of a file.
    private static func contents(_ path: String) -> String? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 64 << 10)
        let count = unsafe Glibc.read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
