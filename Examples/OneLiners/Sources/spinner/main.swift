// A process that spins for ever, and one that prints beside it, on one scheduler.
import RoostRuntime

var configuration = RuntimeConfiguration()
configuration.schedulerCount = 1
let runtime = try Runtime(configuration)

runtime.spawn { _ in while true {} }
let printer = runtime.spawn { process in
    for number in 1...5 {
        print("still here: \(number)")
        try process.sleep(.milliseconds(100))
    }
}
_ = await runtime.exitReason(of: printer)
