// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import RoostHTTP
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket

// The opening handshake, client's side (RFC 6455 §4.1).

extension ConnectionRef {
    func beginAsClient(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        if process.isExiting {
            noteReason(CloseReason(.connectFailed, message: "told to exit"))
            state.phase = .closed
            return
        }
        if state.phase == .connecting {
            guard state.flags.contains(.isWatched), !state.flags.contains(.isBlocked) || state.flags.contains(.hasHangup) else { return }
            let code = SystemCalls.connectError(state.descriptor)
            guard code == 0 else { return connectFailed(unsafe String(cString: strerror(code))) }
            guard let handshake = extras.clientHandshake else { return connectFailed("no request") }
            state.phase = .handshake
            sendRaw(handshake.request, process, scheduler)
            state.flags.insert(.readable)
        }
        if state.phase == .handshake, state.flags.contains(.readable) { try readResponse(process, scheduler) }
    }

    private func connectFailed(_ message: String) {
        noteReason(CloseReason(.connectFailed, message: message))
        state.phase = .closed
    }

    private func readResponse(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        let buffer = unsafe IOBuffers.of(scheduler).pointee.read
        let kept = Int(state.residue.count)
        let room = 64 << 10
        switch unsafe SystemCalls.receive(state.descriptor, into: UnsafeMutableRawBufferPointer(start: buffer + kept, count: room)) {
        case .wouldBlock: state.flags.remove(.readable)
        case .endOfStream: connectFailed("the server ended the connection before it answered")
        case .failed(let code): connectFailed(unsafe String(cString: strerror(code)))
        case .bytes(let count):
            if count < room, !state.flags.contains(.hasHangup) { state.flags.remove(.readable) }
            if kept > 0 { unsafe _ = memcpy(buffer, state.residue.bytes.baseAddress!, kept) }
            state.residue.release(process, scheduler)
            let bytes = unsafe UnsafeRawBufferPointer(start: buffer, count: kept + count)
            var parser = ResponseHeadParser(limits: HTTPLimits(headByteCountMax: 65_535))
            switch unsafe parser.parse(bytes) {
            case .needsMoreBytes: unsafe state.residue.append(bytes, process, scheduler)
            case .failure(let error): connectFailed("\(error)")
            case .head(let head, let consumed):
                if consumed < bytes.count {
                    unsafe state.residue.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...]), process, scheduler)
                    state.flags.insert(.hasBacklog)
                }
                accept(head, process, scheduler)
            }
        }
    }

    private func accept(_ head: ResponseHead, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        do throws(ClientHandshakeError) {
            extras.subprotocol = try extras.clientHandshake?.check(head)
            extras.clientHandshake = nil
        } catch {
            return connectFailed("\(error)")
        }
        open(process, scheduler)
    }
}
