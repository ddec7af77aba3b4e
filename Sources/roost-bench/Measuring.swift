// SPDX-License-Identifier: Apache-2.0

internal import Dispatch
internal import Glibc
internal import RoostRuntime
internal import Synchronization

/// Runs `body` as a process of a runtime with one scheduler, or so many, and waits until it ends.
func onOneScheduler<Message: Sendable>(
    receiving type: Message.Type, schedulers: Int = 1,
    _ body: @escaping @Sendable (borrowing ProcessContext<Message>) throws -> Void
) throws {
    var configuration = RuntimeConfiguration()
    configuration.schedulerCount = schedulers
    let runtime = try Runtime(configuration)
    let end = DispatchSemaphore(value: 0)
    let failure = Mutex<ExitReason?>(nil)
    runtime.whenEnded(runtime.spawn(receiving: type, body).pid) { _, reason in
        if !reason.isNormal { failure.withLock { $0 = reason } }
        end.signal()
    }
    end.wait()
    if let reason = failure.withLock({ $0 }) { throw BenchError(description: "the measuring process \(reason)") }
}

struct BenchError: Error, CustomStringConvertible { let description: String }

/// Nanoseconds that each of `count` operations takes in `body`.
func nanosecondsEach(_ count: Int, _ body: () throws -> Void) rethrows -> Double {
    let duration = try ContinuousClock().measure(body)
    return duration / .nanoseconds(1) / Double(count)
}

/// Bytes of this program in memory. (proc(5), `statm`: the second number, in pages.)
func residentByteCount() -> Int {
    guard let file = unsafe fopen("/proc/self/statm", "r") else { return 0 }
    defer { unsafe _ = fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    unsafe _ = line.withUnsafeMutableBufferPointer { unsafe fgets($0.baseAddress, 128, file) }
    let text = String(decoding: line.map(UInt8.init(bitPattern:)), as: UTF8.self)
    let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
    return pages * Int(getpagesize())
}

/// Prints one figure.
func report(_ kind: String, count: Int, nanosecondsEach: Double, bytesEach: Double? = nil) {
    func rounded(_ value: Double) -> Double { (value * 10).rounded() / 10 }
    let bytes = bytesEach.map { ",\"bytes_each\":\(rounded($0))" } ?? ""
    let time = "\"ns_each\":\(rounded(nanosecondsEach))"
    print("{\"runtime\":\"roost\",\"kind\":\"\(kind)\",\"count\":\(count),\(time)\(bytes)}")
}
