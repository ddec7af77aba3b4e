// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// What a process held when it was over its heap limit, and who asked for the memory that was too much.
public final class HeapOverflow: Sendable, CustomStringConvertible {
    /// All that was held for the process, in bytes; where one block was larger than the limit, with that block.
    public let byteCount: Int
    /// Its `heapByteCountMax`, in bytes.
    public let limit: Int
    /// Of `byteCount`, what the runtime held for it: its messages, its parked stack, a connection's buffers.
    public let heldByteCount: Int
    /// Return addresses of the allocation that went over the limit, innermost first; empty where it was not an
    /// allocation of its own code, but messages that others sent.
    package let frames: [UInt]

    package init(byteCount: Int, limit: Int, heldByteCount: Int = 0, frames: [UInt] = []) {
        self.byteCount = byteCount
        self.limit = limit
        self.heldByteCount = heldByteCount
        self.frames = frames
    }

    /// Who asked for the memory that was too much, in the turn or job that this thread has just run; empty where it was
    /// nobody.
    static func framesOfThread() -> [UInt] {
        unsafe withUnsafeMutablePointer(to: &roost_thread_current().pointee) { thread in
            guard unsafe thread.pointee.over_heap_limit != 0 else { return [] }
            let count = unsafe Int(thread.pointee.growth_frame_count)
            return unsafe withUnsafeBytes(of: &thread.pointee.growth_frames) { bytes in
                unsafe Array(bytes.bindMemory(to: UInt.self).prefix(count))
            }
        }
    }

    /// The innermost function of the process's own code in which it grew over the limit: not one of the standard
    /// library. nil where it grew by messages. Looks names up in the symbol table: microseconds a frame.
    public var function: String? {
        let own = frames.first { !Symbol.isLibrary($0 - 1) }
        return (own ?? frames.first).map { Symbol(at: $0 - 1).name }
    }

    /// The function of each frame, innermost first, the standard library's included.
    public var backtrace: [String] {
        frames.map { address in
            let symbol = Symbol(at: address - 1)
            return "\(symbol.name) + \(symbol.offset)"
        }
    }

    public var description: String {
        let place = function.map { ", over the limit in \($0)" } ?? ""
        return """
            held \(byteCount) bytes, of which \(heldByteCount) in messages, stack and buffers\(place); \
            raise its max-heap-size (now \(limit)) to allow it
            """
    }
}
