// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// The calls that a process is in, innermost first.
public struct Backtrace: Sendable, CustomStringConvertible {
    /// Frames that are looked at; what is deeper is left out.
    static let frameCountMax = 64

    /// Return addresses, innermost first.
    let addresses: [UInt]

    init(addresses: [UInt] = []) { self.addresses = addresses }

    /// The function of each frame; without thunks, and without what the runtime needs to start and to stop a process.
    /// Looks the names up in the symbol table of the program: microseconds a frame; numbers where that was stripped.
    /// Any thread.
    public var functions: [String] {
        // A return address is after its call; the byte before it belongs to the caller.
        addresses.map { Symbol(at: $0 - 1).name }.drop(while: Self.isSwitch).filter { !Self.isFrame($0) }.map {
            // A private declaration carries the hash of its file.
            $0.replacing(/\((\S+) in _[0-9A-F]+\)/) { String($0.output.1) }
        }
    }

    /// The innermost function that is not the runtime's own: what waits, or what loops.
    public var currentFunction: String? {
        let functions = functions
        return functions.first { !Self.isRuntime($0) } ?? functions.first
    }

    /// The outermost function that is not the runtime's own: what the process was started with.
    public var initialFunction: String? { functions.last { !Self.isRuntime($0) } }

    /// A line for each function.
    public var description: String { functions.map { "at \($0)" }.joined(separator: "\n") }

    /// Whether a function only stops processes, or looks at them.
    private static func isSwitch(_ name: String) -> Bool {
        if name.hasPrefix("roost_") || name.hasPrefix("switch_with_accesses") || name.hasPrefix("__sanitizer") {
            return true
        }
        return ["Backtrace", "ProcessInformation", "InspectionRequest", "SchedulerRef", "ProcessRef", "Accounting"]
            .contains { name.contains("RoostRuntime.\($0).") }
    }

    /// Whether a function only leads from one to another, or from the stack's top to the code of the process.
    private static func isFrame(_ name: String) -> Bool {
        ["reabstraction thunk", "partial apply", "RoostRuntime.StraightLine.", "roost_switch_entry"]
            .contains { name.contains($0) }
    }

    /// Whether a function, by its demangled name, is the runtime's: `RoostRuntime.Type.function`, whatever the compiler
    /// has made of it, but no closure that was given to it.
    private static func isRuntime(_ name: String) -> Bool {
        // "closure #1 (…) -> … in Module.function": what counts is where it was written.
        var rest = Substring(name)
        for separator in [" in ", " of "] {
            if let end = rest.ranges(of: separator).last?.upperBound { rest = rest[end...] }
        }
        for prefix in ["static ", "merged ", "specialized "] where rest.hasPrefix(prefix) {
            rest = rest.dropFirst(prefix.count)
        }
        return rest.hasPrefix("RoostRuntime.") || rest.hasPrefix("(extension in RoostRuntime)")
    }
}

extension Backtrace {
    /// Of a process that is looked at by its scheduler's thread: the process that runs there, or one that has stopped.
    static func taken(of process: ProcessRef) -> Backtrace {
        var addresses: [UInt] = Array(repeating: 0, count: frameCountMax)
        let count = unsafe addresses.withUnsafeMutableBufferPointer { buffer -> Int in
            // Safe: the callees write at most `frameCountMax` addresses; the image is the process's own, whole, and
            // nobody else writes it while its scheduler is here.
            guard let start = buffer.baseAddress else { return 0 }
            if SchedulerRef.currentProcess == process {
                return unsafe Int(roost_walk_own_frames(start, UInt32(frameCountMax)))
            }
            guard process.block.flags.contains(.hasStack), let image = unsafe process.stackImage else { return 0 }
            guard roost_stack_per_process() else {
                return unsafe Int(
                    roost_walk_image(
                        image, UInt(bitPattern: process.block.stackPointer), process.block.stackByteCount, start,
                        UInt32(frameCountMax)))
            }
            var byteCount = 0
            let used = unsafe roost_stack_stopped(OpaquePointer(image), &byteCount)
            return unsafe Int(roost_walk_image(used, UInt(bitPattern: used), byteCount, start, UInt32(frameCountMax)))
        }
        addresses.removeLast(addresses.count - count)
        return Backtrace(addresses: addresses)
    }
}
