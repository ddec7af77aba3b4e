// SPDX-License-Identifier: Apache-2.0

import Glibc
import Roost
import RoostTestTLS

struct Frame: Equatable, CustomStringConvertible {
    var opcode: UInt8
    var payload: [UInt8]
    /// RSV1, which says that the payload is compressed (RFC 7692 §6).
    var isCompressed = false
    /// False for a frame that others follow in the same message.
    var isLast = true

    static func text(_ text: String) -> Frame { Frame(opcode: 1, payload: Array(text.utf8)) }
    static func binary(_ bytes: [UInt8]) -> Frame { Frame(opcode: 2, payload: bytes) }
    static func ping(_ text: String) -> Frame { Frame(opcode: 9, payload: Array(text.utf8)) }
    static func pong(_ text: String) -> Frame { Frame(opcode: 10, payload: Array(text.utf8)) }
    static func close(_ code: UInt16) -> Frame { Frame(opcode: 8, payload: [UInt8(code >> 8), UInt8(code & 255)]) }

    var closeCode: Int? { opcode == 8 && payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : nil }
    var string: String { String(decoding: payload, as: UTF8.self) }
    var description: String { "frame \(opcode) of \(payload.count): \(string.prefix(60))" }

    /// As a client sends it, masked.
    var encoded: [UInt8] {
        let key: [UInt8] = [0x11, 0x22, 0x33, 0x44]
        var bytes: [UInt8] = [(isLast ? 0x80 : 0) | (isCompressed ? 0x40 : 0) | opcode]
        switch payload.count {
        case ..<126: bytes.append(0x80 | UInt8(payload.count))
        case ..<65_536: bytes += [0xFE, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default: bytes += [0xFF] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        bytes += key
        bytes.reserveCapacity(bytes.count + payload.count)
        for (index, byte) in payload.enumerated() { bytes.append(byte ^ key[index & 3]) }
        return bytes
    }
}

enum ClientError: Error { case ended, timedOut, refused(Int), failed(Int32) }

/// A WebSocket client over a blocking socket that sees every frame. Every read has a deadline.
final class RawClient {
    private let descriptor: CInt
    private(set) var secure: SecureStream?
    private var buffer: [UInt8] = []
    private var head = ""
    private(set) var status = 0

    /// Connects, and shakes hands where `tls` says so.
    private init(connecting server: RoostServer, receiveBuffer: CInt?, tls: SecureOptions?) throws {
        let address = server.addresses[0]
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var timeout = timeval(tv_sec: 120, tv_usec: 0)  // far beyond what anything takes on a busy machine
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<CInt>.size))
        }
        var one: CInt = 1
        setsockopt(descriptor, CInt(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<CInt>.size))
        var target = sockaddr_in()
        target.sin_family = sa_family_t(AF_INET)
        target.sin_port = UInt16(address.port!).bigEndian
        target.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let code = withUnsafePointer(to: &target) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard code == 0 else { throw ClientError.failed(errno) }
        if let tls { secure = try SecureStream(descriptor, tls) }
    }

    /// A connection on which nothing has been said yet.
    static func silent(_ server: RoostServer, tls: SecureOptions? = nil) throws -> RawClient {
        try RawClient(connecting: server, receiveBuffer: nil, tls: tls)
    }

    /// Connects and sends the upgrade request, with `early` behind it in the same segment.
    convenience init(
        _ server: RoostServer, _ path: String = "/", headers: [String] = [], early: [Frame] = [],
        receiveBuffer: CInt? = nil, tls: SecureOptions? = nil, mustOpen: Bool = true
    ) throws {
        try self.init(connecting: server, receiveBuffer: receiveBuffer, tls: tls)
        let lines = [
            "GET \(path) HTTP/1.1", "Host: localhost", "Upgrade: websocket", "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ]
        try send(Array(((lines + headers).joined(separator: "\r\n") + "\r\n\r\n").utf8) + early.flatMap(\.encoded))
        try readHead()
        if mustOpen, status != 101 { throw ClientError.refused(status) }
    }

    deinit { Glibc.close(descriptor) }

    /// Reads the head of a response: `status`, `header`.
    private func readHead() throws {
        while true {
            if let end = buffer.firstRange(of: Array("\r\n\r\n".utf8)) {
                head = String(decoding: buffer[..<end.lowerBound], as: UTF8.self)
                buffer.removeSubrange(..<end.upperBound)
                break
            }
            try fill()
        }
        status = Int(head.split(separator: " ")[1])!
    }

    /// Reads a whole response (RFC 9112 §6); one to HEAD has no body, whatever it says. Its body.
    @discardableResult
    func response(isHead: Bool = false) throws -> String {
        try readHead()
        let byteCount = isHead ? 0 : Int(header("content-length") ?? "0")!
        while buffer.count < byteCount { try fill() }
        defer { buffer.removeFirst(byteCount) }
        return String(decoding: buffer[..<byteCount], as: UTF8.self)
    }

    /// Sends bytes that are no frames.
    func send(raw text: String) throws { try send(Array(text.utf8)) }

    func header(_ name: String) -> String? { headers(name).first }

    /// All values of a field, in order.
    func headers(_ name: String) -> [String] {
        head.split(separator: "\r\n").filter { $0.lowercased().hasPrefix(name.lowercased() + ":") }.map { line in
            String(line.dropFirst(name.count + 1).drop { $0 == " " })
        }
    }

    /// All that comes until the server ends the stream.
    func rest() throws -> [UInt8] {
        do {
            while true { try fill() }
        } catch ClientError.ended {}
        defer { buffer = [] }
        return buffer
    }

    private func fill() throws {
        let count = withUnsafeTemporaryAllocation(byteCount: 65_536, alignment: 8) { room in
            let count =
                secure?.receive(into: room) ?? recv(descriptor, room.baseAddress, room.count, 0)
            if count > 0 { buffer += room[..<count] }
            return count
        }
        if count == 0 || count < 0 && errno == ECONNRESET { throw ClientError.ended }
        if count < 0 { throw errno == EAGAIN ? ClientError.timedOut : ClientError.failed(errno) }
    }

    func send(_ bytes: [UInt8]) throws {
        var offset = 0
        while offset < bytes.count {
            let count = bytes[offset...].withUnsafeBytes {
                secure?.send($0) ?? Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw ClientError.failed(errno) }
            offset += count
        }
    }

    func send(_ frames: Frame...) throws { try send(frames.flatMap(\.encoded)) }
    func send(_ text: String) throws { try send(.text(text)) }

    /// Sends as much as the kernel and the server take without waiting; how much that was.
    func sendUntilBlocked(_ bytes: [UInt8], atMost: Int) -> Int {
        var sent = 0
        var idle = 0
        while sent < atMost, idle < 200 {
            let offset = sent % bytes.count
            let count = bytes[offset...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL) | CInt(MSG_DONTWAIT))
            }
            if count > 0 {
                sent += count
                idle = 0
            } else {
                idle += 1
                usleep(1_000)  // the server may be about to take more
            }
        }
        return sent
    }

    func receive() throws -> Frame {
        while true {
            if let frame = takeFrame() { return frame }
            try fill()
        }
    }

    private var consumed = 0

    private func takeFrame() -> Frame? {
        let bytes = buffer[(buffer.startIndex + consumed)...]
        guard bytes.count >= 2 else { return nil }
        let start = bytes.startIndex
        var size = Int(bytes[start + 1])
        var header = 2
        if size == 126 {
            guard bytes.count >= 4 else { return nil }
            size = Int(bytes[start + 2]) << 8 | Int(bytes[start + 3])
            header = 4
        } else if size == 127 {
            guard bytes.count >= 10 else { return nil }
            size = bytes[(start + 2)..<(start + 10)].reduce(0) { $0 << 8 | Int($1) }
            header = 10
        }
        guard bytes.count >= header + size else { return nil }
        let frame = Frame(
            opcode: bytes[start] & 15, payload: Array(bytes[(start + header)..<(start + header + size)]),
            isCompressed: bytes[start] & 0x40 != 0, isLast: bytes[start] & 0x80 != 0)
        consumed += header + size
        if consumed > 1 << 20 || consumed == buffer.count {
            buffer.removeFirst(consumed)
            consumed = 0
        }
        return frame
    }

    /// The texts that come next.
    func texts(_ count: Int) throws -> [String] { try (0..<count).map { _ in try receive().string } }

    /// Sends `command` and returns the next text.
    func ask(_ command: String) throws -> String {
        try send(command)
        return try receive().string
    }

    /// The code of the close frame that comes; frames before it are passed over.
    func closeCode() throws -> Int? {
        while true {
            let frame = try receive()
            if frame.opcode == 8 { return frame.closeCode }
        }
    }

    /// True when the server ends the stream now, with nothing before.
    func isEnded() -> Bool {
        do {
            try fill()
            return false
        } catch ClientError.ended {
            return true
        } catch {
            return false
        }
    }

    func endWriting() { shutdown(descriptor, CInt(SHUT_WR)) }

    func reset() {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        // Closed by deinit; the reset goes out now.
        shutdown(descriptor, CInt(SHUT_RDWR))
    }
}
