// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

// From a room to the socket. What the deliverer of the scheduler writes, and what waits for the connection's own
// process: whole frames, by reference, behind `outbound` (B5).

extension ConnectionRef {
    /// The deliverer may write to the socket straight away.
    var takesRoomFrames: Bool {
        @inline(__always) get {
            state.flags.isDisjoint(with: .mindsRoomFrames) && state.phase == .open && state.outbound.isEmpty
                && state.closing.maySendMessages
        }
    }

    /// Nothing of a room follows our close frame, or comes once the client has fallen too far behind.
    var mayBeSentRoomFrames: Bool {
        state.phase == .open && state.closing.maySendMessages && !state.flags.contains(.isOverrun)
    }

    /// Context is kept from message to message: only the connection's own process compresses for it.
    var keepsDeflateContext: Bool { state.flags.contains(.isCompressible) && state.deflate.keepsContext(of: role) }

    /// There is room for a frame once the connection's own process has compressed what waits; and it is about to, for
    /// its client takes what it is sent, and no callback holds it up.
    func mustCompress(before frame: PublicationRef) -> Bool {
        state.flags.contains(.hasRoomFrames) && unbufferedRoom < frame.backlogByteCount && state.outbound.isEmpty
            && state.flags.isDisjoint(with: [.isBlocked, .isInCallback])
    }

    // MARK: The deliverer

    /// Sends frames of a batch, or has them wait. Returns how many messages that were.
    func sendRoomFrames(of encoding: BatchEncoding, _ frames: Range<Int>, _ scheduler: SchedulerRef) -> Int {
        guard mayBeSentRoomFrames, let process = unsafe state.rooms?.pointee.process else { return 0 }
        if keepsDeflateContext {
            defer { scheduler.notify(process, .poke) }
            return keep(encoding.frames[frames], scheduler)
        }
        guard state.outbound.isEmpty, state.flags.isDisjoint(with: [.isBlocked, .hasRoomFrames]) else {
            return keep(encoding.frames[frames], scheduler)
        }
        let bytes = unsafe UnsafeRawBufferPointer(
            rebasing: encoding.bytes[encoding.start(of: frames.lowerBound)..<encoding.ends[frames.upperBound - 1]])
        switch unsafe transmit(bytes) {
        case .bytes(bytes.count): return frames.count
        case .bytes(let sent): return keepRest(of: encoding, frames, sent: sent, scheduler)
        case .wouldBlock: return keepRest(of: encoding, frames, sent: 0, scheduler)
        case .failed(let code):
            roomWriteFailed(code)
            return 0
        }
    }

    /// The kernel took `sent` bytes of these frames. The rest of one that has begun to leave goes to the process's heap
    /// (with TLS: what has begun to be a record); those behind it wait by reference. Returns how many messages were
    /// sent or kept.
    @inline(never)
    func keepRest(of encoding: BatchEncoding, _ frames: Range<Int>, sent: Int, _ scheduler: SchedulerRef) -> Int {
        guard let process = unsafe state.rooms?.pointee.process else { return 0 }
        let base = encoding.start(of: frames.lowerBound)
        var next = frames.lowerBound
        while next < frames.upperBound, encoding.ends[next] - base <= sent { next += 1 }
        state.flags.insert(.isBlocked)
        let start = encoding.start(of: next) - base
        if start < sent { state.outboundFrameRemaining = UInt32(encoding.ends[next] - base - sent) }
        var end = start
        while next < frames.upperBound, end < sent + heldByteCount || end == start && start < sent {
            end = encoding.ends[next] - base
            next += 1
        }
        if end > sent {
            unsafe state.outbound.append(
                UnsafeRawBufferPointer(rebasing: encoding.bytes[base + sent..<base + end]), process, scheduler)
        }
        return next - frames.lowerBound + keep(encoding.frames[next..<frames.upperBound], scheduler)
    }

    /// Has frames wait for the socket, within what the route allows. Returns how many do.
    private func keep(_ frames: ArraySlice<PublicationRef>, _ scheduler: SchedulerRef) -> Int {
        guard let mine = unsafe state.rooms else { return 0 }
        var kept = 0
        for frame in frames {
            if unbufferedRoom < frame.backlogByteCount, bufferedByteCount > 0 {
                guard makeRoomForFrame(frame, scheduler) else {
                    if state.flags.contains(.isOverrun) { break }
                    continue
                }
            }
            frame.retain()
            var word = frame.word
            // Safe: the address of a publication, which is retained until it is taken out.
            unsafe withUnsafeBytes(of: &word) {
                unsafe mine.pointee.pending.append($0, mine.pointee.process, scheduler)
            }
            unsafe mine.pointee.pendingByteCount += frame.backlogByteCount
            state.flags.insert(.hasRoomFrames)
            kept += 1
        }
        return kept
    }

    /// Bytes that wait for the client.
    var bufferedByteCount: Int {
        Int(state.outbound.count - state.outboundHead) + (unsafe state.rooms?.pointee.pendingByteCount ?? 0)
    }

    private var unbufferedRoom: Int { route.limits.outboundByteCountMax - bufferedByteCount }

    /// Too much waits for a client that does not read. As `makeRoom` for what the handler sends; but closing is left to
    /// the connection's own process, which is told.
    private func makeRoomForFrame(_ frame: PublicationRef, _ scheduler: SchedulerRef) -> Bool {
        switch route.limits.slowConsumer {
        case .close:
            dropRoomFrames(untilFreed: .max)
            countDropped(frame)
            state.flags.insert(.isOverrun)
            if let process = unsafe state.rooms?.pointee.process { scheduler.notify(process, .poke) }
            return false
        case .dropOldest:
            if !state.flags.contains(.isDropping) {
                listener.counters.slowConsumerEpisodes.add(1, ordering: .relaxed)
                state.flags.insert(.isDropping)
            }
            dropWaiting(untilFreed: frame.backlogByteCount - unbufferedRoom)
            guard unbufferedRoom < frame.backlogByteCount else { return true }
            countDropped(frame)
            return false
        }
    }

    private func countDropped(_ frame: PublicationRef) {
        listener.counters.droppedMessages.add(1, ordering: .relaxed)
        unsafe frame.publication.rooms._withUnsafeGuaranteedRef {
            _ = $0.counters.dropped.add(1, ordering: .relaxed)
        }
    }

    /// The socket broke under the deliverer: the connection's process sees to it.
    func roomWriteFailed(_ code: Int32) {
        withoutOwner { writeFailed(code) }
        if let process = unsafe state.rooms?.pointee.process { SchedulerRef.running.notify(process, .poke) }
    }

    // MARK: What waits

    /// Drops frames that wait, oldest first, until `wanted` bytes are free.
    func dropRoomFrames(untilFreed wanted: Int) {
        guard let mine = unsafe state.rooms, wanted > 0 else { return }
        let goal = max(0, unsafe mine.pointee.pendingByteCount - min(wanted, mine.pointee.pendingByteCount))
        while let frame = firstRoomFrame, unsafe mine.pointee.pendingByteCount > goal {
            countDropped(frame)
            removeFirstRoomFrame()
        }
    }

    /// Gives up frames that wait, uncounted: the connection is closing.
    func endRoomFrames(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard let mine = unsafe state.rooms else { return }
        while firstRoomFrame != nil { removeFirstRoomFrame() }
        unsafe mine.pointee.pending.release(process, scheduler)
    }

    private var firstRoomFrame: PublicationRef? {
        guard let mine = unsafe state.rooms, unsafe mine.pointee.pendingHead < mine.pointee.pending.count else {
            return nil
        }
        // Safe: `keep` has put whole addresses there.
        return unsafe PublicationRef(
            word: mine.pointee.pending.bytes.loadUnaligned(
                fromByteOffset: Int(mine.pointee.pendingHead), as: UInt.self))
    }

    private func roomFrame(_ index: Int) -> PublicationRef? {
        guard let mine = unsafe state.rooms else { return nil }
        let offset = unsafe Int(mine.pointee.pendingHead) + 8 * index
        guard unsafe offset < Int(mine.pointee.pending.count) else { return nil }
        // Safe: as above.
        return unsafe PublicationRef(
            word: mine.pointee.pending.bytes.loadUnaligned(fromByteOffset: offset, as: UInt.self))
    }

    private func removeFirstRoomFrame() {
        guard let mine = unsafe state.rooms, let frame = firstRoomFrame else { return }
        unsafe mine.pointee.pendingByteCount -= frame.backlogByteCount
        unsafe mine.pointee.pendingHead += 8
        frame.release()
        if unsafe mine.pointee.pendingHead == mine.pointee.pending.count {
            unsafe mine.pointee.pending.count = 0
            unsafe mine.pointee.pendingHead = 0
            state.flags.remove(.hasRoomFrames)
        } else if unsafe mine.pointee.pendingHead > mine.pointee.pending.count / 2 {
            unsafe mine.pointee.pending.removeFirst(Int(mine.pointee.pendingHead))
            unsafe mine.pointee.pendingHead = 0
        }
    }

    // MARK: The connection's own process

    /// What rooms have left for the connection's own turn.
    func serveRooms(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        if state.flags.contains(.isHeldByRoom) { endHold(process, scheduler) }
        if state.flags.contains(.hasRoomFrames) { flushRoomFrames(process, scheduler) }
        if state.flags.contains(.isOverrun) { closeOverrun(process, scheduler) }
    }

    /// As `serveRooms`, while a callback is stopped on the process's stack: nothing here may wait.
    func serveRoomsWhileHandlerWaits(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        if state.flags.contains(.isHeldByRoom) { endHold(process, scheduler) }
        if state.flags.contains(.hasRoomFrames), !keepsDeflateContext { flushRoomFrames(process, scheduler) }
        if state.flags.contains(.isOverrun) { closeOverrun(process, scheduler) }
    }

    /// A callback that waited has taken the wake-up for frames that had to wait until it returned: they leave in the
    /// next turn. What waits for the socket waits on.
    func resumeRoomFrames(_ process: ProcessRef) {
        guard state.phase == .open, state.outbound.isEmpty, !state.flags.contains(.isBlocked) else { return }
        process.wakeSelf()
    }

    /// The client has fallen too far behind: closes, as when the handler had sent that much.
    private func closeOverrun(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard state.phase == .open, state.closing.maySendMessages else { return }
        beginCloseOfSlowConsumer(process, scheduler)
    }

    /// The socket may take more: sends what waited of rooms. Nothing is in `outbound`, or that is sent first.
    func flushRoomFrames(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        while state.flags.contains(.hasRoomFrames), state.outbound.isEmpty, !state.flags.contains(.isBlocked),
            state.phase == .open, state.closing.maySendMessages
        {
            flush(process, scheduler)
            guard state.outbound.isEmpty, !state.flags.contains(.isBlocked), state.phase == .open else { return }
            if keepsDeflateContext {
                sendCompressedRoomFrame(process, scheduler)
            } else {
                sendPending(process, scheduler)
            }
        }
        if !state.flags.contains(.hasRoomFrames), state.outbound.isEmpty {
            state.flags.remove(.isDropping)
            if let mine = unsafe state.rooms, unsafe mine.pointee.pending.capacity > 0 {
                unsafe mine.pointee.pending.release(process, scheduler)
            }
        }
    }

    private func sendCompressedRoomFrame(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard let frame = firstRoomFrame else { return }
        frame.retain()
        defer { frame.release() }
        removeFirstRoomFrame()
        let payload = unsafe frame.payload
        let opcode = frame.publication.opcode
        if payload.count >= route.compression.thresholdByteCount {
            unsafe _ = sendCompressed(opcode, payload, process, scheduler)
        } else {
            unsafe _ = queue(opcode, payload, process, scheduler)
        }
        if isTurnOver { suspendTurn(process) }
    }

    /// Sends as many of the frames as one buffer has room for. Nothing is gathered.
    private func sendPending(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard let first = firstRoomFrame else { return }
        var bytes = unsafe first.bytes
        var frameCount = 1
        if roomFrame(1) != nil {
            let gather = unsafe IOBuffers.of(scheduler).pointee.gather
            var filled = 0
            frameCount = 0
            while let frame = roomFrame(frameCount), filled + frame.byteCount <= IOBuffers.gatherByteCount {
                // Safe: the buffer has that much room, and is this turn's.
                unsafe _ = memcpy(gather + filled, frame.bytes.baseAddress!, frame.byteCount)
                filled += frame.byteCount
                frameCount += 1
            }
            if frameCount > 0 {
                unsafe bytes = UnsafeRawBufferPointer(start: gather, count: filled)
            } else {
                frameCount = 1
            }
        }
        roost_charge(200)
        var sent = 0
        switch unsafe transmit(bytes) {
        case .bytes(let count): sent = count
        case .wouldBlock: break
        case .failed(let code): return writeFailed(code)
        }
        if sent > 0 { heardOfPeer(scheduler) }
        var start = 0
        let isShort = sent < bytes.count
        let held = heldByteCount
        if isShort { state.flags.insert(.isBlocked) }
        for _ in 0..<frameCount {
            guard let frame = firstRoomFrame else { return }
            let end = start + frame.byteCount
            if end > sent {
                guard start < sent || start < sent + held else { return }
                let from = max(sent, start)
                if state.outbound.isEmpty, start < sent { state.outboundFrameRemaining = UInt32(end - sent) }
                unsafe state.outbound.append(UnsafeRawBufferPointer(rebasing: bytes[from..<end]), process, scheduler)
            }
            removeFirstRoomFrame()
            start = end
        }
    }
}
