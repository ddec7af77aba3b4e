// SPDX-License-Identifier: Apache-2.0

import CSSL
import Glibc
import Testing

@testable import RoostIO

struct TransferTests {
    private static func randomBytes(_ count: Int, _ generator: inout SeededGenerator) -> [UInt8] {
        (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// Sends as a connection does: what is not taken is offered again, from another address and with more behind it.
    private final class Sender {
        private let session: TLSSession
        private var queue: [UInt8] = []
        private var held: [UInt8] = []
        private(set) var stallCount = 0
        private(set) var holdCount = 0
        init(_ session: TLSSession) { self.session = session }
        var isEmpty: Bool { queue.isEmpty }

        func send(_ bytes: [UInt8]) {
            queue += bytes
            while !queue.isEmpty {
                #expect(queue.starts(with: held))
                // An allocation of its own, so that its address is another each time.
                let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: queue.count + stallCount % 7, alignment: 1)
                defer { copy.deallocate() }
                let offered = UnsafeMutableRawBufferPointer(rebasing: copy.dropFirst(stallCount % 7))
                offered.copyBytes(from: queue)
                let outcome = session.send(UnsafeRawBufferPointer(offered))
                switch outcome {
                case .bytes(let count):
                    #expect(count > 0 && count <= queue.count)
                    queue.removeFirst(count)
                    held = Array(queue.prefix(session.heldByteCount))
                    if session.heldByteCount > 0 { holdCount += 1 }
                    if count < offered.count { return }
                case .wouldBlock:
                    stallCount += 1
                    #expect(session.heldByteCount > 0 && session.heldByteCount <= queue.count)
                    held = Array(queue.prefix(session.heldByteCount))
                    return
                case .wantsRead, .failed:
                    Issue.record("\(outcome)")
                    return
                }
            }
        }
    }

    @Test(
        "What is sent arrives, byte for byte, however little the kernel takes and the peer reads", arguments: 0..<6,
        TLSVersion.allCases)
    func arrives(seed: Int, version: TLSVersion) throws {
        var generator = SeededGenerator(UInt64(seed))
        let pair = try Pair.established(version: version)
        pair.sockets.shrinkBuffer(of: pair.sockets.server)
        let sender = Sender(pair.server)
        let sent = Self.randomBytes(120_000, &generator)
        var received: [UInt8] = []
        var offset = 0
        var rounds = 0
        while received.count < sent.count, rounds < 1_000_000 {
            rounds += 1
            let count = min(sent.count - offset, Int.random(in: 0...40_000, using: &generator))
            sender.send(Array(sent[offset..<(offset + count)]))
            offset += count
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                var piece = [UInt8](repeating: 0, count: Int.random(in: 1...20_000, using: &generator))
                guard case .bytes(let got, _) = piece.withUnsafeMutableBytes({ pair.client.receive(into: $0) }) else {
                    break
                }
                received += piece[..<got]
            }
        }
        #expect(received == sent, "seed \(seed)")
        #expect(sender.stallCount + sender.holdCount > 0, "seed \(seed): the kernel took everything")
        #expect(pair.server.heldByteCount == 0)
    }

    @Test("Both ends send at once, and neither waits for the other", arguments: 0..<6)
    func bothWays(seed: Int) throws {
        var generator = SeededGenerator(UInt64(seed))
        let pair = try Pair.established()
        for end in [pair.sockets.server, pair.sockets.client] { pair.sockets.shrinkBuffer(of: end) }
        let senders = [Sender(pair.server), Sender(pair.client)]
        let sent = (0..<2).map { _ in Self.randomBytes(200_000, &generator) }
        for (sender, bytes) in zip(senders, sent) { sender.send(bytes) }
        var received: [[UInt8]] = [[], []]
        for _ in 0..<100_000 where received[0].count + received[1].count < 400_000 {
            received[1] += pair.client.receiveAll(pieceByteCount: Int.random(in: 1...9_000, using: &generator)).bytes
            received[0] += pair.server.receiveAll(pieceByteCount: Int.random(in: 1...9_000, using: &generator)).bytes
            for sender in senders { sender.send([]) }
        }
        #expect(received[1] == sent[0] && received[0] == sent[1], "seed \(seed)")
    }

    @Test("A record is taken in as it arrives, split at every byte")
    func splitRecords() throws {
        let pair = try Pair.established()
        let sent = Array("split at every byte".utf8)
        #expect(pair.client.send(sent) == .bytes(sent.count))
        var record = [UInt8](repeating: 0, count: 4096)
        let count = recv(pair.sockets.server, &record, record.count, 0)
        for byte in record[..<(count - 1)] {
            #expect(Glibc.send(pair.sockets.client, [byte], 1, 0) == 1)
            #expect(pair.server.receiveAll().end == .wouldBlock)
        }
        #expect(Glibc.send(pair.sockets.client, [record[count - 1]], 1, 0) == 1)
        #expect(pair.server.receiveAll().bytes == sent)
    }

    @Test(
        "What has looked at the socket knows that it is empty; what was filled from a record does not",
        arguments: [1, 9, 10, 11])
    func saysWhenDrained(pieceByteCount: Int) throws {
        let pair = try Pair.established()
        #expect(pair.client.send([UInt8](repeating: 7, count: 10)) == .bytes(10))
        var piece = [UInt8](repeating: 0, count: pieceByteCount)
        var left = 10
        while left > 0 {
            let outcome = piece.withUnsafeMutableBytes { pair.server.receive(into: $0) }
            let count = min(left, pieceByteCount)
            left -= count
            #expect(outcome == .bytes(count, isDrained: left == 0 && pieceByteCount > 1))
        }
        #expect(pair.server.receiveAll().end == .wouldBlock)
    }

    @Test("RFC 8446 §6.1: an end with close_notify is told from one without", arguments: TLSVersion.allCases)
    func tellsTruncation(version: TLSVersion) throws {
        for isClean in [true, false] {
            let pair = try Pair.established(version: version)
            #expect(pair.client.receiveAll().bytes == [])  // the ticket: what is unread at a close makes a reset of it
            #expect(pair.client.send([1, 2]) == .bytes(2))
            if isClean { #expect(pair.client.closeNotify()) }
            pair.sockets.closeClient()
            // The bytes first, then the end, as often as it is asked for.
            var piece: [UInt8] = [0, 0, 0]
            let first = piece.withUnsafeMutableBytes { pair.server.receive(into: $0) }
            guard case .bytes(2, _) = first else {
                Issue.record("\(first)")
                return
            }
            #expect(pair.server.receiveAll().end == .endOfStream(isClean: isClean))
            #expect(pair.server.receiveAll().end == .endOfStream(isClean: isClean))
        }
    }

    @Test("A record that is cut off is a truncation")
    func tellsCutRecord() throws {
        let pair = try Pair.established()
        #expect(pair.client.receiveAll().bytes == [])
        #expect(pair.client.send([1, 2, 3]) == .bytes(3))
        var record = [UInt8](repeating: 0, count: 4096)
        let count = recv(pair.sockets.server, &record, record.count, 0)
        #expect(Glibc.send(pair.sockets.client, record, count - 1, 0) == count - 1)
        pair.sockets.closeClient()
        #expect(pair.server.receiveAll().end == .endOfStream(isClean: false))
    }

    @Test(
        "RFC 8446 §6.1: we still send after the peer's close_notify, and still read after ours",
        arguments: [true, false])
    func halfCloses(isClean: Bool) throws {
        let pair = try Pair.established()
        if isClean { pair.client.closeNotify() } else { shutdown(pair.sockets.client, CInt(SHUT_WR)) }
        #expect(pair.server.receiveAll().end == .endOfStream(isClean: isClean))
        #expect(pair.server.send([4, 5, 6]) == .bytes(3))
        #expect(pair.client.receiveAll().bytes == [4, 5, 6])
        #expect(pair.server.closeNotify())
        #expect(pair.server.closeNotify())
        #expect(pair.client.receiveAll().end == .endOfStream(isClean: true))
    }

    @Test("Nothing is said at the end while bytes are held: they belong before it")
    func closesAfterHeldBytes() throws {
        let pair = try Pair.established()
        pair.sockets.shrinkBuffer(of: pair.sockets.server)
        let sent = [UInt8](repeating: 9, count: 200_000)
        var offset = 0
        func sendMore() -> Bool {
            guard offset < sent.count else { return false }
            guard case .bytes(let count) = pair.server.send(Array(sent[offset...])) else { return false }
            offset += count
            return true
        }
        while sendMore() {}
        #expect(pair.server.heldByteCount > 0)
        #expect(pair.server.closeNotify())
        var received: [UInt8] = []
        while received.count < sent.count {
            received += pair.client.receiveAll().bytes
            while sendMore() {}
        }
        #expect(pair.server.closeNotify())
        #expect(pair.client.receiveAll().end == .endOfStream(isClean: true))
        #expect(received == sent)
    }

    @Test("A peer that is gone ends a session, without SIGPIPE", arguments: [true, false])
    func peerIsGone(hasReadFirst: Bool) throws {
        let pair = try Pair.established()
        // Unread bytes at its end: the socket is reset.
        #expect(pair.server.send([1]) == .bytes(1))
        pair.sockets.closeClient()
        if hasReadFirst {
            let end = pair.server.receiveAll().end
            guard case .failed(let failure) = end else {
                Issue.record("\(end)")
                return
            }
            #expect(failure.cause == .inputOutput && failure.description.contains("reset"), "\(failure)")
        }
        let outcome = pair.server.send([UInt8](repeating: 0, count: 100_000))
        guard case .failed(let failure) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        #expect(failure.cause == .inputOutput, "\(failure)")
        #expect(pair.server.send([1]) == .failed(failure))
        #expect(pair.server.closeNotify())
    }

    @Test("A byte that is changed on its way ends the session, and the peer is told (RFC 8446 §5.2)")
    func refusesDamage() throws {
        let pair = try Pair.established()
        #expect(pair.client.send([1, 2, 3]) == .bytes(3))
        var record = [UInt8](repeating: 0, count: 4096)
        let count = recv(pair.sockets.server, &record, record.count, 0)
        record[count - 1] ^= 1
        #expect(Glibc.send(pair.sockets.client, record, count, 0) == count)
        guard case .failed(let failure) = pair.server.receiveAll().end else {
            Issue.record("the record was taken")
            return
        }
        #expect(failure.cause == .other && failure.description.contains("bad record mac"), "\(failure)")
        guard case .failed(let told) = pair.client.receiveAll().end else {
            Issue.record("the client was not told")
            return
        }
        #expect(told.cause == .peerAlert && told.description.contains("alert 20"), "\(told)")
    }
}
