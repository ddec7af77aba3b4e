// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

// From the handler to the socket: a turn's frames are gathered in the scheduler's buffer and leave in one call.

extension ConnectionRef {
    /// Queues a message for the client. False when it was not: the connection is closing, or the client is too slow.
    func sendData(_ opcode: Opcode, _ payload: UnsafeRawBufferPointer) -> Bool {
        guard state.phase == .open, state.closing.maySendMessages else { return false }
        roost_charge(4 &+ Int64(payload.count &>> 8))
        guard let process = SchedulerRef.currentProcess, let scheduler = SchedulerRef.current else { return false }
        if state.flags.contains(.isCompressible), payload.count >= route.compression.thresholdByteCount {
            return unsafe sendCompressed(opcode, payload, process, scheduler)
        }
        return unsafe queue(opcode, payload, process, scheduler)
    }

    /// Queues one frame. Data may be refused by the limit; control frames never are.
    @discardableResult
    func queue(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, isCompressed: Bool = false, _ process: ProcessRef,
        _ scheduler: SchedulerRef
    ) -> Bool {
        let isMasked = role == .client
        let byteCount =
            FrameEncoder.headerByteCount(payloadByteCount: payload.count, isMasked: isMasked) &+ payload.count
        let buffers = unsafe IOBuffers.of(scheduler)
        if state.outbound.isEmpty {
            if unsafe byteCount > IOBuffers.gatherByteCount &- buffers.pointee.gatherCount {
                if byteCount > IOBuffers.gatherByteCount / 2, !isMasked {
                    return unsafe sendLarge(opcode, payload, isCompressed, process, scheduler)
                }
                flush(process, scheduler)
            }
            if state.outbound.isEmpty, byteCount <= IOBuffers.gatherByteCount {
                let room = unsafe UnsafeMutableRawBufferPointer(
                    start: buffers.pointee.gather + buffers.pointee.gatherCount, count: byteCount)
                unsafe write(opcode, payload, isCompressed, to: room, isMasked: isMasked, buffers)
                unsafe buffers.pointee.gatherCount &+= byteCount
                return true
            }
            if isMasked, state.outbound.isEmpty, state.phase != .closed {
                return unsafe sendLargeMasked(opcode, payload, isCompressed, process, scheduler)
            }
        }
        if !opcode.isControl,
            bufferedByteCount + byteCount > route.limits.outboundByteCountMax
        {
            guard makeRoom(for: byteCount, process, scheduler) else { return false }
        }
        state.outbound.reserve(byteCount, process, scheduler)
        let room = unsafe UnsafeMutableRawBufferPointer(rebasing: state.outbound.spare[..<byteCount])
        unsafe write(opcode, payload, isCompressed, to: room, isMasked: isMasked, buffers)
        state.outbound.count += UInt32(byteCount)
        return true
    }

    @inline(__always)
    private func write(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, _ isCompressed: Bool,
        to room: UnsafeMutableRawBufferPointer, isMasked: Bool, _ buffers: UnsafeMutablePointer<IOBuffers>
    ) {
        if isMasked {
            let key = unsafe MaskingKey(bits: buffers.pointee.entropy.next())
            let header = unsafe FrameEncoder.writeHeader(
                opcode, isCompressed: isCompressed, payloadByteCount: payload.count, key: key, to: room)
            let target = unsafe UnsafeMutableRawBufferPointer(rebasing: room[header...])
            unsafe target.copyMemory(from: payload)
            unsafe key.apply(to: target)
        } else {
            let header = unsafe FrameEncoder.writeHeader(
                opcode, isCompressed: isCompressed, payloadByteCount: payload.count, to: room)
            unsafe UnsafeMutableRawBufferPointer(rebasing: room[header...]).copyMemory(from: payload)
        }
    }

    /// A payload too large to gather goes to the kernel from where it lies, behind what was gathered.
    private func sendLarge(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, _ isCompressed: Bool, _ process: ProcessRef,
        _ scheduler: SchedulerRef
    ) -> Bool {
        let buffers = unsafe IOBuffers.of(scheduler)
        if unsafe buffers.pointee.gatherCount + FrameEncoder.headerByteCountMax > IOBuffers.gatherByteCount {
            flush(process, scheduler)
            guard state.outbound.isEmpty else {
                return unsafe queue(opcode, payload, isCompressed: isCompressed, process, scheduler)
            }
        }
        let gathered = unsafe buffers.pointee.gatherCount
        let room = unsafe UnsafeMutableRawBufferPointer(
            start: buffers.pointee.gather + gathered, count: IOBuffers.gatherByteCount - gathered)
        let header = unsafe FrameEncoder.writeHeader(
            opcode, isCompressed: isCompressed, payloadByteCount: payload.count, to: room)
        let first = gathered + header
        let head = unsafe UnsafeRawBufferPointer(start: buffers.pointee.gather, count: first)
        unsafe buffers.pointee.gatherCount = 0
        roost_charge(200)
        var sent = 0
        switch unsafe transmit(head, payload) {
        case .bytes(let count): sent = count
        case .wouldBlock: break
        case .failed(let code):
            writeFailed(code)
            return false
        }
        guard sent < first + payload.count else { return true }
        state.flags.insert(.isBlocked)
        // The message has begun to leave, or waits behind nothing: it is kept whole, whatever the limit.
        if sent < first {
            state.outboundFrameRemaining = unsafe UInt32(
                FrameBoundary.remainder(after: sent, in: head, isMasked: false, behind: payload.count))
            unsafe state.outbound.append(UnsafeRawBufferPointer(rebasing: head[sent...]), process, scheduler)
            unsafe state.outbound.append(payload, process, scheduler)
        } else {
            state.outboundFrameRemaining = UInt32(first + payload.count - sent)
            unsafe state.outbound.append(
                UnsafeRawBufferPointer(rebasing: payload[(sent - first)...]), process, scheduler)
        }
        return true
    }

    /// Hands what the turn has gathered to the kernel; what it does not take goes to the process heap.
    @inline(__always)
    func flush(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        let buffers = unsafe IOBuffers.of(scheduler)
        let count = unsafe buffers.pointee.gatherCount
        guard count > 0 else { return }
        unsafe buffers.pointee.gatherCount = 0
        let bytes = unsafe UnsafeRawBufferPointer(start: buffers.pointee.gather, count: count)
        guard state.phase != .closed else { return }
        roost_charge(200)
        var sent = 0
        switch unsafe transmit(bytes) {
        case .bytes(let taken): sent = taken
        case .wouldBlock: break
        case .failed(let code): return writeFailed(code)
        }
        guard sent < count else { return }
        state.flags.insert(.isBlocked)
        state.outboundFrameRemaining = unsafe UInt32(
            FrameBoundary.remainder(after: sent, in: bytes, isMasked: role == .client, behind: 0))
        unsafe state.outbound.append(UnsafeRawBufferPointer(rebasing: bytes[sent...]), process, scheduler)
    }

    /// The socket may take more: sends what waited.
    func flushOutbound(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        while !state.outbound.isEmpty, !state.flags.contains(.isBlocked), state.phase != .closed {
            let bytes = unsafe UnsafeRawBufferPointer(
                rebasing: UnsafeRawBufferPointer(state.outbound.bytes)[Int(state.outboundHead)...])
            roost_charge(200)
            switch unsafe transmit(bytes) {
            case .wouldBlock: state.flags.insert(.isBlocked)
            case .failed(let code): writeFailed(code)
            case .bytes(let sent):
                if sent < bytes.count { state.flags.insert(.isBlocked) }
                unsafe noteSent(sent, of: bytes, process, scheduler)
            }
        }
        if state.outbound.isEmpty, state.phase == .open { sendOwedPong(process, scheduler) }
    }

    /// The latest ping that came while the client did not read is answered: when it reads again, or before the last
    /// that it is sent.
    func sendOwedPong(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard let pong = state.extras?.owedPong else { return }
        state.extras?.owedPong = nil
        unsafe pong.withUnsafeBytes { unsafe _ = queue(.pong, $0, process, scheduler) }
    }

    private func noteSent(
        _ sent: Int, of bytes: UnsafeRawBufferPointer, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) {
        // The peer has taken what filled the kernel's buffer: it is there, although it may be busy and say nothing.
        heardOfPeer(scheduler)
        if sent == bytes.count {
            state.outbound.release(process, scheduler)
            state.outboundHead = 0
            state.outboundFrameRemaining = 0
            if !state.flags.contains(.hasRoomFrames) { state.flags.remove(.isDropping) }
            return
        }
        let remaining = Int(state.outboundFrameRemaining)
        if sent < remaining {
            state.outboundFrameRemaining = UInt32(remaining - sent)
        } else {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[remaining...])
            state.outboundFrameRemaining = unsafe UInt32(
                FrameBoundary.remainder(after: sent - remaining, in: rest, isMasked: role == .client, behind: 0))
        }
        state.outboundHead += UInt32(sent)
        if state.outboundHead > state.outbound.count / 2 {
            state.outbound.removeFirst(Int(state.outboundHead))
            state.outboundHead = 0
        }
    }

    func writeFailed(_ code: Int32) {
        noteReason(CloseReason(.connectionLost, code: .abnormalClosure, message: "write failed: errno \(code)"))
        state.flags.insert(.hasPeerEnded)
        _ = state.closing.transportEnded()
        state.phase = .closed
    }

    // MARK: A client that does not read

    /// The outbound queue is full. True when there is room now; false when the message is not sent.
    private func makeRoom(for byteCount: Int, _ process: ProcessRef, _ scheduler: SchedulerRef) -> Bool {
        let limit = route.limits.outboundByteCountMax
        let wasDropping = state.flags.contains(.isDropping)
        state.flags.insert(.isDropping)
        switch route.limits.slowConsumer {
        case .close:
            beginCloseOfSlowConsumer(process, scheduler)
            return false
        case .dropOldest:
            if !wasDropping { listener.counters.slowConsumerEpisodes.add(1, ordering: .relaxed) }
            dropWaiting(untilFreed: bufferedByteCount + byteCount - limit)
            let fits = bufferedByteCount + byteCount <= limit
            if !fits { listener.counters.droppedMessages.add(1, ordering: .relaxed) }
            return fits
        }
    }

    /// Gives up what waits for a client that does not read, and closes.
    func beginCloseOfSlowConsumer(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        dropWaiting(untilFreed: .max)
        let text = "client reads too slowly: more than \(route.limits.outboundByteCountMax) bytes wait"
        beginClose(CloseReason(.slowConsumer, code: .policyViolation, message: text), process, scheduler)
    }

    /// Drops messages that wait, in the order in which they would leave, until `wanted` bytes are free.
    func dropWaiting(untilFreed wanted: Int) {
        let before = bufferedByteCount
        dropData(untilFreed: wanted)
        if state.flags.contains(.hasRoomFrames) { dropRoomFrames(untilFreed: wanted - (before - bufferedByteCount)) }
    }

    /// Takes whole data frames out of the queue, oldest first, until `wanted` bytes are free. Control frames and the
    /// frame that has begun to leave stay.
    private func dropData(untilFreed wanted: Int) {
        if state.outboundHead > 0 {
            state.outbound.removeFirst(Int(state.outboundHead))
            state.outboundHead = 0
        }
        let bytes = unsafe state.outbound.bytes
        var from = Int(state.outboundFrameRemaining)
        // What TLS has begun to send must be offered again as it is.
        let held = heldByteCount
        while from < held {
            from += unsafe FrameBoundary.byteCount(
                UnsafeRawBufferPointer(rebasing: bytes[from...]), isMasked: role == .client)
        }
        var to = from
        var freed = 0
        while from < bytes.count {
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[from...])
            let byteCount = unsafe FrameBoundary.byteCount(rest, isMasked: role == .client)
            let isControl = unsafe bytes[from] & 0x08 != 0
            if !isControl, freed < wanted {
                freed += byteCount
                listener.counters.droppedMessages.add(1, ordering: .relaxed)
            } else {
                if to != from {
                    let target = unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[to..<to + byteCount])
                    unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[from..<from + byteCount]))
                }
                to += byteCount
            }
            from += byteCount
        }
        state.outbound.count = UInt32(to)
    }

    // MARK: Control frames

    /// Answers a ping (RFC 6455 §5.5.3). While the client does not read, only its latest ping is kept to be answered.
    func sendPong(_ payload: UnsafeRawBufferPointer, _ process: ProcessRef, _ scheduler: SchedulerRef) {
        guard state.closing.maySendMessages else { return }
        if state.outbound.isEmpty {
            unsafe queue(.pong, payload, process, scheduler)
        } else {
            extras.owedPong = unsafe Array(payload)
        }
    }

    func sendPing(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        // Behind data that the client has not taken a ping proves nothing: the data is ping enough. What of rooms waits
        // for the handler is not on its way yet.
        if state.outbound.isEmpty, !state.flags.isSuperset(of: [.hasRoomFrames, .isBlocked]) {
            unsafe queue(.ping, UnsafeRawBufferPointer(start: nil, count: 0), process, scheduler)
        }
    }
}

/// Where frames of ours begin and end in bytes that wait to be sent.
enum FrameBoundary {
    /// Header and payload of the frame that `bytes` begin with. `bytes` hold at least its header.
    static func byteCount(_ bytes: UnsafeRawBufferPointer, isMasked: Bool) -> Int {
        let mask = isMasked ? 4 : 0
        switch unsafe bytes[1] & 0x7F {
        case 126:
            return unsafe 4 + mask + Int(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt16.self)))
        case 127:
            return unsafe 10 + mask + Int(UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 2, as: UInt64.self)))
        case let short: return 2 + mask + Int(short)
        }
    }

    /// How much of the frame that byte `sent` lies in is left, 0 at a boundary. The last frame's payload goes on for
    /// `behind` bytes past `bytes`.
    static func remainder(after sent: Int, in bytes: UnsafeRawBufferPointer, isMasked: Bool, behind: Int) -> Int {
        var start = 0
        while start < sent {
            let end = unsafe start + byteCount(UnsafeRawBufferPointer(rebasing: bytes[start...]), isMasked: isMasked)
            if end > sent { return end - sent }
            start = end
        }
        return 0
    }
}
