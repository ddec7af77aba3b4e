// A receive that takes everything: what it did not expect is logged, and does not pile up in the mailbox.
import RoostRuntime

let runtime = try Runtime()
let greeter = runtime.spawn(receiving: (any Sendable).self) { process in
    while true {
        switch try process.receive() {
        case let name as String: print("Hello, \(name)!")
        case is Void: return
        case let unexpected: print("unexpected message to \(process.pid): \(unexpected)")
        }
    }
}
greeter.send("Ada")
greeter.send(42)
greeter.send("Joe")
greeter.send(())
_ = await runtime.exitReason(of: greeter.pid)
