// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostIO
internal import RoostRuntime

/// Makes what a group's connections are begun with: checks URLs, headers and certificates, once for all of them.
struct EndpointFactory {
    private let client: RoostClient
    private let group: ClientGroup
    private let shares: [ClientShare]

    init(_ client: RoostClient, _ group: ClientGroup, _ shares: [ClientShare]) {
        self.client = client
        self.group = group
        self.shares = shares
    }

    /// One for each URL, in order.
    func make() throws -> [ClientEndpoint] {
        switch group.behaviour {
        case .echo: try make(EchoClient.self)
        case .paced: try make(PacedClient.self)
        case .churn: try make(ChurnClient.self)
        case .heartbeat: try make(HeartbeatClient.self)
        case .idle: try make(IdleClient.self)
        case .publish: try make(PublishClient.self)
        case .subscribe: try make(SubscribeClient.self)
        case .script: try make(ScriptClient.self)
        }
    }

    private func make<Client: LoadClient & SendableMetatype>(_ type: Client.Type) throws -> [ClientEndpoint] {
        let fields = try group.target.headers.map(Self.field)
        var tls = TLSClientConfiguration()
        tls.caFile = group.target.caFile
        tls.verifiesCertificate = !group.target.isInsecure
        let shares = shares
        return try group.target.urls.map { url in
            try client.endpoint(
                WebSocketURL(url), subprotocols: group.target.subprotocols, headers: fields,
                limits: group.behaviour.limits,
                compression: group.target.isCompressed ? CompressionPolicy() : .off, tls: tls,
                receiveBufferByteCount: group.behaviour.receiveBufferByteCount
            ) {
                let share = shares[SchedulerRef.running.index]
                return Client(share, share.takeSeat())
            }
        }
    }

    private static func field(_ header: String) throws -> HeaderField {
        guard let colon = header.firstIndex(of: ":") else {
            throw LoadTestError("header '\(header)' has no colon; write it as 'Name: value'")
        }
        let value = header[header.index(after: colon)...].drop { $0 == " " }
        let name = String(header[..<colon])
        if let remedy = Target.remedy(forHeader: name) { throw LoadTestError("header '\(header)': \(remedy)") }
        return try HeaderField(name, String(value))
    }
}

extension Target {
    /// What to do instead of giving a header that the handshake writes itself (RFC 6455 §4.1): a server refuses two.
    static func remedy(forHeader name: String) -> String? {
        switch name.lowercased() {
        case "sec-websocket-protocol": "name it as a subprotocol"
        case "sec-websocket-extensions": "offer compression"
        case "host": "remove it: it comes from the URL"
        case "upgrade", "connection", "sec-websocket-key", "sec-websocket-version":
            "remove it: the handshake has one"
        case _: nil
        }
    }
}

extension Behaviour {
    /// Clients neither ping nor drop: the test is the traffic.
    var limits: ConnectionLimits {
        var limits = ConnectionLimits()
        limits.pingInterval = .zero
        switch self {
        case .echo(let plan): limits.makeRoom(for: plan.size.byteCountMax, inFlight: plan.inFlight)
        // What is due while so much waits for the kernel is not added to it.
        case .paced(let plan): limits.makeRoom(for: plan.size.byteCountMax, inFlight: 2)
        case .churn(let plan): limits.makeRoom(for: plan.size.byteCountMax, inFlight: 1)
        case .heartbeat(let plan): limits.makeRoom(for: plan.size.byteCountMax, inFlight: 1)
        case .idle: break
        case .publish(let plan), .subscribe(let plan): limits.take(plan)
        case .script(let plan): limits.makeRoom(for: max(plan.byteCountMax, 16 << 20), inFlight: 1)
        }
        return limits
    }

    /// Of the sockets; nil: what the kernel finds best.
    var receiveBufferByteCount: Int? { fanOut?.readByteRate == nil ? nil : 4_096 }
}

extension ConnectionLimits {
    /// Holds `inFlight` messages of `byteCount` bytes, and twice that of unsent ones.
    mutating func makeRoom(for byteCount: Int, inFlight: Int) {
        let window = (byteCount + 14) * inFlight
        messageByteCountMax = max(byteCount, 1 << 20)
        outboundByteCountMax = min(max(2 * window, 1 << 20), 1 << 30)
        heapByteCountMax = max(4 * window, 64 << 20)
    }

    /// A message, and what a server may wrap it in, or send with it.
    fileprivate mutating func take(_ plan: FanOutPlan) {
        makeRoom(for: 2 * plan.byteCount + (1 << 20), inFlight: 2)
        guard let rate = plan.readByteRate else { return }
        bytesPerSecond = max(rate, 1)
        rateLimit = .delay
    }
}
