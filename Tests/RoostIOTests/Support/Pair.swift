// SPDX-License-Identifier: Apache-2.0

import CSSL
import Glibc
import RoostTestTLS
import Testing

@testable import RoostIO

/// A socket pair, both ends ours and non-blocking.
final class SocketPair {
    private(set) var server: CInt
    private(set) var client: CInt

    init() {
        var ends: [CInt] = [0, 0]
        precondition(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0, &ends) == 0)
        (server, client) = (ends[0], ends[1])
    }

    deinit {
        closeServer()
        closeClient()
    }

    func closeServer() {
        if server >= 0 { close(server) }
        server = -1
    }

    func closeClient() {
        if client >= 0 { close(client) }
        client = -1
    }

    /// The least that the kernel buffers for `descriptor`.
    func shrinkBuffer(of descriptor: CInt) {
        var size: CInt = 1
        precondition(setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<CInt>.size)) == 0)
    }
}

/// What both ends' handshakes came to.
struct PairOutcome: Equatable {
    var server: TLSHandshakeOutcome
    var client: TLSHandshakeOutcome
    var isDone: Bool { server == .done && client == .done }

    var serverFailure: TLSFailure? { if case .failed(let failure) = server { failure } else { nil } }
    var clientFailure: TLSFailure? { if case .failed(let failure) = client { failure } else { nil } }
}

/// A server's session and a client's, at the two ends of a socket pair.
final class Pair {
    let sockets = SocketPair()
    let server: TLSSession
    let client: TLSSession
    let serverContext: TLSContext
    let clientContext: TLSClientContext

    init(_ server: TLSContext, _ client: TLSClientContext, name: String = "localhost") {
        serverContext = server
        clientContext = client
        self.server = TLSSession(server: server, descriptor: sockets.server)!
        self.client = TLSSession(client: client, descriptor: sockets.client, serverName: name)!
    }

    /// With the certificates of `TestCertificates`, established.
    static func established(
        _ configuration: TLSConfiguration? = nil, version: TLSVersion = .tls13
    ) throws -> Pair {
        let pair = try Pair(TLSContext(configuration ?? .test), TLSClientContext(.test))
        pair.limitClient(to: version)
        #expect(pair.handshake().isDone)
        return pair
    }

    deinit {
        #expect(ERR_peek_error() == 0, "a call left an error behind")
        server.free()
        client.free()
    }

    func limitClient(to version: TLSVersion) {
        let number = version == .tls12 ? TLS1_2_VERSION : TLS1_3_VERSION
        SSL_ctrl(client.ssl, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(number), nil)
    }

    /// Each end in turn, until neither can go on. The loop is bounded: a handshake has few flights.
    @discardableResult
    func handshake() -> PairOutcome {
        var outcome = PairOutcome(server: .wantsRead, client: .wantsRead)
        for _ in 0..<100 {
            let before = outcome
            if outcome.client == .wantsRead || outcome.client == .wantsWrite { outcome.client = client.handshake() }
            if outcome.server == .wantsRead || outcome.server == .wantsWrite { outcome.server = server.handshake() }
            if outcome.isDone || outcome.server == before.server && outcome.client == before.client && before.isSettled
            {
                break
            }
        }
        return outcome
    }
}

extension PairOutcome {
    fileprivate var isSettled: Bool { serverFailure != nil || clientFailure != nil || isDone }
}

extension TLSConfiguration {
    static var test: TLSConfiguration { TLSConfiguration(certificates: [TestCertificates.server]) }

    func with(_ change: (inout TLSConfiguration) -> Void) -> TLSConfiguration {
        var changed = self
        change(&changed)
        return changed
    }
}

extension TLSClientConfiguration {
    static var test: TLSClientConfiguration {
        var configuration = TLSClientConfiguration()
        configuration.caFile = TestCertificates.authorityFile
        return configuration
    }

    func with(_ change: (inout TLSClientConfiguration) -> Void) -> TLSClientConfiguration {
        var changed = self
        change(&changed)
        return changed
    }
}

extension TLSSession {
    /// All that can be read now, and the outcome that ended it.
    func receiveAll(pieceByteCount: Int = 4096) -> (bytes: [UInt8], end: TLSReadOutcome) {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: pieceByteCount)
        while true {
            let outcome = piece.withUnsafeMutableBytes { receive(into: $0) }
            guard case .bytes(let count, _) = outcome else { return (bytes, outcome) }
            precondition(count > 0)
            bytes += piece[..<count]
        }
    }

    func send(_ bytes: [UInt8]) -> TLSWriteOutcome { bytes.withUnsafeBytes { send($0) } }

    var peerSees: String? { SSL_get0_peer_certificate(ssl).map { X509Certificate.namesText($0) } }
}
