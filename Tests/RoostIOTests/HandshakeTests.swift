// SPDX-License-Identifier: Apache-2.0

import CSSL
import Glibc
import RoostTestTLS
import Testing

@testable import RoostIO

struct HandshakeTests {
    @Test("A handshake is done in both versions, for ECDSA and RSA", arguments: TLSVersion.allCases, [false, true])
    func succeeds(version: TLSVersion, isRSA: Bool) throws {
        let certificate = isRSA ? TestCertificates.rsaServer : TestCertificates.server
        let pair = try Pair.established(TLSConfiguration(certificates: [certificate]), version: version)
        for end in [pair.server, pair.client] {
            let negotiated = end.negotiated
            #expect(negotiated.version == (version == .tls13 ? "TLSv1.3" : "TLSv1.2"))
            #expect(negotiated.serverName == "localhost")
            #expect(negotiated.applicationProtocol == "http/1.1")
            #expect(!negotiated.isResumed)
        }
        if version == .tls12 {
            #expect(pair.server.negotiated.cipher == "ECDHE-\(isRSA ? "RSA" : "ECDSA")-AES128-GCM-SHA256")
        }
        #expect(pair.client.send([1, 2, 3]) == .bytes(3))
        #expect(pair.server.receiveAll().bytes == [1, 2, 3])
    }

    @Test(
        "A server of both key types serves each client with the one that it understands", arguments: ["ECDSA", "RSA"])
    func choosesKeyType(kind: String) throws {
        let server = try TLSContext(
            TLSConfiguration(certificates: [TestCertificates.server, TestCertificates.rsaServer]))
        let pair = try Pair(server, TLSClientContext(.test))
        pair.limitClient(to: .tls12)
        SSL_set_cipher_list(pair.client.ssl, "ECDHE-\(kind)-AES256-GCM-SHA384")
        #expect(pair.handshake().isDone)
        #expect(pair.client.negotiated.cipher == "ECDHE-\(kind)-AES256-GCM-SHA384")
    }

    @Test("A client without a suite of ours is refused", arguments: ["AES128-SHA", "ECDHE-ECDSA-AES128-SHA256"])
    func refusesSuites(suite: String) throws {
        let pair = try Pair(TLSContext(.test), TLSClientContext(.test))
        pair.limitClient(to: .tls12)
        #expect(SSL_set_cipher_list(pair.client.ssl, suite) == 1)
        let outcome = pair.handshake()
        #expect(outcome.serverFailure?.cause == .noSharedCipher)
        #expect(outcome.clientFailure?.cause == .peerAlert)
    }

    @Test("RFC 8996: TLS 1.0 and 1.1 are refused, and the client is told", arguments: [TLS1_VERSION, TLS1_1_VERSION])
    func refusesOldVersions(version: CInt) throws {
        let pair = try Pair(TLSContext(.test), TLSClientContext(.test))
        let client = pair.client.ssl
        SSL_set_security_level(client, 0)
        SSL_clear_options(client, Option.noTLS10 | Option.noTLS11)
        SSL_set_cipher_list(client, "ALL:@SECLEVEL=0")
        SSL_ctrl(client, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(version), nil)
        SSL_ctrl(client, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(version), nil)
        let outcome = pair.handshake()
        #expect(outcome.serverFailure?.cause == .unsupportedVersion)
        #expect(outcome.clientFailure?.description.contains("protocol_version") == true, "\(outcome)")
    }

    @Test("A server for TLS 1.3 alone refuses TLS 1.2")
    func refusesTLS12() throws {
        let pair = try Pair(TLSContext(.test.with { $0.minimumVersion = .tls13 }), TLSClientContext(.test))
        pair.limitClient(to: .tls12)
        #expect(pair.handshake().serverFailure?.cause == .unsupportedVersion)
    }

    @Test("RFC 7301 §3.2: a client that offers protocols without http/1.1 is refused")
    func refusesOtherProtocols() throws {
        let pair = try Pair(TLSContext(.test), TLSClientContext(.test))
        let protocols: [UInt8] = [2] + Array("h2".utf8) + [8] + Array("http/1.0".utf8)
        SSL_set_alpn_protos(pair.client.ssl, protocols, CUnsignedInt(protocols.count))
        let outcome = pair.handshake()
        #expect(outcome.serverFailure?.cause == .noApplicationProtocol)
        #expect(outcome.clientFailure?.description.contains("alert 120") == true, "\(outcome)")
    }

    @Test("http/1.1 is found among others, and a client may offer nothing", arguments: [true, false])
    func acceptsHTTP(offers: Bool) throws {
        let pair = try Pair(TLSContext(.test), TLSClientContext(.test))
        let protocols: [UInt8] = offers ? [2] + Array("h2".utf8) + [8] + Array("http/1.1".utf8) : []
        SSL_set_alpn_protos(pair.client.ssl, protocols, CUnsignedInt(protocols.count))
        #expect(pair.handshake().isDone)
        #expect(pair.server.negotiated.applicationProtocol == (offers ? "http/1.1" : nil))
    }

    static let firstBytes: [(String, TLSFailure.Cause)] = [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", .plainHTTP), ("POST / HTTP/1.1\r\n\r\n", .plainHTTP),
        ("CONNECT a:1 HTTP/1.1\r\n\r\n", .plainHTTP), ("SSH-2.0-OpenSSH_9.2\r\n", .notTLS),
        ("\u{0}\u{1}\u{2}\u{3}\u{4}\u{5}\u{6}\u{7}\u{8}\u{9}", .notTLS),
    ]

    @Test("What is not TLS is told apart and ends the session", arguments: firstBytes)
    func refusesGarbage(text: String, cause: TLSFailure.Cause) throws {
        let sockets = SocketPair()
        let server = try TLSSession(server: TLSContext(.test), descriptor: sockets.server)!
        defer { server.free() }
        let bytes = Array(text.utf8)
        #expect(Glibc.send(sockets.client, bytes, bytes.count, 0) == bytes.count)
        guard case .failed(let failure) = server.handshake() else {
            Issue.record("the handshake did not fail")
            return
        }
        #expect(failure.cause == cause, "\(failure.description)")
        #expect(ERR_peek_error() == 0)
        // From here on OpenSSL is not called: the answer is the same without a look at the socket.
        #expect(server.handshake() == .failed(failure))
        #expect(server.send([1]) == .failed(failure))
        #expect(server.receiveAll().end == .failed(failure))
        #expect(server.closeNotify())
    }

    @Test("Random bytes after a record header end the session", arguments: 0..<64)
    func refusesRandomHello(seed: Int) throws {
        var generator = SeededGenerator(UInt64(seed))
        let sockets = SocketPair()
        let server = try TLSSession(server: TLSContext(.test), descriptor: sockets.server)!
        defer { server.free() }
        let count = Int.random(in: 1...2048, using: &generator)
        let body = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
        let bytes = [0x16, 3, 1, UInt8(count >> 8), UInt8(count & 255)] + body
        #expect(Glibc.send(sockets.client, bytes, bytes.count, 0) == bytes.count)
        sockets.closeClient()
        guard case .failed(let failure) = server.handshake() else {
            Issue.record("seed \(seed): the handshake did not fail")
            return
        }
        #expect([.other, .peerClosed, .unsupportedVersion].contains(failure.cause), "seed \(seed): \(failure)")
    }

    @Test("A record that is longer than RFC 8446 §5.2 allows ends the session")
    func refusesLongRecord() throws {
        let pair = try Pair.established()
        let bytes = [UInt8](repeating: 0, count: 20_000)
        let header: [UInt8] = [0x17, 3, 3, 0x48, 0x00]  // 18,432; at most 16,640
        #expect(Glibc.send(pair.sockets.client, header + bytes, 20_005, 0) == 20_005)
        guard case .failed(let failure) = pair.server.receiveAll().end else {
            Issue.record("the record was taken")
            return
        }
        #expect(failure.description.contains("length too long"), "\(failure)")
    }

    @Test("A peer that leaves in the handshake is told apart from one that says nonsense", arguments: [0, 1, 5, 100])
    func peerLeaves(byteCount: Int) throws {
        let pair = try Pair(TLSContext(.test), TLSClientContext(.test))
        #expect(pair.client.handshake() == .wantsRead)
        var hello = [UInt8](repeating: 0, count: 4096)
        let count = recv(pair.sockets.server, &hello, hello.count, 0)
        #expect(count > 100)
        let relay = SocketPair()
        let server = TLSSession(server: pair.serverContext, descriptor: relay.server)!
        defer { server.free() }
        #expect(byteCount == 0 || Glibc.send(relay.client, hello, byteCount, 0) == byteCount)
        #expect(server.handshake() == .wantsRead)
        relay.closeClient()
        guard case .failed(let failure) = server.handshake() else {
            Issue.record("the handshake did not fail")
            return
        }
        #expect(failure.cause == .peerClosed)
    }

    @Test("A handshake whose every byte arrives by itself is done")
    func byteByByte() throws {
        let pair = try Pair(TLSContext(.test), TLSClientContext(.test))
        #expect(pair.client.handshake() == .wantsRead)
        var hello = [UInt8](repeating: 0, count: 4096)
        let count = recv(pair.sockets.server, &hello, hello.count, 0)
        for byte in hello[..<count] {
            #expect(pair.server.handshake() == .wantsRead)
            #expect(Glibc.send(pair.sockets.client, [byte], 1, 0) == 1)
        }
        #expect(pair.handshake().isDone)
    }
}

/// SSL_OP_..., which are no constants to Swift.
enum Option {
    static let noTLS10: UInt64 = 1 << 26
    static let noTLS11: UInt64 = 1 << 28
    static let noRenegotiation: UInt64 = 1 << 30
}

struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed &+ 0x9E37_79B9_7F4A_7C15 }

    /// SplitMix64.
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
