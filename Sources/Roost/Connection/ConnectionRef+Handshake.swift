// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import RoostHTTP
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

// From the accept to the open WebSocket, server's side: PROXY header, TLS, requests, the upgrade (RFC 6455 §4.2). The
// client's is in ConnectionRef+Client.

extension ConnectionRef {
    /// What a step of the handshake came to.
    enum HandshakeProgress {
        /// The next step may be possible.
        case goesOn
        /// Nothing more can be done before the socket says something, or it is all over.
        case waits
    }

    /// A turn of a connection that is not open yet.
    func begin(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        if state.timerDeadline <= scheduler.now { try timePassed(process, scheduler) }
        switch state.phase {
        case .connecting, .handshake:
            if role == .client { return try beginAsClient(process, scheduler) }
            if state.flags.contains(.mustReportCrash) {
                state.flags.remove(.mustReportCrash)
                noteReason(CloseReason(.handlerCrashed, message: "while it answered the request"))
                return refuse(.internalServerError, "the handler crashed", process, scheduler)
            }
            if process.isExiting { return shutDown(process, scheduler) }
            if !state.outbound.isEmpty {
                flushOutbound(process, scheduler)
                if state.outbound.isEmpty, requestCount > 0, state.stage == .requestHead { awaitRequest() }
            }
            try advance(process, scheduler)
        case .open, .lingering, .closed: break
        }
    }

    /// Step by step, until the socket has nothing more, or is a WebSocket: then the state may have moved, and `self` is
    /// not looked at again. A client that does not take an answer gets no other.
    private func advance(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        while state.phase == .handshake, state.outbound.isEmpty,
            !state.flags.isDisjoint(with: [.readable, .hasBacklog])
        {
            let progress: HandshakeProgress
            switch state.stage {
            case .proxyHeader: progress = readProxyHeader(process, scheduler)
            case .tls: progress = handshakeSecurely(process, scheduler)
            case .requestHead:
                guard let head = readHead(process, scheduler) else { continue }
                guard try answer(head, process, scheduler) else { return }
                progress = .goesOn
            case .requestBody: progress = try readBody(process, scheduler)
            }
            guard case .goesOn = progress else { return }
            if isTurnOver { suspendTurn(process) }
        }
    }

    /// Told to end before the connection is open.
    private func shutDown(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        let isIdle = state.stage != .requestBody && state.residue.isEmpty && requestCount > 0
        noteReason(CloseReason(.draining, message: "shutting down"))
        guard state.stage == .requestHead || state.stage == .requestBody, !isIdle, state.outbound.isEmpty else {
            state.phase = state.outbound.isEmpty ? .closed : .lingering
            state.deadline = .now() + Self.refusalTimeout
            return
        }
        refuse(.serviceUnavailable, "shutting down", process, scheduler)
    }

    /// Finds who answers a request. False: the connection is a WebSocket now, and the state may have moved.
    private func answer(_ head: RequestHead, _ process: ProcessRef, _ scheduler: SchedulerRef) throws -> Bool {
        guard noteClient(of: head, process, scheduler) else { return true }
        guard let (route, remainder) = listener.routes.find(head.path) else {
            refuse(.notFound, "nothing is served at \(head.encodedPath)", to: head, process, scheduler)
            return true
        }
        if route.responder != nil {
            try beginExchange(head, route, remainder, process, scheduler)
            return true
        }
        return try upgrade(head, route, remainder, process, scheduler)
    }

    private func upgrade(
        _ head: RequestHead, _ route: Route, _ remainder: String, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) throws -> Bool {
        let acceptance: ServerHandshake.Acceptance
        switch ServerHandshake.evaluate(
            head, supportedSubprotocols: route.subprotocols, deflate: route.compression.offered)
        {
        case .accept(let accepted): acceptance = accepted
        case .refuse(let refusal):
            refused(refusal.status, refusal.description)
            sendRaw(refusal.response(isHead: head.method == "HEAD"), process, scheduler)
            return true
        }
        guard route.allowsOrigin(of: head, isSecure: state.flags.contains(.isSecure)) else {
            noteReason(CloseReason(.originRefused, message: head.headers.first("origin") ?? ""))
            refuse(.forbidden, "pages of this origin may not connect here", process, scheduler)
            return true
        }
        let connection = moved(to: route, process, scheduler)
        let request = ConnectRequest(
            head: head, peer: connection.state.peer, subprotocol: acceptance.subprotocol, pathRemainder: remainder,
            isSecure: connection.state.flags.contains(.isSecure),
            clientCertificate: connection.state.tls?.peerCertificateSubject)
        do {
            try connection.makeHandler(request)
        } catch let refusal as ConnectionRefused {
            connection.refuse(refusal.status, refusal.reason, process, scheduler)
            return false
        }
        // Few connections need extras, and there may be very many of them.
        connection.state.extras = nil
        if let subprotocol = acceptance.subprotocol { connection.extras.subprotocol = subprotocol }
        if let parameters = acceptance.deflate { connection.compress(parameters) }
        connection.sendRaw(ServerHandshake.response(acceptance), process, scheduler)
        guard connection.state.phase == .handshake else { return false }
        connection.open(process, scheduler)
        return false
    }

    /// `connect` is handler code and may trap: what it makes is only counted as made when it has returned (C1).
    func makeHandler(_ request: borrowing ConnectRequest) throws {
        roost_handler_begin()
        defer { roost_handler_end() }
        try route.handlerType.connect(request, handler, initialHandler)
        state.flags.insert([.hasHandler, .hasInitialHandler])
    }

    /// The socket is a WebSocket now.
    func open(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        let limits = route.limits
        state.phase = .open
        state.flags.insert(.mustOpenHandler)
        listener.counters.opened.add(1, ordering: .relaxed)
        process.setMailboxLimit(limits.mailboxCountMax, limits.mailboxOverflow.policy)
        process.setHeapLimit(limits.heapByteCountMax)
        state.lastReceived = scheduler.now
        state.lastMessage = scheduler.now
        state.decoder = FrameDecoder(
            role: role, messageByteCountMax: limits.messageByteCountMax,
            fragmentCountMax: UInt32(clamping: limits.fragmentCountMax),
            allowsCompression: state.flags.contains(.isCompressible))
        if limits.messagesPerSecond > 0 || limits.bytesPerSecond > 0 { state.flags.insert(.hasRateLimit) }
        setKeepAliveDeadline()
        if state.timer != .none { scheduler.cancelTimer(state.timer) }
        state.timer = .none
        state.timerDeadline = .distantFuture
    }

    /// The state in a block that has room for the handler of `route`. The old block is freed.
    private func moved(to route: Route, _ process: ProcessRef, _ scheduler: SchedulerRef) -> ConnectionRef {
        let byteCount = Self.handlerOffset + 2 * route.handlerType.stride
        unsafe state.route = route
        unsafe state.handlerType = .passUnretained(route.handlerType)
        guard byteCount > Int(state.blockByteCount) else { return self }
        let block = unsafe scheduler.allocate(byteCount: byteCount, for: process)
        let connection = unsafe ConnectionRef(block.bindMemory(to: ConnectionState.self, capacity: 1))
        unsafe connection.pointer.moveInitialize(from: pointer, count: 1)
        unsafe scheduler.free(
            UnsafeMutableRawPointer(pointer), byteCount: Int(connection.state.blockByteCount), for: process)
        connection.state.blockByteCount = UInt32(byteCount)
        unsafe process.setObject(UnsafeMutableRawPointer(connection.pointer))
        return connection
    }

    // MARK: Refusals

    /// How long a refused client may take to read why.
    static let refusalTimeout = Duration.seconds(2)

    /// `head` is the request's, where it has been read.
    func refuse(
        _ status: HTTPStatus, _ reason: String, to head: RequestHead? = nil, _ process: ProcessRef,
        _ scheduler: SchedulerRef
    ) {
        refused(status, reason)
        var fields = [HeaderField(known: "Content-Type", "text/plain; charset=utf-8")]
        if status == .serviceUnavailable || status == .tooManyRequests {
            fields.append(HeaderField(known: "Retry-After", "5"))
        }
        sendRaw(
            ResponseEncoder.encode(
                status: status, fields: fields, body: Array((reason.isEmpty ? "" : reason + "\n").utf8),
                isHead: head?.method == "HEAD", keepsAlive: false), process, scheduler)
    }

    func refuseHead(_ error: HTTPError, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        noteReason(CloseReason(.requestInvalid, message: "\(error.status.rawValue) \(error)"))
        refused(error.status, error.description)
        sendRaw(error.response(), process, scheduler)
    }

    /// Nothing more is read as a request; what comes still is thrown away, so that the answer is not lost.
    func refused(_ status: HTTPStatus, _ reason: String) {
        noteReason(CloseReason(.handshakeRefused, message: "\(status.rawValue) \(reason)"))
        endRequests()
    }

    /// Ends our side behind what was answered.
    func endRequests() {
        state.phase = .lingering
        state.flags.remove(.hasBacklog)
        state.deadline = .now() + Self.refusalTimeout
    }

    /// The deadline of the handshake, of a request, or of an answer has passed.
    func handshakeTimedOut(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        let timeout = listener.configuration.handshakeTimeout
        if role == .client {
            noteReason(CloseReason(.connectFailed, message: ConnectFailure.noAnswerInTime))
            state.phase = .closed
            return
        }
        guard state.outbound.isEmpty else {
            noteReason(CloseReason(.slowConsumer, message: "the answer was not read within \(timeout)"))
            return cut()
        }
        switch state.stage {
        case .proxyHeader:
            noteReason(CloseReason(.proxyTimeout, message: "no PROXY header within \(timeout)"))
            state.phase = .closed
        case .tls:
            noteReason(CloseReason(.tlsTimeout, message: "the TLS handshake was not done within \(timeout)"))
            state.phase = .closed
        case .requestHead where requestCount > 0 && state.residue.isEmpty:
            noteReason(CloseReason(.requestsServed, message: "keep-alive-timeout"))
            state.phase = .closed
        case .requestHead, .requestBody:
            noteReason(CloseReason(.handshakeTimeout, message: "no complete request within \(timeout)"))
            refuse(.requestTimeout, "no complete request within \(timeout)", process, scheduler)
        }
    }

    /// Sends bytes that are no frames: answers to requests.
    func sendRaw(_ bytes: [UInt8], _ process: ProcessRef, _ scheduler: SchedulerRef) {
        roost_charge(200)
        unsafe bytes.withUnsafeBytes { bytes in
            // Behind an answer that was not taken yet, as an interim one.
            if !state.outbound.isEmpty { return unsafe keepRaw(bytes, process, scheduler) }
            switch unsafe transmit(bytes) {
            case .bytes(let sent) where sent == bytes.count: break
            case .bytes(let sent): unsafe keepRaw(UnsafeRawBufferPointer(rebasing: bytes[sent...]), process, scheduler)
            case .wouldBlock: unsafe keepRaw(bytes, process, scheduler)
            case .failed(let code):
                let cause = role == .client ? CloseReason.Cause.connectFailed : .handshakeAbandoned
                noteReason(CloseReason(cause, message: "write failed during the handshake: errno \(code)"))
                state.flags.insert(.hasPeerEnded)
                state.phase = .closed
            }
        }
    }

    private func keepRaw(_ bytes: UnsafeRawBufferPointer, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        unsafe state.outbound.append(bytes, process, scheduler)
        state.outboundFrameRemaining = state.outbound.count
        state.flags.insert(.isBlocked)
    }
}
