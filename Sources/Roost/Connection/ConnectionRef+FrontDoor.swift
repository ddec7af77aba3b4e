// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostHTTP
internal import RoostIO
internal import RoostRuntime
internal import Synchronization

// Before the first request: who the client is, whether it may come in, and TLS.

extension ConnectionRef {
    /// What the connection begins with, and whether its address may have one more. Right after the accept.
    func enter() {
        guard role == .server else { return }
        let configuration = listener.configuration
        if configuration.proxy.requiresProxyProtocol {
            state.stage = .proxyHeader
        } else {
            state.stage = configuration.tls == nil ? .requestHead : .tls
            admitUnlessProxy()
        }
    }

    /// A proxy's own address stands for many clients: they are counted when it has said who they are.
    private func admitUnlessProxy() {
        if listener.configuration.proxy.forwardedHeader == .none || !listener.trusts(state.peer) { admit() }
    }

    /// Counts the connection with those of the client's address. Past a limit it is answered with 429, or closed at
    /// once where many are.
    private func admit() {
        guard let table = listener.addresses, let address = state.peer?.ipAddress,
            !state.flags.contains(.isCountedByAddress)
        else { return }
        switch table.admit(address.limitKey, at: MonotonicTime.now().nanoseconds) {
        case .admitted: state.flags.insert(.isCountedByAddress)
        case .tooMany: refuseAddress(.addressLimit)
        case .tooOften: refuseAddress(.addressRate)
        }
    }

    private func refuseAddress(_ cause: CloseReason.Cause) {
        state.flags.insert(.isSurplus)
        extras.surplus = cause
        guard listener.counters.mayAnswerSurplus() else {
            noteReason(CloseReason(cause, message: "closed without an answer: too many are refused at once"))
            state.phase = .closed
            return
        }
        extras.isSurplusCounted = true
    }

    /// The connection is over: its address may have another.
    func leave() {
        if state.extras?.isSurplusCounted == true { listener.counters.surplusAnswered() }
        leaveAddress()
    }

    private func leaveAddress() {
        guard state.flags.contains(.isCountedByAddress), let address = state.peer?.ipAddress else { return }
        state.flags.remove(.isCountedByAddress)
        listener.addresses?.release(address.limitKey)
    }

    /// Learns from a request who the client is, where a trusted proxy says so. False: the connection is refused.
    func noteClient(of head: RequestHead, _ process: ProcessRef, _ scheduler: SchedulerRef) -> Bool {
        switch listener.configuration.proxy.forwardedHeader {
        case .none: break
        case .forwarded: noteForwarded(head, .forwarded)
        case .xForwardedFor: noteForwarded(head, .xForwardedFor)
        }
        guard state.phase == .handshake else { return false }
        guard state.flags.contains(.isSurplus) else { return true }
        refuseSurplus(head, process, scheduler)
        return false
    }

    /// A proxy may send requests of one client after another's on one connection: each tells its own.
    private func noteForwarded(_ head: RequestHead, _ header: ForwardedFor.Header) {
        let sender = state.extras?.proxy ?? state.peer
        guard listener.trusts(sender) else { return }
        let client = ForwardedFor.client(
            in: head.headers, header: header, peer: sender?.ipAddress, trusted: listener.trusted)
        if state.peer?.ipAddress != client ?? sender?.ipAddress {
            leaveAddress()
            extras.proxy = sender
            state.peer = client.map { SocketAddress($0) } ?? sender
        }
        if client != nil { admit() }
    }

    private func refuseSurplus(_ head: RequestHead, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        let cause = state.extras?.surplus ?? .listenerFull
        noteReason(CloseReason(cause))
        switch cause {
        case .addressLimit:
            refuse(.tooManyRequests, "too many connections from your address", to: head, process, scheduler)
        case .addressRate:
            refuse(
                .tooManyRequests, "your address connects too often; try again later", to: head, process, scheduler)
        default:
            refuse(
                .serviceUnavailable, "the server holds as many connections as it may; try again later", to: head,
                process, scheduler)
        }
    }

    // MARK: PROXY protocol

    /// Reads the PROXY header, and not a byte more: what follows may be TLS, which reads for itself.
    func readProxyHeader(_ process: ProcessRef, _ scheduler: SchedulerRef) -> HandshakeProgress {
        guard listener.trusts(state.peer) else {
            return refuseProxy("\(state.peer?.description ?? "the peer") is not among trusted-proxies")
        }
        let buffer = unsafe UnsafeMutableRawBufferPointer(
            start: IOBuffers.of(scheduler).pointee.read, count: ProxyHeader.byteCountMax)
        roost_charge(200)
        switch unsafe SystemCalls.peek(state.descriptor, into: buffer) {
        case .wouldBlock:
            state.flags.remove(.readable)
            return .waits
        case .endOfStream, .failed: return abandonedBeforeRequest()
        case .bytes(let count):
            switch unsafe ProxyHeader.parse(UnsafeRawBufferPointer(rebasing: buffer[..<count])) {
            case .needsMoreBytes:
                if state.flags.contains(.hasHangup) { return abandonedBeforeRequest() }
                state.flags.remove(.readable)
                return .waits
            case .failure(let error): return refuseProxy("\(error)")
            case .header(let address, let consumed):
                guard unsafe discard(consumed, by: buffer) else { return abandonedBeforeRequest() }
                return proxied(address)
            }
        }
    }

    /// Takes so many bytes from the socket, which are there: they were just looked at. A call may give fewer all the
    /// same. False: the connection broke.
    private func discard(_ byteCount: Int, by buffer: UnsafeMutableRawBufferPointer) -> Bool {
        var remaining = byteCount
        while remaining > 0 {
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<remaining])
            switch unsafe SystemCalls.receive(state.descriptor, into: part) {
            case .bytes(let count): remaining -= count
            case .wouldBlock: continue
            case .endOfStream, .failed: return false
            }
        }
        return true
    }

    private func proxied(_ address: ProxiedAddress) -> HandshakeProgress {
        switch address {
        case .local: break
        case .ipv4(let source, let port):
            state.peer = SocketAddress(IPAddress(ipv4NetworkOrder: source), port: port)
        case .ipv6(let high, let low, let port):
            state.peer = SocketAddress(IPAddress(ipv6NetworkOrder: high, low), port: port)
        case .unix(let path): if let peer = try? SocketAddress("unix:\(path)") { state.peer = peer }
        }
        state.stage = listener.configuration.tls == nil ? .requestHead : .tls
        if address != .local { admitUnlessProxy() }
        return .goesOn
    }

    private func refuseProxy(_ message: String) -> HandshakeProgress {
        noteReason(CloseReason(.proxyRefused, message: message))
        state.phase = .closed
        return .waits
    }

    private func abandonedBeforeRequest() -> HandshakeProgress {
        noteReason(CloseReason(.handshakeAbandoned, message: "ended before its request"))
        state.flags.insert(.hasPeerEnded)
        state.phase = .closed
        return .waits
    }

    // MARK: TLS

    /// Reductions for a step of a TLS handshake: it signs, which takes a tenth of a millisecond and more.
    private static let handshakeReductions: Int64 = 1_000

    /// Goes on with the TLS handshake, the server's or the client's.
    func handshakeSecurely(_ process: ProcessRef, _ scheduler: SchedulerRef) -> HandshakeProgress {
        if state.tls == nil, let context = listener.tlsContext {
            state.tls = TLSSession(server: context, descriptor: state.descriptor)
        }
        guard let tls = state.tls else { return abandonedBeforeRequest() }
        roost_charge(Self.handshakeReductions)
        switch tls.handshake() {
        case .done:
            state.flags.insert(.isSecure)
            state.stage = .requestHead
            listener.counters.tlsHandshakes.add(1, ordering: .relaxed)
            if tls.negotiated.isResumed { listener.counters.tlsResumptions.add(1, ordering: .relaxed) }
            return .goesOn
        case .wantsRead:
            state.flags.remove(.readable)
            // After a hangup there is no further event.
            if state.flags.contains(.hasHangup) { return abandonedBeforeRequest() }
            return .waits
        case .wantsWrite:
            state.flags.remove(.readable)
            state.flags.insert([.readsWhenWritable, .isBlocked])
            return .waits
        case .failed(let failure):
            let cause = role == .client ? CloseReason.Cause.connectFailed : .tlsFailed
            noteReason(CloseReason(cause, message: failure.description))
            // Our alert says why: it must not be lost to a reset.
            endRequests()
            return .waits
        }
    }
}

extension SocketAddress {
    /// The address without its port; nil for a unix socket.
    var ipAddress: IPAddress? { port == nil ? nil : IPAddress(host) }

    /// `port` is 0 where it is not known.
    init(_ address: IPAddress, port: UInt16 = 0) {
        let text = address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)"
        guard let parsed = try? SocketAddress(text) else { preconditionFailure("\(text) is no address") }
        self = parsed
    }
}
