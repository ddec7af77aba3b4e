// SPDX-License-Identifier: Apache-2.0

internal import Glibc
public import Roost

/// Does what the client's text says; echoes binary messages.
public struct ScriptHandler: ConnectionHandler {
    public typealias Message = String

    private let probe: Probe
    private let token: Token
    private let whenOpened: String
    private var count = 0
    private var hoard: [[UInt8]] = []

    /// `whenOpened` is a command that `opened` carries out.
    public init(_ probe: Probe, whenOpened: String = "") {
        self.probe = probe
        self.whenOpened = whenOpened
        token = Token(probe)
    }

    public mutating func opened(_ connection: borrowing Connection<String>) throws {
        probe.note("opened")
        if !whenOpened.isEmpty { try perform(whenOpened, connection) }
    }

    public mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<String>) throws {
        let line = String(copying: text)
        if line.hasPrefix("keep ") { return try keep(text, connection) }
        try perform(line, connection)
    }

    public mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<String>) throws {
        let before = checksum(bytes)
        count += 1
        if bytes.byteCount > 0, bytes.unsafeLoad(as: UInt8.self) == 0xEE {
            probe.note("waiting")
            _ = try connection.process.receive { $0 == "go" ? true : nil }
        } else if bytes.byteCount > 0, bytes.unsafeLoad(as: UInt8.self) == 0xDD {
            for _ in 0..<20_000 { count &+= 1 }  // preempted, again and again
        }
        if checksum(bytes) != before {
            connection.send("changed")
        } else {
            connection.send(binary: bytes)
        }
    }

    public mutating func receive(_ message: String, _ connection: borrowing Connection<String>) throws {
        try perform(message, connection)
    }

    public mutating func down(_ down: Down, _ connection: borrowing Connection<String>) throws {
        connection.send("down \(down.reason.label)")
    }

    public mutating func timer(_ id: Int, _ connection: borrowing Connection<String>) throws {
        connection.send("timer \(id)")
        if id == 13 { trap() }
        if id == 14 { throw Asked() }
    }

    public mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<String>) {
        let wasSent = connection.send("too late")
        probe.note("terminated \(reason.cause.rawValue) \(reason.code?.rawValue ?? 0)\(wasSent ? " and sent" : "")")
    }

    /// Looks at lent text, waits for another process, and looks again.
    private func keep(_ text: UTF8Span, _ connection: borrowing Connection<String>) throws {
        let before = checksum(text.span.bytes)
        probe.note("waiting")
        _ = try connection.process.receive { $0 == "go" ? true : nil }
        connection.send(checksum(text.span.bytes) == before ? "same" : "changed")
    }

    private mutating func perform(_ line: String, _ connection: borrowing Connection<String>) throws {
        let words = line.split(separator: " ").map(String.init)
        let number = words.count > 1 ? Int(words[1]) ?? 0 : 0
        probe.note("did \(words.first ?? "")")
        switch words.first {
        case "count":
            count += 1
            connection.send("count \(count)")
        case "throw": throw Asked()
        case "trap": trap()
        case "spin": while true {}
        case "hoard": while true { hoard.append([UInt8](repeating: 1, count: 64 << 10)) }
        case "register":
            probe.register(connection.address)
            connection.send("registered")
        case "wait":
            connection.send("waiting")
            probe.note("waiting")
            _ = try connection.process.receive { $0 == "go" ? true : nil }
            connection.send("done \(line)")
        case "sleep":
            connection.send("sleeping")
            probe.note("waiting")
            try connection.process.sleep(.milliseconds(number))
            connection.send("slept")
        case "dirty", "await":
            connection.send("working")
            probe.note("waiting")
            connection.send(try workElsewhere(words, connection))
        case "burst":
            for index in 0..<number {
                if !connection.send(binary: [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: 10_000)) {
                    probe.note("burst refused")
                }
            }
        case "blend": for index in 0..<number { connection.send(binary: blend(index)) }
        case "timer": connection.setTimer(number, after: .milliseconds(20))
        case "timers": for id in 0...number { connection.setTimer(id, after: .seconds(600)) }
        case "close":
            connection.close(CloseCode(rawValue: UInt16(number)), reason: "as asked")
            probe.note("send after close: \(connection.send("no"))")
        case "monitored":
            let pid = connection.process.spawn { _ in throw Asked() }
            _ = connection.process.monitor(pid)
        default: connection.send(line)
        }
    }

    /// Has another thread wait until the test opens the probe's gate, and traps there if it is to.
    private func workElsewhere(_ words: [String], _ connection: borrowing Connection<String>) throws -> String {
        if words[0] == "await" {
            return try connection.process.await { [probe] in
                while !probe.isOpen && !Task.isCancelled { await Task.yield() }
                probe.note(Task.isCancelled ? "cancelled" : "awaited")
                return "awaited"
            }
        }
        return try connection.process.dirty(.io) { [probe] in
            while !probe.isOpen { try Dirty.checkCancellation() }
            if words.count > 1 { fatalError("asked to trap elsewhere") }
            return "worked"
        }
    }

    private func trap() {
        let numbers = [1, 2, 3]
        count(numbers[numbers.count + opaque(0)])
    }

    @inline(never)
    private func count(_ number: Int) { probe.note("cannot be: \(number)") }
    @inline(never)
    private func opaque(_ number: Int) -> Int { probe.madeTokenCount < 0 ? 1 : number }
}

/// A sum over every byte, that depends on their order.
func checksum(_ bytes: RawSpan) -> UInt64 {
    var sum: UInt64 = 14_695_981_039_346_656_037
    for offset in bytes.byteOffsets {
        sum = (sum ^ UInt64(bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self))) &* 1_099_511_628_211
    }
    return sum
}

/// A message of 10,000 bytes, of which half stay when it is compressed; another for each index.
public func blend(_ index: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 10_000)
    var noise = UInt64(index) &* 0x9E37_79B9_7F4A_7C15 | 1
    for offset in 0..<5_000 {
        noise ^= noise << 13
        noise ^= noise >> 7
        noise ^= noise << 17
        bytes[offset] = UInt8(truncatingIfNeeded: noise >> 32)
    }
    return bytes
}

/// For plain HTTP routes that end in `/*`: does what the rest of the path says.
public func answer(_ request: HTTPRequest, _ probe: Probe) throws -> HTTPResponse {
    probe.note("asked \(request.pathRemainder)")
    switch request.pathRemainder {
    case "throw": throw Asked()
    case "trap": fatalError("asked to fail while answering")
    case "spin": while !probe.isOpen {}
    case "wait": while !probe.isOpen { usleep(1_000) }
    case "echo": return HTTPResponse(body: request.body)
    default: break
    }
    return HTTPResponse(text: "\(request.method) \(request.pathRemainder)")
}

/// For routes whose `connect` misbehaves.
public func misbehave(_ kind: String) throws {
    if kind == "throw" { throw Asked() }
    if kind == "trap" { fatalError("asked to fail while connecting") }
}
