// SPDX-License-Identifier: Apache-2.0

import CSSL
import Glibc
import Testing

@testable import RoostIO

struct PostHandshakeTests {
    @Test("RFC 8446 §4.6.3: keys are updated when the peer asks, and data goes on", arguments: [true, false])
    func updatesKeys(isRequested: Bool) throws {
        let pair = try Pair.established()
        for round in UInt8(0)..<20 {
            let kind = isRequested ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED
            #expect(SSL_key_update(pair.client.ssl, kind) == 1)
            #expect(pair.client.send([round]) == .bytes(1))
            #expect(pair.server.receiveAll().bytes == [round])
            #expect(pair.server.send([round, round]) == .bytes(2))
            #expect(pair.client.receiveAll().bytes == [round, round])
        }
    }

    @Test("RFC 8446 §4.6.3: a key is updated while a record of ours is half sent")
    func updatesKeysWhileHeld() throws {
        let pair = try Pair.established()
        pair.sockets.shrinkBuffer(of: pair.sockets.server)
        let sent = (0..<200_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var offset = 0
        func sendMore() {
            while offset < sent.count, case .bytes(let count) = pair.server.send(Array(sent[offset...])) {
                offset += count
            }
        }
        sendMore()
        #expect(pair.server.heldByteCount > 0)
        #expect(SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
        #expect(pair.client.send([1]) == .bytes(1))
        #expect(pair.server.receiveAll().bytes == [1])
        var received: [UInt8] = []
        for _ in 0..<10_000 where received.count < sent.count {
            received += pair.client.receiveAll().bytes
            sendMore()
        }
        #expect(received == sent)
    }

    /// A KeyUpdate on the wire in TLS 1.3: header, message and type, tag.
    private static let updateByteCount = 5 + 5 + 1 + 16

    private func send(updates count: Int, _ pair: Pair) {
        var wire: [UInt8] = []
        var record = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<count {
            #expect(SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
            #expect(SSL_do_handshake(pair.client.ssl) == 1)
            wire += record[..<recv(pair.sockets.server, &record, record.count, 0)]
        }
        // In one piece: the kernel holds few small ones.
        #expect(wire.count == count * Self.updateByteCount)
        #expect(Glibc.send(pair.sockets.client, wire, wire.count, 0) == wire.count)
    }

    @Test("A peer that only ever updates its keys is given up on")
    func refusesEndlessUpdates() throws {
        let pair = try Pair.established()
        send(updates: TLSSession.barrenByteCountMax / Self.updateByteCount + 1_000, pair)
        guard case .failed(let failure) = pair.server.receiveAll().end else {
            Issue.record("they were taken")
            return
        }
        #expect(failure.description.contains("without data"))
    }

    @Test("Many updates before data are taken")
    func acceptsSomeUpdates() throws {
        let pair = try Pair.established()
        send(updates: 1_000, pair)
        #expect(pair.client.send([1]) == .bytes(1))
        #expect(pair.server.receiveAll().bytes == [1])
    }

    @Test("Half a message of the protocol makes us wait for the rest, and then goes on")
    func halfMessage() throws {
        let pair = try Pair.established()
        // Both halves of a KeyUpdate in records of their own: only who has the keys can make them, so the second is
        // held back on the wire instead.
        #expect(SSL_key_update(pair.client.ssl, SSL_KEY_UPDATE_REQUESTED) == 1)
        #expect(SSL_do_handshake(pair.client.ssl) == 1)
        var record = [UInt8](repeating: 0, count: 4096)
        let count = recv(pair.sockets.server, &record, record.count, 0)
        #expect(Glibc.send(pair.sockets.client, record, count / 2, 0) == count / 2)
        #expect(pair.server.receiveAll().end == .wouldBlock)
        #expect(pair.server.send([1]) == .bytes(1))
        #expect(
            record[(count / 2)...].withUnsafeBytes {
                Glibc.send(pair.sockets.client, $0.baseAddress, count - count / 2, 0)
            } == count - count / 2)
        #expect(pair.server.receiveAll().end == .wouldBlock)
        #expect(pair.server.send([2]) == .bytes(1))
        #expect(pair.client.receiveAll().bytes == [1, 2])
    }

    @Test("A client that wants to renegotiate in TLS 1.2 is refused, and the session goes on or ends by its own will")
    func refusesRenegotiation() throws {
        let pair = try Pair.established(version: .tls12)
        SSL_clear_options(pair.client.ssl, Option.noRenegotiation)
        #expect(SSL_renegotiate(pair.client.ssl) == 1)
        _ = SSL_do_handshake(pair.client.ssl)
        #expect(pair.server.receiveAll().end == .wouldBlock)
        // OpenSSL's client takes the warning no_renegotiation for fatal.
        let result = SSL_do_handshake(pair.client.ssl)
        #expect(SSL_get_error(pair.client.ssl, result) == SSL_ERROR_SSL)
        #expect(OpenSSLErrors.text().contains("no renegotiation"))
        #expect(pair.server.send([1]) == .bytes(1))
    }

    @Test("RFC 6066 §4: a client may ask for small records, and what is sent arrives", arguments: TLSVersion.allCases)
    func smallRecords(version: TLSVersion) throws {
        let pair = try Pair(TLSContext(.test), TLSClientContext(.test))
        pair.limitClient(to: version)
        #expect(SSL_set_tlsext_max_fragment_length(pair.client.ssl, 1) == 1)  // 512 bytes
        #expect(pair.handshake().isDone)
        pair.sockets.shrinkBuffer(of: pair.sockets.server)
        let sent = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var offset = 0
        var received: [UInt8] = []
        var holdCount = 0
        for _ in 0..<100_000 where received.count < sent.count {
            while offset < sent.count {
                guard case .bytes(let count) = pair.server.send(Array(sent[offset...])) else {
                    holdCount += 1
                    break
                }
                offset += count
            }
            received += pair.client.receiveAll().bytes
        }
        #expect(received == sent)
        #expect(holdCount > 0)
    }

    @Test("Sessions on different threads do not disturb each other")
    func threads() async throws {
        let server = try TLSContext(.test)
        let client = try TLSClientContext(.test)
        await withTaskGroup(of: Bool.self) { group in
            for number in UInt8(0)..<4 {
                group.addTask {
                    (0..<25).allSatisfy { _ in
                        let pair = Pair(server, client)
                        guard pair.handshake().isDone else { return false }
                        let bytes = [UInt8](repeating: number, count: 10_000)
                        guard case .bytes(10_000) = pair.server.send(bytes) else { return false }
                        return pair.client.receiveAll().bytes == bytes
                    }
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }
}
