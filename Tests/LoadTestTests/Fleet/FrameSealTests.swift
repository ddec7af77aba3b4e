// SPDX-License-Identifier: Apache-2.0

import LoadTesting
import RoostIO
import Testing

@Suite struct FrameSealTests {
    private static let messages: [[UInt8]] = [[], [1], Array(repeating: 7, count: 300), [1]]

    private static func ends() throws -> (coordinator: SessionSeals, agent: SessionSeals) {
        let token = try RunToken("0123456789abcdef")
        return (token.seals(of: .coordinator, "a", "b"), token.seals(of: .agent, "a", "b"))
    }

    @Test("what one end has sealed the other opens, both ways")
    func roundTrip() throws {
        var (coordinator, agent) = try Self.ends()
        for message in Self.messages {
            #expect(try agent.receiving.open(coordinator.sending.seal(message)) == message)
            #expect(try coordinator.receiving.open(agent.sending.seal(message)) == message)
        }
    }

    @Test("a tag is HMAC-SHA-256 (RFC 2104) of the message's number and the message, with a key of the greeting")
    func tags() throws {
        var seal = try Self.ends().coordinator.sending
        let tags = [[0x78], [0x78]].map { seal.seal($0).dropFirst() }
        let expected = [
            "c1d85dea55e4228b61375c0b3cd61487b9f6ece055dd043128481499f1d0264e",
            "949b1ee6b025b0ccd5309f1aab86d3464fe291898abb50417d020f99e2cdb626",
        ]
        for (tag, expected) in zip(tags, expected) {
            #expect(tag.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() == expected)
        }
    }

    @Test("a message with another bit, or cut off, is noticed")
    func changed() throws {
        let (coordinator, agent) = try Self.ends()
        var sending = coordinator.sending
        let sealed = sending.seal([1, 2, 3])
        for bit in 0..<sealed.count * 8 {
            var changed = sealed
            changed[bit / 8] ^= 1 << UInt8(bit % 8)
            var receiving = agent.receiving
            #expect(throws: WireError.forged) { try receiving.open(changed) }
        }
        for count in 0..<sealed.count {
            var receiving = agent.receiving
            #expect(throws: WireError.forged) { try receiving.open(Array(sealed.prefix(count))) }
            receiving = agent.receiving
            #expect(throws: WireError.forged) { try receiving.open(Array(sealed.suffix(count))) }
        }
    }

    @Test("a message that is repeated, left out, sent back or of another greeting is noticed")
    func misplaced() throws {
        let (coordinator, agent) = try Self.ends()
        var sending = coordinator.sending
        let first = sending.seal([1])
        let second = sending.seal([1])
        var receiving = agent.receiving
        #expect(try receiving.open(first) == [1])
        #expect(throws: WireError.forged, "repeated") { try receiving.open(first) }
        receiving = agent.receiving
        #expect(throws: WireError.forged, "left out") { try receiving.open(second) }
        receiving = coordinator.receiving
        #expect(throws: WireError.forged, "sent back") { try receiving.open(first) }
        for (token, nonce) in [("0123456789abcdef", "c"), ("0123456789abcdeg", "b")] {
            receiving = try RunToken(token).seals(of: .agent, "a", nonce).receiving
            #expect(throws: WireError.forged, "\(token) \(nonce)") { try receiving.open(first) }
        }
    }

    @Test("a channel that trusts seals what it sends, and takes nothing that is not sealed")
    func channel() async throws {
        let (coordinator, agent) = try Self.ends()
        let (first, second) = ChannelPair.sockets()
        let asking = Channel(OwnedDescriptor(adopting: first))
        let asked = Channel(OwnedDescriptor(adopting: second))
        asking.trust(coordinator)
        asked.trust(agent)
        for request in [WorkerRequest.clock, .status, .stop(timeoutSeconds: 1)] {
            try await asking.send(request, timeoutSeconds: 60)
            #expect(try await asked.receive(WorkerRequest.self, timeoutSeconds: 60) == request)
        }
        try await asking.sendRaw(FrameReader.frame(WireCodec.encode(WorkerRequest.status)), timeoutSeconds: 60)
        await #expect(throws: WireError.forged) {
            try await asked.receive(WorkerRequest.self, timeoutSeconds: 60)
        }
    }
}
