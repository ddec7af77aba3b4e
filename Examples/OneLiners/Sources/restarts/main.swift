// A supervisor that starts a crashing child again, three times; then it gives up, as its intensity says.
import RoostRuntime

let runtime = try Runtime()
let supervisor = try await Supervisor.start(
    in: runtime, intensity: RestartIntensity(3, in: .seconds(5)),
    children: [
        ChildSpecification("flaky") { process in
            print("flaky runs as \(process.pid)")
            fatalError("flaky indeed")
        }
    ],
    onReport: { if $0.isFailure, $0.event != .crash { print($0) } })
_ = await runtime.exitReason(of: supervisor.pid)
