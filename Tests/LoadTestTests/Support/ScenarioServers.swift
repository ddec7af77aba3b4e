// SPDX-License-Identifier: Apache-2.0

import LoadTesting
import Roost

extension ScenarioFile {
    /// From text, as a file called `test.yaml`.
    init(_ text: String, _ settings: [(name: String, value: String)] = []) throws(ScenarioError) {
        try self.init(text: text, path: "test.yaml", settings: settings)
    }

    /// One group with this flow (each line a step, indented by nobody), for `url`.
    static func flow(_ url: String, clients: Int = 2, options: String = "", _ flow: String) throws -> LoadPlan {
        let steps = flow.split(separator: "\n").map { "      \($0)" }.joined(separator: "\n")
        let text = """
            url: \(url)
            clients: \(clients)
            groups:
              - name: g
                \(options.isEmpty ? "weight: 1" : options)
                flow:
            \(steps)
            """
        return try ScenarioFile(text).plan.hurried()
    }
}

extension LoadPlan {
    /// One scheduler, no warm-up; ends when no client has anything left to do.
    func hurried(seconds: Double = 30) -> LoadPlan {
        var plan = self
        plan.schedulerCount = 1
        plan.warmupSeconds = 0
        plan.durationSeconds = seconds
        return plan
    }
}

/// Answers as its path says.
struct ScriptedServer: ConnectionHandler {
    enum Kind: String, CaseIterable {
        case echo, silent, wrong, json, greeting, twice, closing, pinging, obeying
    }

    let kind: Kind
    private var held = ""

    init(kind: Kind) { self.kind = kind }

    static var routes: [Route] {
        Kind.allCases.map { kind in Route("/\(kind.rawValue)") { _ in ScriptedServer(kind: kind) } }
    }

    mutating func opened(_ connection: borrowing Connection<Never>) {
        if kind == .greeting { connection.send("welcome") }
    }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) {
        switch kind {
        case .echo: connection.send(text)
        case .silent, .greeting: break
        case .wrong: connection.send("quite\u{7} another")
        case .json:
            let echoed = String(copying: text)
            connection.send(
                #"{ "status" : "ok", "count": 12e0, "payload": {"token": "t\u002d7\n", "#
                    + #""items": [1, [2], {"a,b": true}]}, "echo": "\#(echoed)"}"#)
        case .twice:
            connection.send(text)
            connection.send(text)
        case .pinging:
            // As Socket.IO: nothing goes on before the pong.
            let message = String(copying: text)
            if message.hasPrefix("3") { return connection.send(held + message).ignored }
            held = message
            connection.send("2ping")
        case .closing: connection.close(.goingAway, reason: "enough")
        case .obeying: obey(String(copying: text), connection)
        }
    }

    /// `drop`, or the code and the reason of a close; behind `say`: after a message.
    private func obey(_ command: String, _ connection: borrowing Connection<Never>) {
        var words = command.split(separator: " ").map(String.init)
        if words.first == "say" {
            connection.send(words.removeFirst())
        }
        if words.first == "drop" { return connection.abort() }
        guard let code = words.first.flatMap(UInt16.init) else { return }
        connection.close(CloseCode(rawValue: code), reason: words.dropFirst().joined(separator: " "))
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) { connection.send(binary: bytes) }
}

/// One Phoenix channel as its V2 serializer has it: joins, heartbeats, pushes with a reply; a broadcast before each.
struct PhoenixServer: ConnectionHandler {
    private var joinReference: String?

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) {
        let message = String(copying: text)
        // Test messages have no comma within their first four elements.
        let fields = message.dropFirst().split(separator: ",", maxSplits: 4).map(String.init)
        guard message.hasPrefix("["), fields.count == 5 else {
            return connection.close(.internalError, reason: "undecodable")
        }
        let topic = fields[2]
        let isHeartbeat = topic == "\"phoenix\"" && fields[3] == "\"heartbeat\"" && fields[0] == "null"
        if fields[3] == "\"phx_join\"", fields[0] == fields[1] { joinReference = fields[0] }
        guard isHeartbeat || fields[0] == joinReference else {
            let answer = #"{"status":"error","response":{"reason":"unmatched topic"}}"#
            connection.send("[null,\(fields[1]),\(topic),\"phx_reply\",\(answer)]")
            return
        }
        if !isHeartbeat { connection.send("[null,null,\(topic),\"new_msg\",{\"body\":\"from another\"}]") }
        connection.send("[\(fields[0]),\(fields[1]),\(topic),\"phx_reply\",{\"status\":\"ok\",\"response\":{}}]")
    }
}
