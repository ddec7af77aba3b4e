import Roost

struct Counter: ConnectionHandler {
    var count = 0

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) {
        count += 1
        switch String(copying: text) {
        case "crash": fatalError("as you wish")  // this client starts again at 1, on the same socket
        case "loop": while true {}  // the others do not notice
        case let text: connection.send("\(count): \(text)")
        }
    }
}

let address = CommandLine.arguments.dropFirst().first ?? "127.0.0.1:9001"
try await RoostServer.serve(on: address, routes: [Route("/count") { _ in Counter() }])
