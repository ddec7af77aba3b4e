// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import RoostHTTP
internal import RoostIO
internal import RoostRuntime
internal import Synchronization

/// A plain request whose head has come.
struct PendingRequest {
    let head: RequestHead
    let route: Route
    let pathRemainder: String
    /// Bytes of a body of known length that are still to come.
    var remainingByteCount = 0
    /// Decodes the body, where it comes in chunks.
    var chunks: ChunkedBodyDecoder?
}

// Plain HTTP/1.1 requests, one after the other (RFC 9112 §9.3): read whole, handed to the route's responder, answered.

extension ConnectionRef {
    var requestCount: Int { state.extras?.requestCount ?? 0 }

    // MARK: Reading

    /// Takes what was kept and what has come since, in the scheduler's buffer; nil when there is nothing new. What is
    /// not used up is given back with `keep`.
    private func takeInput(_ process: ProcessRef, _ scheduler: SchedulerRef) -> UnsafeMutableRawBufferPointer? {
        let buffer = unsafe IOBuffers.of(scheduler).pointee.read
        let kept = Int(state.residue.count)
        var count = kept
        if state.flags.contains(.hasBacklog) {
            state.flags.remove(.hasBacklog)
        } else {
            guard state.flags.contains(.readable) else { return nil }
            // A byte more than a head may have, so that one too long is seen to be.
            let room = min(IOBuffers.readByteCount - kept, 64 << 10)
            roost_charge(200)
            switch unsafe receive(into: UnsafeMutableRawBufferPointer(start: buffer + kept, count: room)) {
            case .wouldBlock: return nil
            case .endOfStream, .failed:
                requestsEnded()
                return nil
            case .bytes(let received): count += received
            }
            if kept == 0, requestCount > 0, state.stage == .requestHead {
                state.deadline = .now() + listener.configuration.handshakeTimeout
            }
        }
        if kept > 0 { unsafe _ = memcpy(buffer, state.residue.bytes.baseAddress!, kept) }
        state.residue.release(process, scheduler)
        return unsafe UnsafeMutableRawBufferPointer(start: buffer, count: count)
    }

    /// Puts bytes by, to be looked at before the socket is read (`isWhole`: there may be a request among them), or with
    /// what it has next.
    private func keep(
        _ bytes: UnsafeMutableRawBufferPointer, from offset: Int, isWhole: Bool, _ process: ProcessRef,
        _ scheduler: SchedulerRef
    ) {
        guard offset < bytes.count else { return }
        unsafe state.residue.append(UnsafeRawBufferPointer(rebasing: bytes[offset...]), process, scheduler)
        if isWhole { state.flags.insert(.hasBacklog) }
    }

    /// The client has ended its side, or is gone.
    private func requestsEnded() {
        state.flags.remove(.readable)
        state.flags.insert(.hasPeerEnded)
        let isBetween = requestCount > 0 && state.residue.isEmpty && state.stage == .requestHead
        noteReason(
            isBetween
                ? CloseReason(.requestsServed) : CloseReason(.handshakeAbandoned, message: "ended before its request"))
        state.phase = .closed
    }

    /// The next request's head; nil when it is not there, or was refused.
    func readHead(_ process: ProcessRef, _ scheduler: SchedulerRef) -> RequestHead? {
        guard let bytes = unsafe takeInput(process, scheduler) else { return nil }
        // What had come of it before is looked at again.
        roost_charge(Int64(bytes.count >> 4))
        var parser = RequestHeadParser(limits: listener.httpLimits)
        switch unsafe parser.parse(UnsafeRawBufferPointer(bytes)) {
        case .needsMoreBytes:
            unsafe keep(bytes, from: 0, isWhole: false, process, scheduler)
            return nil
        case .failure(let error):
            refuseHead(error, process, scheduler)
            return nil
        case .head(let head, let consumed):
            unsafe keep(bytes, from: consumed, isWhole: true, process, scheduler)
            return head
        }
    }

    /// A plain request: its body is awaited, if it has one that may be.
    func beginExchange(
        _ head: RequestHead, _ route: Route, _ remainder: String, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) throws {
        guard route.methods.contains(head.method) else {
            return refuseMethod(head, route, process, scheduler)
        }
        var request = PendingRequest(head: head, route: route, pathRemainder: remainder)
        let limit = listener.configuration.http.bodyByteCountMax
        switch head.bodyFraming {
        case .none, .contentLength(0): return try respond(request, [], process, scheduler)
        case .contentLength(let byteCount):
            guard byteCount <= limit else { return refuseBody(head, limit, process, scheduler) }
            request.remainingByteCount = byteCount
        case .chunked: request.chunks = ChunkedBodyDecoder(bodyByteCountMax: limit)
        }
        switch head.expectsContinue {
        case .none: break
        case .unknown:
            return refuse(.expectationFailed, "'Expect' may only be 100-continue", to: head, process, scheduler)
        case .continue:
            // Who has begun to send the body has not waited (RFC 9110 §10.1.1).
            if state.residue.isEmpty { sendRaw(ResponseEncoder.continueResponse, process, scheduler) }
        }
        extras.exchange = request
        state.stage = .requestBody
    }

    private func refuseMethod(
        _ head: RequestHead, _ route: Route, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) {
        let allowed = route.methods.joined(separator: ", ")
        refused(.methodNotAllowed, "use \(allowed)")
        let fields = [
            HeaderField(known: "Allow", allowed), HeaderField(known: "Content-Type", "text/plain; charset=utf-8"),
        ]
        sendRaw(
            ResponseEncoder.encode(
                status: .methodNotAllowed, fields: fields, body: Array("use \(allowed)\n".utf8),
                isHead: head.method == "HEAD", keepsAlive: false),
            process, scheduler)
    }

    private func refuseBody(_ head: RequestHead, _ limit: Int, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        noteReason(CloseReason(.requestInvalid, message: "413 body of more than \(limit) bytes"))
        refuse(.contentTooLarge, "the body may have \(limit) bytes (max-body-bytes)", to: head, process, scheduler)
    }

    /// Takes what has come of a body; answers the request when it is whole.
    func readBody(_ process: ProcessRef, _ scheduler: SchedulerRef) throws -> HandshakeProgress {
        guard var request = state.extras?.exchange else { preconditionFailure("a body is read without its request") }
        guard let bytes = unsafe takeInput(process, scheduler) else { return .goesOn }
        roost_charge(Int64(bytes.count >> 8))
        let piece: BodyPiece
        do throws(HTTPError) {
            piece = try unsafe takeBody(UnsafeRawBufferPointer(bytes), &request, process, scheduler)
        } catch {
            refuseHead(error, process, scheduler)
            return .goesOn
        }
        unsafe keep(bytes, from: piece.consumedByteCount, isWhole: piece.isLast, process, scheduler)
        guard piece.isLast else {
            extras.exchange = request
            return .goesOn
        }
        let body = unsafe Array(UnsafeRawBufferPointer(state.assembly.bytes))
        state.assembly.release(process, scheduler)
        extras.exchange = nil
        state.stage = .requestHead
        try respond(request, body, process, scheduler)
        return .goesOn
    }

    private struct BodyPiece {
        var consumedByteCount = 0
        /// The body is whole; what was not consumed is the next request.
        var isLast = false
    }

    private func takeBody(
        _ bytes: UnsafeRawBufferPointer, _ request: inout PendingRequest, _ process: ProcessRef,
        _ scheduler: SchedulerRef
    ) throws(HTTPError) -> BodyPiece {
        var piece = BodyPiece()
        guard request.chunks != nil else {
            piece.consumedByteCount = min(bytes.count, request.remainingByteCount)
            unsafe state.assembly.append(
                UnsafeRawBufferPointer(rebasing: bytes[..<piece.consumedByteCount]), process, scheduler)
            request.remainingByteCount -= piece.consumedByteCount
            piece.isLast = request.remainingByteCount == 0
            return piece
        }
        while piece.consumedByteCount < bytes.count {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[piece.consumedByteCount...])
            guard let event = unsafe request.chunks?.decode(rest) else { break }
            piece.consumedByteCount += event.consumedByteCount
            switch event {
            case .data(let offset, let byteCount, _):
                unsafe state.assembly.append(
                    UnsafeRawBufferPointer(rebasing: rest[offset..<offset + byteCount]), process, scheduler)
            case .end:
                piece.isLast = true
                return piece
            case .failure(let error): throw error
            case .needsMoreBytes: return piece
            }
        }
        return piece
    }

    // MARK: Answering

    /// Asks the route's responder, which is handler code: it may throw, trap or wait.
    private func respond(
        _ request: PendingRequest, _ body: [UInt8], _ process: ProcessRef, _ scheduler: SchedulerRef
    ) throws {
        let head = request.head
        guard let responder = request.route.responder else { preconditionFailure("no responder at \(head.path)") }
        let message = HTTPRequest(
            head: head, peer: state.peer, isSecure: state.flags.contains(.isSecure),
            pathRemainder: request.pathRemainder, body: body)
        // Who looks at a process that is stuck, or has crashed, wants to know where.
        unsafe state.route = request.route
        extras.requestCount += 1
        listener.counters.requests.add(1, ordering: .relaxed)
        let response = try called(responder, message)
        let limits = listener.configuration.http
        let keepsAlive =
            head.keepsAlive && limits.keepAliveTimeout != .zero && requestCount < limits.requestCountMax
            && !listener.isDraining && !process.isExiting
        sendRaw(
            ResponseEncoder.encode(
                status: response.status, fields: response.fields.filter { !ResponseEncoder.isReserved($0.name) },
                body: response.body, isHead: head.method == "HEAD", keepsAlive: keepsAlive,
                version: head.version, date: HTTPDate(secondsSince1970: Int(time(nil)))), process, scheduler)
        guard state.phase == .handshake else { return }
        if keepsAlive {
            awaitRequest()
        } else {
            noteReason(CloseReason(.requestsServed))
            endRequests()
            // As long as any other answer has to leave.
            if !state.outbound.isEmpty { state.deadline = .now() + listener.configuration.handshakeTimeout }
        }
    }

    /// A request has been answered: the answer has to leave, and the next request may be there in part already.
    func awaitRequest() {
        let configuration = listener.configuration
        let isBetween = state.outbound.isEmpty && state.residue.isEmpty
        state.deadline = .now() + (isBetween ? configuration.http.keepAliveTimeout : configuration.handshakeTimeout)
    }

    private func called(_ responder: HTTPResponder, _ request: HTTPRequest) throws -> HTTPResponse {
        roost_handler_begin()
        defer { roost_handler_end() }
        return try responder(request)
    }
}
