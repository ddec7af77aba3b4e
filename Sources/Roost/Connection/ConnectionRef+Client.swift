// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import RoostHTTP
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket

// The client's side: connecting, the opening handshake (RFC 6455 §4.1), large masked messages.

extension ConnectionProcess {
    /// Starts the process of a client's connection, which connects in its first turn. This scheduler's thread.
    static func start(to route: Route, from source: SocketAddress?, _ listener: Listener, _ scheduler: SchedulerRef) {
        let byteCount = ConnectionRef.handlerOffset + 2 * route.handlerType.stride
        let process = unsafe scheduler.spawn(operations, object: nil, heapLimit: route.limits.heapByteCountMax)
        let block = unsafe scheduler.allocate(byteCount: byteCount, for: process)
        let connection = unsafe ConnectionRef(block.bindMemory(to: ConnectionState.self, capacity: 1))
        // The state does not own its route; `ConnectionRef.free` releases it.
        unsafe _ = Unmanaged.passRetained(route)
        unsafe connection.pointer.initialize(
            to: ConnectionState(
                descriptor: -1, phase: .connecting, role: .client, listener: listener, route: route,
                peer: route.target?.address, now: scheduler.now, blockByteCount: byteCount))
        if let source { connection.extras.source = source }
        unsafe process.setObject(UnsafeMutableRawPointer(connection.pointer))
        connection.state.deadline = .now() + listener.configuration.handshakeTimeout
        connection.armTimer(process, scheduler)
    }
}

extension ConnectionRef {
    /// Reads of the answer to the upgrade request ask for so much: more than its head may have.
    private static let responseRoom = 64 << 10
    private static let responseHeadByteCountMax = 65_535

    func beginAsClient(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        if state.flags.contains(.mustReportCrash) {
            state.flags.remove(.mustReportCrash)
            return connectFailed("the handler crashed while it was made")
        }
        if !state.flags.contains(.hasHandler) {
            try makeHandler(ConnectRequest.ofClient(peer: state.peer))
            if !process.isExiting, !listener.isDraining { connectSocket(process, scheduler) }
        }
        if process.isExiting || listener.isDraining { return connectFailed("the client is closing") }
        if state.phase == .connecting { established(process, scheduler) }
        if state.phase == .handshake, state.stage == .tls { secure(process, scheduler) }
        while state.phase == .handshake, state.stage != .tls, state.flags.contains(.readable) {
            readResponse(process, scheduler)
        }
    }

    /// Ends the connection without a word, as a failing network does: what was not sent is lost, the peer sees the
    /// stream end, or reset.
    func abort(resets: Bool) {
        guard state.phase == .open || state.phase == .lingering else { return }
        if resets { SystemCalls.setResetOnClose(state.descriptor) }
        noteReason(CloseReason(.handlerClosed, code: .abnormalClosure, message: "cut"))
        state.flags.insert(.hasPeerEnded)
        _ = state.closing.transportEnded()
        state.phase = .closed
    }

    private func connectSocket(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard let address = state.peer else { return connectFailed("no address") }
        let source = state.extras?.source
        do throws(RuntimeError) {
            state.descriptor = try SystemCalls.connect(
                to: address, from: source, receiveBufferByteCount: route.target?.receiveBufferByteCount
            ).release()
        } catch {
            guard case .systemCall(let step, let code) = error else { return connectFailed("\(error)") }
            return connectFailed(ConnectFailure.describe(address, from: source, step: step, errno: code))
        }
        state.flags.insert(.isBlocked)
        let code = scheduler.watch(state.descriptor, for: process)
        guard code == 0 else { return connectFailed("\(RuntimeError.systemCall("epoll_ctl", code))") }
        state.flags.insert(.isWatched)
    }

    /// The socket has become writable: it is connected, or has failed to be.
    private func established(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard !state.flags.contains(.isBlocked) || state.flags.contains(.hasHangup) else { return }
        let code = SystemCalls.connectError(state.descriptor)
        guard code == 0 else {
            return connectFailed(
                ConnectFailure.describe(state.peer, from: state.extras?.source, step: "connect", errno: code))
        }
        state.phase = .handshake
        guard let target = route.target, let context = target.tls else { return request(process, scheduler) }
        state.tls = TLSSession(client: context, descriptor: state.descriptor, serverName: target.url.serverName)
        guard state.tls != nil else { return connectFailed("no TLS session: memory is short, or the host is no name") }
        state.stage = .tls
        state.flags.insert(.readable)
    }

    /// The TLS handshake; the upgrade request follows it.
    private func secure(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard state.flags.contains(.readable), case .goesOn = handshakeSecurely(process, scheduler) else {
            if state.phase == .lingering { state.phase = .closed }
            return
        }
        request(process, scheduler)
        state.flags.insert(.readable)
    }

    private func request(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        do throws(ClientHandshakeError) {
            guard let handshake = try route.target?.handshake() else { return connectFailed("no request") }
            extras.clientHandshake = handshake
            sendRaw(handshake.request, process, scheduler)
        } catch {
            connectFailed("\(error)")
        }
    }

    func connectFailed(_ message: String) {
        noteReason(CloseReason(.connectFailed, message: message))
        // A request that could not be sent, if any, is no loss.
        state.outbound.count = 0
        state.outboundHead = 0
        state.phase = .closed
    }

    private func readResponse(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        let buffer = unsafe IOBuffers.of(scheduler).pointee.read
        let kept = Int(state.residue.count)
        let room = Self.responseRoom
        roost_charge(200)
        // Safe: what is kept is shorter than a head may be, so that both fit the buffer, which nobody else uses in this
        // turn.
        switch unsafe receive(into: UnsafeMutableRawBufferPointer(start: buffer + kept, count: room)) {
        case .wouldBlock: break
        case .endOfStream:
            unsafe connectFailed(
                ConnectFailure.describeNoAnswer(
                    nil, "the server ended the connection before it answered", isSecure: state.tls != nil))
        case .failed(let code):
            connectFailed(ConnectFailure.describe(state.peer, from: nil, step: "read", errno: code))
        case .bytes(let count):
            if kept > 0 { unsafe _ = memcpy(buffer, state.residue.bytes.baseAddress!, kept) }
            state.residue.release(process, scheduler)
            unsafe responseArrived(UnsafeRawBufferPointer(start: buffer, count: kept + count), process, scheduler)
        }
    }

    private func responseArrived(_ bytes: UnsafeRawBufferPointer, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        var parser = ResponseHeadParser(limits: HTTPLimits(headByteCountMax: Self.responseHeadByteCountMax))
        switch unsafe parser.parse(bytes) {
        case .needsMoreBytes: unsafe state.residue.append(bytes, process, scheduler)
        case .failure(let error):
            unsafe connectFailed(
                ConnectFailure.describeNoAnswer(
                    bytes, "the server's answer is no HTTP/1.1: \(error)", isSecure: state.tls != nil))
        case .head(let head, let consumed):
            if consumed < bytes.count {
                unsafe state.residue.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...]), process, scheduler)
                state.flags.insert(.hasBacklog)
            }
            accept(head, process, scheduler)
        }
    }

    private func accept(_ head: ResponseHead, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        do throws(ClientHandshakeError) {
            let agreement = try extras.clientHandshake?.check(head)
            // Few connections need extras, and there may be very many of them.
            state.extras = nil
            if let subprotocol = agreement?.subprotocol { extras.subprotocol = subprotocol }
            if let parameters = agreement?.deflate { compress(parameters) }
        } catch {
            let cause = ConnectFailure.describe(error, location: head.headers.first("location"))
            return connectFailed("\(route.target.map { "\($0.url): " } ?? "")\(cause)")
        }
        open(process, scheduler)
    }

    // MARK: Masked messages

    /// Sends a message larger than the buffer for gathered writes: masked in that buffer piece by piece. Nothing is
    /// gathered and nothing waits before it.
    func sendLargeMasked(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, _ isCompressed: Bool, _ process: ProcessRef,
        _ scheduler: SchedulerRef
    ) -> Bool {
        let buffers = unsafe IOBuffers.of(scheduler)
        // Safe: the buffer has the size given, and belongs to this turn.
        let buffer = unsafe UnsafeMutableRawBufferPointer(
            start: buffers.pointee.gather, count: IOBuffers.gatherByteCount)
        let key = unsafe MaskingKey(bits: buffers.pointee.entropy.next())
        var filled = unsafe FrameEncoder.writeHeader(
            opcode, isCompressed: isCompressed, payloadByteCount: payload.count, key: key, to: buffer)
        var offset = 0
        while true {
            let count = min(buffer.count - filled, payload.count - offset)
            unsafe mask(
                payload, from: offset, key, to: UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<filled + count])
            )
            filled += count
            offset += count
            roost_charge(200)
            var sent = 0
            switch unsafe transmit(UnsafeRawBufferPointer(rebasing: buffer[..<filled])) {
            case .bytes(let taken): sent = taken
            case .wouldBlock: break
            case .failed(let code):
                writeFailed(code)
                return false
            }
            if sent < filled {
                let rest = unsafe UnsafeRawBufferPointer(rebasing: buffer[sent..<filled])
                unsafe keepMasked(rest, payload, from: offset, key, process, scheduler)
                return true
            }
            if offset == payload.count { return true }
            filled = 0
        }
    }

    /// Keeps what the kernel did not take: masked bytes, then the payload's rest. The message is kept whole, whatever
    /// the limit.
    private func keepMasked(
        _ masked: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer, from offset: Int, _ key: MaskingKey,
        _ process: ProcessRef, _ scheduler: SchedulerRef
    ) {
        let left = payload.count - offset
        state.flags.insert(.isBlocked)
        state.outbound.reserve(masked.count + left, process, scheduler, isExact: true)
        unsafe state.outbound.append(masked, process, scheduler)
        unsafe mask(
            payload, from: offset, key, to: UnsafeMutableRawBufferPointer(rebasing: state.outbound.spare[..<left]))
        state.outbound.count += UInt32(left)
        state.outboundFrameRemaining = state.outbound.count
    }

    private func mask(
        _ payload: UnsafeRawBufferPointer, from offset: Int, _ key: MaskingKey, to target: UnsafeMutableRawBufferPointer
    ) {
        // Safe: the target is as long as the piece that is copied into it.
        unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: payload[offset..<offset + target.count]))
        unsafe key.advanced(by: offset).apply(to: target)
    }
}

extension ConnectRequest {
    /// What a client's handler is made with: there is no request from a peer.
    static func ofClient(peer: SocketAddress?) -> ConnectRequest {
        ConnectRequest(
            head: emptyHead, peer: peer, subprotocol: nil, pathRemainder: "", isSecure: false, clientCertificate: nil)
    }

    private static let emptyHead: RequestHead = {
        var parser = RequestHeadParser(limits: HTTPLimits())
        let bytes = Array("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".utf8)
        guard case .head(let head, _) = unsafe bytes.withUnsafeBytes({ unsafe parser.parse($0) }) else {
            preconditionFailure("ConnectRequest.ofClient: the parser refused a constant head")
        }
        return head
    }()
}
