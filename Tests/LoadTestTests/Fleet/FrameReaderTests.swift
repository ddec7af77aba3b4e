// SPDX-License-Identifier: Apache-2.0

import LoadTesting
import Testing

@Suite struct FrameReaderTests {
    @Test("messages come out whole, however the stream is split")
    func splits() throws {
        let messages: [[UInt8]] = [[], [1], Array(repeating: 7, count: 300), [2, 3]]
        let stream = messages.flatMap { FrameReader.frame($0) }
        for split in 0...stream.count {
            for secondSplit in split...stream.count {
                var reader = FrameReader(byteCountMax: 300)
                var read: [[UInt8]] = []
                for piece in [stream[..<split], stream[split..<secondSplit], stream[secondSplit...]] {
                    reader.append(piece)
                    while let message = try reader.next() { read.append(message) }
                }
                guard read == messages else {
                    Issue.record("split at \(split) and \(secondSplit): \(read.map(\.count))")
                    return
                }
            }
        }
    }

    @Test("a message is refused by its length alone", arguments: [(99, false), (100, false), (101, true)])
    func limit(byteCount: Int, isRefused: Bool) throws {
        var reader = FrameReader(byteCountMax: 100)
        reader.append(FrameReader.frame(Array(repeating: 0, count: byteCount)).prefix(4))
        if isRefused {
            #expect(throws: WireError.tooLong(byteCount: byteCount, limit: 100)) { try reader.next() }
        } else {
            #expect(try reader.next() == nil)
        }
    }

    @Test("what is no message of ours is refused, whatever its bytes are")
    func garbage() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SeededGenerator(seed: seed)
        for _ in 0..<200 {
            let bytes = (0..<Int.random(in: 0...400, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            #expect(throws: WireError.unreadable, "seed \(seed)") {
                try WireCodec.decode(bytes) as WorkerRequest
            }
            #expect(throws: WireError.unreadable, "seed \(seed)") {
                try WireCodec.decode(bytes) as WorkerAnswer
            }
        }
    }
}
