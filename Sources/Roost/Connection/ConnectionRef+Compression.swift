// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

// Messages that are compressed (RFC 7692): inflated on the process's heap before the handler sees them, deflated before
// they are queued. Without context takeover the compressors are the scheduler's; with it they are the connection's.

extension ConnectionRef {
    /// Reductions for the bytes that a compressor has looked at; and for those that an inflater took, of which small
    /// blocks make the most work, and gave.
    static func deflateReductions(_ byteCount: Int) -> Int64 { Int64(byteCount &>> 4) }
    private static func inflateReductions(_ consumedByteCount: Int, _ producedByteCount: Int) -> Int64 {
        16 &+ Int64(consumedByteCount &>> 2) &+ Int64(producedByteCount &>> 7)
    }
    /// Bytes inflated at a time, and bytes they come from, half a millisecond at the worst; then others may have their
    /// turn.
    private static let inflatedPieceByteCount = 64 << 10
    private static let deflatedPieceByteCount = 4 << 10

    /// Agreed on in the handshake.
    func compress(_ parameters: DeflateParameters) {
        state.deflate = parameters
        state.flags.insert(.isCompressible)
    }

    private var peerRole: FrameRole { role == .server ? .client : .server }

    // MARK: From the socket to the handler

    /// Inflates a message and hands it to the handler. `payload` stays where it is until then.
    func deliverCompressed(
        _ kind: MessageKind, _ payload: UnsafeRawBufferPointer, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) throws {
        guard unsafe inflate(kind, payload, process, scheduler) else { return }
        try deliverInflated(kind, process, scheduler)
    }

    /// Hands what was inflated to the handler.
    func deliverInflated(_ kind: MessageKind, _ process: ProcessRef, _ scheduler: SchedulerRef) throws {
        try unsafe deliver(kind, UnsafeRawBufferPointer(state.inflated.bytes))
        state.inflated.release(process, scheduler)
    }

    /// How the inflation of a message ends.
    private enum Inflation {
        case whole
        case refused(FrameError)
        /// The process is told to end.
        case stopped
    }

    /// Inflates into `state.inflated`, never beyond the route's limit. False: the client broke a rule, and was told; or
    /// the process is to end.
    func inflate(
        _ kind: MessageKind, _ payload: UnsafeRawBufferPointer, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) -> Bool {
        let keepsContext = state.deflate.keepsContext(of: peerRole)
        let inflater = keepsContext ? ownInflater(process) : CompressorPool.of(scheduler).takeInflater()
        inflater.begin(limit: route.limits.messageByteCountMax)
        let inflation = unsafe run(inflater, kind, payload, process, scheduler)
        inflater.finish(keepsContext: keepsContext)
        if !keepsContext { CompressorPool.of(scheduler).giveBack(inflater) }
        listener.counters.messagesInflated.add(1, ordering: .relaxed)
        switch inflation {
        case .whole: return true
        case .refused(let error):
            state.inflated.release(process, scheduler)
            fail(error, process, scheduler)
        case .stopped:
            state.inflated.release(process, scheduler)
            // Later messages refer to the one that was given up.
            if keepsContext { state.flags.insert(.hasLostContext) }
        }
        return false
    }

    /// Piece by piece, so that others have their turns meanwhile.
    private func run(
        _ inflater: Inflater, _ kind: MessageKind, _ payload: UnsafeRawBufferPointer, _ process: ProcessRef,
        _ scheduler: SchedulerRef
    ) -> Inflation {
        var validator = UTF8Validator()
        var consumed = 0
        state.inflated.reserve(
            min(max(payload.count * 4, 256), Self.inflatedPieceByteCount, max(inflater.outputByteCountMax, 1)), process,
            scheduler)
        while true {
            let room = min(state.inflated.spareCount, Self.inflatedPieceByteCount)
            let start = Int(state.inflated.count)
            let target = unsafe UnsafeMutableRawBufferPointer(rebasing: state.inflated.spare[..<room])
            let end = min(consumed + Self.deflatedPieceByteCount, payload.count)
            let piece = unsafe UnsafeRawBufferPointer(rebasing: payload[consumed..<end])
            let before = consumed
            var produced = 0
            var isWhole = false
            switch unsafe inflater.inflate(piece, isEnd: end == payload.count, into: target) {
            case .needsInput(let producedByteCount):
                consumed = end
                produced = producedByteCount
            case .needsOutput(let consumedByteCount, let producedByteCount):
                consumed += consumedByteCount
                produced = producedByteCount
            case .end(let producedByteCount):
                consumed = end
                produced = producedByteCount
                isWhole = true
            case .failure(let error): return .refused(error)
            }
            state.inflated.count += UInt32(produced)
            roost_charge(Self.inflateReductions(consumed - before, produced))
            if kind == .text {
                let text = unsafe UnsafeRawBufferPointer(
                    rebasing: UnsafeRawBufferPointer(state.inflated.bytes)[start...])
                guard unsafe validator.accepts(text) else { return .refused(.textNotUTF8) }
            }
            if isWhole {
                return kind == .text && !validator.isAtCharacterEnd ? .refused(.textNotUTF8) : .whole
            }
            if state.inflated.spareCount == 0 {
                // Doubled, as far as the limit.
                let more = min(max(start + produced, 256), max(inflater.outputByteCountMax, 1))
                state.inflated.reserve(more, process, scheduler, isExact: true)
            }
            if isTurnOver {
                suspendTurn(process)
                // Over its memory, perhaps by this message.
                if process.isExiting { return .stopped }
            }
        }
    }

    private func ownInflater(_ process: ProcessRef) -> Inflater {
        if let inflater = extras.inflater { return inflater }
        let inflater = withoutOwner { Inflater(windowBits: state.deflate.windowBits(of: peerRole)) }
        process.charge(byteCount: inflater.byteCount)
        extras.inflater = inflater
        return inflater
    }

    // MARK: From the handler to the socket

    /// Compresses a message and queues it. False when it was not queued.
    func sendCompressed(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) -> Bool {
        let keepsContext = state.deflate.keepsContext(of: role)
        let key = deflaterKey
        let deflater = keepsContext ? ownDeflater(key, process) : CompressorPool.of(scheduler).takeDeflater(key)
        deflater.begin()
        var offset = 0
        while offset < payload.count {
            let end = min(offset + Deflater.pieceByteCountMax, payload.count)
            withoutOwner { unsafe deflater.append(UnsafeRawBufferPointer(rebasing: payload[offset..<end])) }
            roost_charge(Self.deflateReductions(end - offset))
            offset = end
            if offset < payload.count, isTurnOver, mayStop {
                suspendTurn(process)
                // Told to end: the message is given up, and the next would begin afresh.
                if process.isExiting { return false }
            }
        }
        let bytes = unsafe withoutOwner { unsafe deflater.finish(keepsContext: keepsContext) }
        var isQueued = false
        if state.phase == .open, state.closing.maySendMessages {
            // What does not get smaller goes as it is; with a context kept, the client's must go on as ours.
            isQueued =
                keepsContext || bytes.count < payload.count
                ? unsafe queue(opcode, bytes, isCompressed: true, process, scheduler)
                : unsafe queue(opcode, payload, process, scheduler)
        }
        listener.counters.messagesCompressed.add(1, ordering: .relaxed)
        deflater.releaseExcess()
        if !keepsContext { CompressorPool.of(scheduler).giveBack(deflater, key) }
        return isQueued
    }

    /// A message may be sent under `withoutPreemption`: then nobody else has a turn before it is queued (R4).
    private var mayStop: Bool { unsafe roost_thread_current().pointee.preemption_disabled == 1 }

    /// Queues a message that many connections are sent: compressed once for all that agreed on the same.
    func sendShared(_ message: SharedMessage) -> Bool {
        guard state.phase == .open, state.closing.maySendMessages else { return false }
        guard let process = SchedulerRef.currentProcess, let scheduler = SchedulerRef.current else { return false }
        roost_charge(4)
        let count = message.bytes.count
        guard state.flags.contains(.isCompressible), count >= route.compression.thresholdByteCount else {
            return unsafe message.bytes.withUnsafeBytes { unsafe queue(message.opcode, $0, process, scheduler) }
        }
        if state.deflate.keepsContext(of: role) {
            return unsafe message.bytes.withUnsafeBytes {
                unsafe sendCompressed(message.opcode, $0, process, scheduler)
            }
        }
        let key = deflaterKey
        let compressed = message.compressed(key) { bytes in
            roost_charge(Self.deflateReductions(count))
            listener.counters.messagesCompressed.add(1, ordering: .relaxed)
            return CompressorPool.of(scheduler).compress(bytes, key)
        }
        guard let compressed else {
            return unsafe message.bytes.withUnsafeBytes { unsafe queue(message.opcode, $0, process, scheduler) }
        }
        return unsafe compressed.withUnsafeBytes {
            unsafe queue(message.opcode, $0, isCompressed: true, process, scheduler)
        }
    }

    var deflaterKey: DeflaterKey {
        let policy = route.compression
        return DeflaterKey(
            windowBits: UInt8(state.deflate.windowBits(of: role)), level: UInt8(policy.level),
            memoryLevel: UInt8(policy.memoryLevel))
    }

    private func ownDeflater(_ key: DeflaterKey, _ process: ProcessRef) -> Deflater {
        if let deflater = extras.deflater { return deflater }
        let deflater = withoutOwner { key.makeDeflater() }
        process.charge(byteCount: deflater.byteCount)
        extras.deflater = deflater
        return deflater
    }

    /// Memory that the connection's own compressors take; it goes with the connection from process to process.
    var compressorByteCount: Int {
        (state.extras?.deflater?.byteCount ?? 0) + (state.extras?.inflater?.byteCount ?? 0)
    }

    /// The handler crashed, or is told to end, in the middle of a message: what was inflated for it goes.
    func stopInflating(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        state.inflated.release(process, scheduler)
    }
}
