// 100,000 processes that sleep ten seconds. `swift run sleepers 1000 1` for fewer and shorter.
import RoostRuntime

let arguments = CommandLine.arguments.dropFirst().compactMap { Int($0) }
let (count, seconds) = (arguments.first ?? 100_000, arguments.dropFirst().first ?? 10)

let runtime = try Runtime()
let owner = runtime.spawn { process in
    for _ in 0..<count { _ = process.spawnMonitor { try $0.sleep(.seconds(seconds)) } }
    for _ in 0..<count { _ = try process.receiveAny() }
    print("\(count) processes slept \(seconds) s")
}
_ = await runtime.exitReason(of: owner)
