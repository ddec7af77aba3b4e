// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import RoostHTTP
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

// The opening handshake, server's side (RFC 6455 §4.2); the client's is in ConnectionRef+Client.

extension ConnectionRef {
    /// A turn of a connection that is not open yet.
    func begin(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        if state.timerDeadline <= scheduler.now { try timePassed(process, scheduler) }
        switch state.phase {
        case .connecting, .handshake:
            if role == .client { return try beginAsClient(process, scheduler) }
            if state.flags.contains(.mustReportCrash) {
                state.flags.remove(.mustReportCrash)
                return refuse(.internalServerError, "the handler crashed while connecting", process, scheduler)
            }
            if process.isExiting { return refuse(.serviceUnavailable, "shutting down", process, scheduler) }
            if state.flags.contains(.readable) { try readRequest(process, scheduler) }
        case .open, .lingering, .closed: break
        }
    }

    private func readRequest(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        let limits = listener.httpLimits
        let buffer = unsafe IOBuffers.of(scheduler).pointee.read
        while state.phase == .handshake {
            let kept = Int(state.residue.count)
            // A byte more than a head may have, so that one too long is seen to be.
            let room = min(IOBuffers.readByteCount - kept, 64 << 10)
            roost_charge(200)
            let target = unsafe UnsafeMutableRawBufferPointer(start: buffer + kept, count: room)
            switch unsafe SystemCalls.receive(state.descriptor, into: target) {
            case .wouldBlock:
                state.flags.remove(.readable)
                return
            case .endOfStream, .failed:
                noteReason(CloseReason(.connectionLost, message: "ended during the handshake"))
                state.flags.insert(.hasPeerEnded)
                state.phase = .closed
                return
            case .bytes(let count):
                if count < room, !state.flags.contains(.hasHangup) { state.flags.remove(.readable) }
                if kept > 0 { unsafe _ = memcpy(buffer, state.residue.bytes.baseAddress!, kept) }
                state.residue.release(process, scheduler)
                let bytes = unsafe UnsafeMutableRawBufferPointer(start: buffer, count: kept + count)
                var parser = RequestHeadParser(limits: limits)
                switch unsafe parser.parse(UnsafeRawBufferPointer(bytes)) {
                case .needsMoreBytes:
                    unsafe state.residue.append(UnsafeRawBufferPointer(bytes), process, scheduler)
                    // After a hangup there is no further event: the socket is read to its end.
                    guard state.flags.contains(.readable) else { return }
                case .failure(let error):
                    refuseHead(error, process, scheduler)
                    return
                case .head(let head, let consumed):
                    if consumed < bytes.count {
                        unsafe state.residue.append(
                            UnsafeRawBufferPointer(rebasing: bytes[consumed...]), process, scheduler)
                        state.flags.insert(.hasBacklog)
                    }
                    // May move the state: `self` is not looked at again.
                    return try answer(head, process, scheduler)
                }
            }
        }
    }

    private func answer(_ head: RequestHead, _ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        if state.flags.contains(.isSurplus) {
            return refuse(
                .serviceUnavailable, "the server holds as many connections as it may; try again later", process,
                scheduler)
        }
        guard let (route, remainder) = listener.routes.find(head.path) else {
            return refuse(.notFound, "nothing is served at \(head.encodedPath)", process, scheduler)
        }
        guard case .accept(let acceptance) = evaluated(head, route, process, scheduler) else { return }
        guard route.allowsOrigin(of: head, isSecure: false) else {
            return refuse(.forbidden, "pages of this origin may not connect here", process, scheduler)
        }
        let connection = moved(to: route, process, scheduler)
        let request = ConnectRequest(
            head: head, peer: connection.state.peer, subprotocol: acceptance.subprotocol, pathRemainder: remainder)
        do {
            try connection.makeHandler(request)
        } catch let refusal as ConnectionRefused {
            return connection.refuse(refusal.status, refusal.reason, process, scheduler)
        }
        if let subprotocol = acceptance.subprotocol { connection.extras.subprotocol = subprotocol }
        connection.sendRaw(ServerHandshake.response(acceptance), process, scheduler)
        guard connection.state.phase == .handshake else { return }
        connection.open(process, scheduler)
    }

    private func evaluated(
        _ head: RequestHead, _ route: Route, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) -> ServerHandshake.Outcome {
        let outcome = ServerHandshake.evaluate(head, supportedSubprotocols: route.subprotocols)
        if case .refuse(let refusal) = outcome {
            refused(refusal.status, refusal.description)
            sendRaw(refusal.response(), process, scheduler)
        }
        return outcome
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
        state.phase = .open
        state.flags.insert(.mustOpenHandler)
        listener.counters.opened.add(1, ordering: .relaxed)
        process.setMailboxLimit(route.limits.mailboxCountMax, route.limits.mailboxOverflow.policy)
        process.setHeapLimit(route.limits.heapByteCountMax)
        state.lastReceived = scheduler.now
        state.lastMessage = scheduler.now
        state.decoder = FrameDecoder(
            role: role, messageByteCountMax: route.limits.messageByteCountMax,
            fragmentCountMax: UInt32(clamping: route.limits.fragmentCountMax))
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

    func refuse(_ status: HTTPStatus, _ reason: String, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        refused(status, reason)
        var fields = [
            HeaderField(known: "Connection", "close"), HeaderField(known: "Content-Type", "text/plain; charset=utf-8"),
        ]
        if status == .serviceUnavailable { fields.append(HeaderField(known: "Retry-After", "5")) }
        sendRaw(
            ResponseEncoder.encode(status: status, fields: fields, body: reason.isEmpty ? "" : reason + "\n"), process,
            scheduler)
    }

    private func refuseHead(_ error: HTTPError, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        refused(error.status, error.description)
        sendRaw(error.response(), process, scheduler)
    }

    func handshakeTimedOut(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        if role == .client {
            noteReason(CloseReason(.connectFailed, message: "no answer to the upgrade request in time"))
            state.phase = .closed
            return
        }
        noteReason(CloseReason(.handshakeTimeout, message: "no upgrade request in time"))
        refuse(
            .requestTimeout, "no complete upgrade request within \(listener.configuration.handshakeTimeout)", process,
            scheduler)
    }

    private func refused(_ status: HTTPStatus, _ reason: String) {
        noteReason(CloseReason(.handshakeRefused, message: "\(status.rawValue) \(reason)"))
        state.phase = .lingering
        state.deadline = .now() + .seconds(2)
    }

    /// Sends bytes that are no frames: the answer to the upgrade request.
    func sendRaw(_ bytes: [UInt8], _ process: ProcessRef, _ scheduler: SchedulerRef) {
        roost_charge(200)
        unsafe bytes.withUnsafeBytes { bytes in
            switch unsafe SystemCalls.send(state.descriptor, bytes) {
            case .bytes(let sent) where sent == bytes.count: break
            case .bytes(let sent): unsafe keepRaw(UnsafeRawBufferPointer(rebasing: bytes[sent...]), process, scheduler)
            case .wouldBlock: unsafe keepRaw(bytes, process, scheduler)
            case .failed(let code):
                let cause = role == .client ? CloseReason.Cause.connectFailed : .connectionLost
                noteReason(CloseReason(cause, message: "write failed during the handshake: errno \(code)"))
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
