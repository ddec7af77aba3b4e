// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestTLS
import RoostWebSocket

/// A `RawClient` that compresses the messages it sends, and inflates those that come so (RFC 7692).
final class DeflateClient {
    let raw: RawClient
    private let deflater = Deflater(windowBits: 15, level: 6, memoryLevel: 8)
    private let inflater = Inflater(windowBits: 15)
    private let keepsOwnContext: Bool
    private let keepsServerContext: Bool

    init(
        _ server: RoostServer, _ path: String = "/", offer: String = "permessage-deflate",
        receiveBuffer: CInt? = nil, tls: SecureOptions? = nil
    ) throws {
        raw = try RawClient(
            server, path, headers: ["Sec-WebSocket-Extensions: \(offer)"], receiveBuffer: receiveBuffer, tls: tls)
        guard let answer = raw.header("Sec-WebSocket-Extensions") else { throw ClientError.refused(raw.status) }
        keepsOwnContext = !answer.contains("client_no_context_takeover")
        keepsServerContext = !answer.contains("server_no_context_takeover")
    }

    /// As this client sends it. Where context is kept, what is compressed must be sent, in that order.
    func compressed(_ frame: Frame) -> Frame {
        guard frame.opcode < 8 else { return frame }
        deflater.begin()
        for start in stride(from: 0, to: frame.payload.count, by: Deflater.pieceByteCountMax) {
            let piece = frame.payload[start..<min(start + Deflater.pieceByteCountMax, frame.payload.count)]
            piece.withUnsafeBytes { deflater.append($0) }
        }
        let payload = Array(deflater.finish(keepsContext: keepsOwnContext))
        return Frame(opcode: frame.opcode, payload: payload, isCompressed: true)
    }

    func send(_ frames: [Frame]) throws { try raw.send(frames.flatMap { compressed($0).encoded }) }
    func send(_ frames: Frame...) throws { try send(frames) }
    func send(_ text: String) throws { try send(.text(text)) }

    /// The next frame, its payload inflated; `isCompressed` says whether it had to be.
    func receive() throws -> Frame {
        var frame = try raw.receive()
        if frame.isCompressed { frame.payload = try inflated(frame.payload) }
        return frame
    }

    private func inflated(_ payload: [UInt8]) throws -> [UInt8] {
        var text: [UInt8] = []
        inflater.begin(limit: 1 << 28)
        defer { inflater.finish(keepsContext: keepsServerContext) }
        var room = [UInt8](repeating: 0, count: 1 << 16)
        var consumed = 0
        while true {
            let step = payload[consumed...].withUnsafeBytes { bytes in
                room.withUnsafeMutableBytes { inflater.inflate(bytes, isEnd: true, into: $0) }
            }
            switch step {
            case .needsInput: throw ClientError.ended
            case .needsOutput(let consumedByteCount, let byteCount):
                consumed += consumedByteCount
                text += room[..<byteCount]
            case .end(let byteCount): return text + room[..<byteCount]
            case .failure: throw ClientError.ended
            }
        }
    }

    func ask(_ command: String) throws -> String {
        try send(command)
        return try receive().string
    }

    func texts(_ count: Int) throws -> [String] { try (0..<count).map { _ in try receive().string } }
}

/// Text of which much comes again, different for each `seed`.
func prose(_ byteCount: Int, seed: UInt64 = 1) -> String {
    var generator = SeededGenerator(seed: seed)
    var text = ""
    text.reserveCapacity(byteCount + 64)
    while text.utf8.count < byteCount {
        let id = UInt32.random(in: 0...99_999, using: &generator)
        text += #"{"id":\#(id),"user":"u\#(id % 97)","online":\#(id % 2 == 0)},"#
    }
    return String(text.prefix(byteCount))
}
