// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

// From the socket to the handler.

extension ConnectionRef {
    /// A frame with so much still to come is read straight into its place.
    private static let directReadMin = 32 << 10
    /// Reductions for a message, and for each 256 bytes of it: a turn handles about a hundred small messages or 256
    /// KiB.
    private static let messageReductions: Int64 = 16

    /// Reads once and handles what came.
    func read(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        if state.frameRemaining >= Self.directReadMin {
            return try readDirectly(process, scheduler)
        }
        let buffers = unsafe IOBuffers.of(scheduler)
        let buffer = unsafe buffers.pointee.read
        let kept = Int(state.residue.count)
        let room = IOBuffers.readByteCount - kept
        roost_charge(200)
        let outcome = unsafe receive(into: UnsafeMutableRawBufferPointer(start: buffer + kept, count: room))
        guard let count = received(outcome, scheduler) else { return }
        if kept > 0 {
            unsafe _ = memcpy(buffer, state.residue.bytes.baseAddress!, kept)
            state.residue.release(process, scheduler)
        }
        unsafe state.readBuffer = unsafe buffer
        state.readCursor = 0
        state.readEnd = UInt32(kept + count)
        try decode(process, scheduler)
    }

    /// Notes what a read came to; nil when there is nothing to decode.
    private func received(_ outcome: ReadOutcome, _ scheduler: SchedulerRef) -> Int? {
        switch outcome {
        case .bytes(let count):
            heardOfPeer(scheduler)
            unsafe IOBuffers.of(scheduler).pointee.readAt = MonotonicTime(nanoseconds: 0)
            return count
        case .wouldBlock: return nil
        case .endOfStream:
            // What it sent before is handled, and what is on its way to it leaves, before the connection ends
            // (`finishTurn`).
            peerEnded("end of stream without a close frame")
            state.deadline = scheduler.now + route.limits.closeTimeout
            return nil
        case .failed(let code):
            peerEnded(unsafe String(cString: strerror(code)))
            _ = state.closing.transportEnded()
            state.phase = .closed
            return nil
        }
    }

    private func peerEnded(_ message: String) {
        state.flags.remove(.readable)
        state.flags.insert(.hasPeerEnded)
        noteReason(CloseReason(.connectionLost, code: .abnormalClosure, message: message))
    }

    private func readDirectly(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        roost_charge(200)
        state.assembly.reserve(state.frameRemaining, process, scheduler, isExact: true)
        let start = Int(state.assembly.count)
        let room = min(state.frameRemaining, state.assembly.spareCount)
        let spare = unsafe UnsafeMutableRawBufferPointer(rebasing: state.assembly.spare[..<room])
        guard let count = received(unsafe receive(into: spare), scheduler) else { return }
        var offset = 0
        while offset < count {
            let event = unsafe state.decoder.decode(UnsafeMutableRawBufferPointer(rebasing: spare[offset..<count]))
            guard case .chunk(let kind, _, let byteCount, let remaining, let isEnd, let isCompressed) = event else {
                if case .failure(let error) = event { fail(error, process, scheduler) }
                return
            }
            offset += byteCount
            state.assembly.count = UInt32(start + offset)
            state.frameRemaining = remaining
            if isEnd { return try deliverAssembled(kind, isCompressed, process, scheduler) }
            if byteCount == 0 { return }
        }
    }

    // MARK: Decoding

    /// Decodes what the turn has read and hands it to the handler.
    func decode(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        while state.readCursor < state.readEnd {
            guard state.phase == .open, state.closing.mayReceive else { break }
            let bytes = unsafe UnsafeMutableRawBufferPointer(
                start: state.readBuffer! + Int(state.readCursor), count: Int(state.readEnd - state.readCursor))
            let event = unsafe state.decoder.decode(bytes)
            state.readCursor += UInt32(event.consumedByteCount)
            switch event {
            case .message(let kind, let offset, let byteCount, let isCompressed):
                state.lastMessage = state.lastReceived
                guard isWithinRate(byteCount, process, scheduler) else { break }
                let payload = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + byteCount])
                if isCompressed {
                    try unsafe deliverCompressed(kind, payload, process, scheduler)
                } else {
                    try unsafe deliver(kind, payload)
                }
            case .chunk(let kind, let offset, let byteCount, let remaining, let isEnd, let isCompressed):
                state.frameRemaining = remaining
                unsafe state.assembly.append(
                    UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + byteCount]), process, scheduler)
                if isEnd { try deliverAssembled(kind, isCompressed, process, scheduler) }
            case .control(let kind, let offset, let byteCount):
                roost_charge(Self.messageReductions)
                guard kind == .close || isWithinRate(byteCount, process, scheduler) else { break }
                unsafe control(
                    kind, UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + byteCount]), process, scheduler)
            case .needsMoreBytes:
                unsafe state.residue.append(UnsafeRawBufferPointer(bytes), process, scheduler)
                state.readCursor = state.readEnd
            case .failure(let error):
                fail(error, process, scheduler)
            }
            if isTurnOver { suspendTurn(process) }
            if !state.flags.isDisjoint(with: .isSlowed) { return keepUndecoded(process, scheduler) }
            // Told to end, or messages were put by while the callback waited: they come first.
            if process.isExiting || state.flags.contains(.hasWaiting) { return }
        }
        doneWithReadBuffer(scheduler)
    }

    /// Decodes what a pause left undecoded.
    func decodeBacklog(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        state.flags.remove(.hasBacklog)
        let count = state.residue.count
        guard count > 0 else { return }
        let buffer = unsafe IOBuffers.of(scheduler).pointee.read
        unsafe _ = memcpy(buffer, state.residue.bytes.baseAddress!, Int(count))
        state.residue.release(process, scheduler)
        unsafe state.readBuffer = unsafe buffer
        state.readCursor = 0
        state.readEnd = count
        try decode(process, scheduler)
    }

    /// What was read has been handled: the buffer goes back.
    func doneWithReadBuffer(_ scheduler: SchedulerRef) {
        guard let buffer = unsafe state.readBuffer else { return }
        if state.flags.contains(.ownsReadBuffer) {
            unsafe IOBuffers.of(scheduler).pointee.giveBack(buffer)
            state.flags.remove(.ownsReadBuffer)
        }
        unsafe state.readBuffer = nil
        state.readCursor = 0
        state.readEnd = 0
    }

    @inline(__always)
    func deliver(_ kind: MessageKind, _ payload: UnsafeRawBufferPointer) throws {
        roost_charge(Self.messageReductions &+ Int64(payload.count &>> 8))
        switch kind {
        case .text: try call { type, handler in try unsafe type.text(handler, payload) }
        case .binary: try call { type, handler in try unsafe type.binary(handler, payload) }
        }
    }

    private func deliverAssembled(
        _ kind: MessageKind, _ isCompressed: Bool, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) throws {
        state.lastMessage = state.lastReceived
        guard isWithinRate(Int(state.assembly.count), process, scheduler) else {
            return state.assembly.release(process, scheduler)
        }
        // Moved aside first: more may arrive, and be assembled, while the handler looks at it.
        state.delivering = state.assembly
        state.assembly = ByteBlock()
        guard isCompressed else {
            try unsafe deliver(kind, UnsafeRawBufferPointer(state.delivering.bytes))
            return state.delivering.release(process, scheduler)
        }
        let isInflated = unsafe inflate(kind, UnsafeRawBufferPointer(state.delivering.bytes), process, scheduler)
        state.delivering.release(process, scheduler)
        if isInflated { try deliverInflated(kind, process, scheduler) }
    }

    /// Takes a message, or a control frame, into account of the client's rate. False: it is not handled, and the
    /// connection closes.
    @inline(__always)
    private func isWithinRate(_ byteCount: Int, _ process: ProcessRef, _ scheduler: SchedulerRef) -> Bool {
        state.flags.contains(.hasRateLimit) ? noteRate(byteCount, process, scheduler) : true
    }

    @inline(never)
    private func noteRate(_ byteCount: Int, _ process: ProcessRef, _ scheduler: SchedulerRef) -> Bool {
        let limits = route.limits
        let until = extras.rate.note(
            byteCount: byteCount, messagesPerSecond: limits.messagesPerSecond, bytesPerSecond: limits.bytesPerSecond,
            at: scheduler.now.nanoseconds)
        guard let until else { return true }
        // Behind our close frame nothing is answered, and the client's must be heard in time (RFC 6455 §5.5.1).
        guard state.closing.maySendMessages else { return false }
        switch limits.rateLimit {
        case .delay:
            if !state.flags.contains(.isThrottled) { listener.counters.throttled.add(1, ordering: .relaxed) }
            state.flags.insert(.isThrottled)
            extras.throttledUntil = MonotonicTime(nanoseconds: until)
            return true
        case .close:
            let bounds = [
                limits.messagesPerSecond > 0 ? "\(limits.messagesPerSecond) messages" : nil,
                limits.bytesPerSecond > 0 ? "\(limits.bytesPerSecond) bytes" : nil,
            ]
            let text = "more than \(bounds.compactMap(\.self).joined(separator: " or ")) a second"
            beginClose(CloseReason(.rateLimited, code: .policyViolation, message: text), process, scheduler)
            return false
        }
    }

    private func control(
        _ kind: ControlKind, _ payload: UnsafeRawBufferPointer, _ process: ProcessRef, _ scheduler: SchedulerRef,
        isForLater: Bool = false
    ) {
        switch kind {
        case .pong: break
        case .ping: unsafe sendPong(payload, process, scheduler)
        case .close:
            do throws(FrameError) {
                let close = try unsafe ClosePayload(parsing: payload)
                let cause = role == .client ? CloseReason.Cause.serverClosed : .clientClosed
                noteReason(CloseReason(cause, code: close.reportedCode, message: close.reason))
                if isForLater, state.closing.maySendMessages { return putByClose(close, scheduler) }
                perform(
                    state.closing.receivedClose(
                        close, as: role, at: scheduler.now.nanoseconds, timeout: closeTimeoutNanoseconds), process,
                    scheduler)
            } catch {
                fail(error, process, scheduler)
            }
        }
    }

    // MARK: While a callback waits (hazard 3)

    /// The handler's callback is parked or was preempted, and something has come: pings are answered, a close is
    /// noticed, messages are put by. Scheduler context: no handler code runs here.
    func serveWhileHandlerWaits(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        if isBrokenInCallback { return scheduler.tellToExit(process, .shutdown) }
        let wake = process.peekWakeFlags()
        let isDue = state.timerDeadline <= scheduler.now
        let mindsRooms = !state.flags.isDisjoint(with: .mindRooms)
        guard
            isDue || hasUndecoded || isUnread || mindsRooms || !wake.isDisjoint(with: [.readable, .writable, .hangup])
        else { return }
        guard state.phase == .open || state.phase == .lingering else {
            return keepForBeginning(wake, process, scheduler)
        }
        if wake.contains(.writable) {
            noteWritable()
            if !state.outbound.isEmpty { flushOutbound(process, scheduler) }
        }
        if wake.contains(.hangup) { state.flags.insert(.hasHangup) }
        if wake.contains(.readable) { state.flags.insert(.readable) }
        process.clearWakeFlags([.readable, .writable, .hangup])
        if mindsRooms { serveRoomsWhileHandlerWaits(process, scheduler) }
        serveReadBuffer(process, scheduler)
        serveBacklog(process, scheduler)
        while state.phase == .open, state.flags.contains(.readable), state.readCursor == state.readEnd,
            state.flags.isDisjoint(with: [.isHeld, .hasPendingClose])
        {
            readForLater(process, scheduler)
        }
        if isDue { timePassedWhileHandlerWaits(process, scheduler) }
        flush(process, scheduler)
        if state.flags.contains(.hasPeerEnded) || !state.closing.mayReceive { endWritingWhileHandlerWaits() }
        armDeadline(process, scheduler)
        // The socket is gone: the callback's waiting calls throw, so that the connection can end.
        if state.phase == .closed { scheduler.tellToExit(process, .shutdown) }
    }

    /// The socket broke under what was sent, and the callback does not know yet.
    private var isBrokenInCallback: Bool {
        state.phase == .closed && state.flags.contains(.isInCallback) && !state.flags.contains(.hasTerminated)
    }

    /// `connect` or a responder waits: what has come is seen to when it returns. The flags would not last until then.
    private func keepForBeginning(_ wake: WakeFlags, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        note(wake)
        process.clearWakeFlags([.readable, .writable, .hangup])
        guard state.timerDeadline <= scheduler.now else { return }
        // Armed again at the turn's end.
        if state.timer != .none { scheduler.cancelTimer(state.timer) }
        state.timer = .none
        state.timerDeadline = .distantFuture
    }

    /// A callback stands before bytes that were read with those it handles: a ping or a close may be among them.
    private var hasUndecoded: Bool {
        state.readCursor < state.readEnd && state.flags.contains(.isInCallback) && state.flags.isDisjoint(with: .isHeld)
    }

    /// The socket has more than was read before the callback, its end perhaps: it will not say so again. (Between
    /// callbacks it is read as ever.)
    private var isUnread: Bool {
        state.flags.isSuperset(of: [.readable, .isInCallback])
            && state.flags.isDisjoint(with: [.isHeld, .hasPendingClose, .hasPeerEnded])
    }

    /// The last frame has left: the peer need not wait for the callback to learn so.
    private func endWritingWhileHandlerWaits() {
        guard state.outbound.isEmpty, !state.closing.maySendMessages, !state.flags.contains(.isHalfClosed) else {
            return
        }
        if endWriting() { state.flags.insert(.isHalfClosed) }
    }

    /// Undecoded bytes that a pause left behind come before those that are still in the socket.
    private func serveBacklog(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard state.phase == .open, state.flags.contains(.hasBacklog), state.flags.isDisjoint(with: .isHeld),
            state.readCursor == state.readEnd
        else { return }
        state.flags.remove(.hasBacklog)
        var backlog = state.residue
        state.residue = ByteBlock()
        let consumed = unsafe decodeForLater(backlog.bytes, process, scheduler)
        if state.phase == .open {
            unsafe state.residue.append(
                UnsafeRawBufferPointer(rebasing: backlog.bytes[consumed...]), process, scheduler)
            if !state.flags.isDisjoint(with: .isHeld) { state.flags.insert(.hasBacklog) }
        }
        backlog.release(process, scheduler)
    }

    /// What the process had read before it stopped, and not decoded, comes first. The buffer stays: a callback may look
    /// at it.
    private func serveReadBuffer(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard state.readCursor < state.readEnd, state.flags.isDisjoint(with: .isHeld) else { return }
        let rest = unsafe UnsafeMutableRawBufferPointer(
            start: state.readBuffer! + Int(state.readCursor), count: Int(state.readEnd - state.readCursor))
        let consumed = unsafe decodeForLater(rest, process, scheduler)
        state.readCursor += UInt32(consumed)
        guard state.flags.isDisjoint(with: .isHeld), state.phase == .open else { return }
        // An incomplete frame: its rest will be read behind it.
        unsafe state.residue.append(UnsafeRawBufferPointer(rebasing: rest[consumed...]), process, scheduler)
        state.readCursor = state.readEnd
    }

    /// Reads once, into the scheduler's buffer, and puts messages by.
    private func readForLater(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        let buffer = unsafe IOBuffers.of(scheduler).pointee.read
        let kept = Int(state.residue.count)
        let room = min(IOBuffers.readByteCount - kept, route.limits.waitingByteCountMax)
        let outcome = unsafe receive(into: UnsafeMutableRawBufferPointer(start: buffer + kept, count: room))
        guard let count = received(outcome, scheduler) else { return }
        if kept > 0 {
            unsafe _ = memcpy(buffer, state.residue.bytes.baseAddress!, kept)
            state.residue.release(process, scheduler)
        }
        let bytes = unsafe UnsafeMutableRawBufferPointer(start: buffer, count: kept + count)
        let consumed = unsafe decodeForLater(bytes, process, scheduler)
        guard consumed < bytes.count, state.phase == .open else { return }
        unsafe state.residue.append(UnsafeRawBufferPointer(rebasing: bytes[consumed...]), process, scheduler)
        if !state.flags.isDisjoint(with: .isHeld) { state.flags.insert(.hasBacklog) }
    }

    /// Decodes `bytes` until they end or enough is put by; returns how many it consumed.
    private func decodeForLater(
        _ bytes: UnsafeMutableRawBufferPointer, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) -> Int {
        var consumed = 0
        while consumed < bytes.count, state.phase == .open, state.closing.mayReceive,
            state.flags.isDisjoint(with: .isHeld)
        {
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[consumed...])
            let event = unsafe state.decoder.decode(rest)
            consumed += event.consumedByteCount
            switch event {
            case .message(let kind, let offset, let byteCount, let isCompressed):
                state.lastMessage = state.lastReceived
                guard isWithinRate(byteCount, process, scheduler) else { break }
                unsafe putBy(
                    kind, isCompressed, UnsafeRawBufferPointer(rebasing: rest[offset..<offset + byteCount]), process,
                    scheduler)
            case .chunk(let kind, let offset, let byteCount, let remaining, let isEnd, let isCompressed):
                state.frameRemaining = remaining
                unsafe state.assembly.append(
                    UnsafeRawBufferPointer(rebasing: rest[offset..<offset + byteCount]), process, scheduler)
                if isEnd {
                    state.lastMessage = state.lastReceived
                    if isWithinRate(Int(state.assembly.count), process, scheduler) {
                        unsafe putBy(
                            kind, isCompressed, UnsafeRawBufferPointer(state.assembly.bytes), process, scheduler)
                    }
                    state.assembly.release(process, scheduler)
                }
            case .control(let kind, let offset, let byteCount):
                let payload = unsafe UnsafeRawBufferPointer(rebasing: rest[offset..<offset + byteCount])
                guard kind == .close || isWithinRate(byteCount, process, scheduler) else { break }
                unsafe control(kind, payload, process, scheduler, isForLater: true)
                // Nothing after the first close frame counts.
                if state.flags.contains(.hasPendingClose) { return bytes.count }
            case .needsMoreBytes: return consumed
            case .failure(let error): fail(error, process, scheduler)
            }
        }
        return consumed
    }

    /// A message that was put by begins with its size, and whether it is binary and whether compressed.
    private static let isBinaryBit: UInt64 = 1
    private static let isCompressedBit: UInt64 = 2

    private func putBy(
        _ kind: MessageKind, _ isCompressed: Bool, _ payload: UnsafeRawBufferPointer, _ process: ProcessRef,
        _ scheduler: SchedulerRef
    ) {
        let extras = extras
        let bits = (kind == .binary ? Self.isBinaryBit : 0) | (isCompressed ? Self.isCompressedBit : 0)
        var header = (UInt64(payload.count) << 8 | bits).littleEndian
        unsafe withUnsafeBytes(of: &header) { unsafe extras.waiting.append($0, process, scheduler) }
        unsafe extras.waiting.append(payload, process, scheduler)
        state.flags.insert(.hasWaiting)
        if Int(extras.waiting.count) >= route.limits.waitingByteCountMax { state.flags.insert(.isPaused) }
    }

    /// Hands the handler what was put by, oldest first. What is put by meanwhile is left for the next time: a client
    /// that never stops sending does not keep messages of processes and timers from their turn.
    func deliverWaiting(_ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        guard let extras = state.extras else { return }
        while state.phase == .open, !process.isExiting, !state.flags.contains(.isHeldByRoom) {
            if extras.deliveringOffset == nil {
                guard !extras.waiting.isEmpty else { break }
                state.delivering = extras.waiting
                extras.waiting = ByteBlock()
                extras.deliveringOffset = 0
                state.flags.subtract([.isPaused, .hasWaiting])
            }
            let offset = extras.deliveringOffset!
            guard offset < Int(state.delivering.count) else {
                extras.deliveringOffset = nil
                return state.delivering.release(process, scheduler)
            }
            let bytes = unsafe UnsafeRawBufferPointer(state.delivering.bytes)
            let header = unsafe UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            let byteCount = Int(header >> 8)
            // before the callback: a message that crashes is not tried again
            extras.deliveringOffset = offset + 8 + byteCount
            let kind: MessageKind = header & Self.isBinaryBit == 0 ? .text : .binary
            let payload = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset + 8..<offset + 8 + byteCount])
            if header & Self.isCompressedBit != 0 {
                try unsafe deliverCompressed(kind, payload, process, scheduler)
            } else {
                try unsafe deliver(kind, payload)
            }
            if isTurnOver { suspendTurn(process) }
        }
    }

    // MARK: Stopping in the middle of a turn

    /// Before anyone else runs: what was gathered leaves, and the read buffer goes with the process (C2).
    func keepBorrowed(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        flush(process, scheduler)
        if unsafe state.readBuffer != nil, !state.flags.contains(.ownsReadBuffer) { takeReadBuffer(process, scheduler) }
        if hasUndecoded || isBrokenInCallback { process.wakeSelf() }
        // `terminated` waits: the peer need not.
        if state.phase == .closed, state.outbound.isEmpty { endWriting() }
    }

    private func takeReadBuffer(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        unsafe _ = IOBuffers.of(scheduler).pointee.takeReadBuffer(usedByteCount: Int(state.readEnd))
        state.flags.insert(.ownsReadBuffer)
    }
}
