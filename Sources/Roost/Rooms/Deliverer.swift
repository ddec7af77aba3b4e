// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

/// What the connections of one scheduler share besides buffers. Scheduler's thread.
final class SchedulerAttachment {
    let compressors = CompressorPool()
    /// Made with the first member of a room.
    var deliverer: Deliverer?

    static func of(_ scheduler: SchedulerRef) -> SchedulerAttachment {
        let buffers = unsafe IOBuffers.of(scheduler)
        if let made = unsafe buffers.pointee.attachment {
            return unsafe unsafeDowncast(made, to: SchedulerAttachment.self)
        }
        let attachment = withoutOwner { SchedulerAttachment() }
        unsafe buffers.pointee.attachment = attachment
        return attachment
    }
}

/// Hands what is published in rooms to their members on one scheduler: a process that writes to the members' sockets
/// itself, in turns of which each delivery is charged, so that others have theirs in between.
///
/// It works on the connections of other processes. It may (B1): it runs inside the runtime as their scheduler, so that
/// no other thread does (H1), and each of them is between two turns, or stopped where its connection is whole (C1), or
/// outside the runtime (H3).
///
/// | Field | Written by | Ordered by |
/// |---|---|---|
/// | `ready` | any thread pushes, the scheduler takes | compare-exchange, releasing; exchange, acquiring |
/// | the rest | the scheduler | |
// see the table
final class Deliverer: @unchecked Sendable {
    /// Reductions for one member: its system call, as everywhere.
    private static let deliveryReductions: Int64 = 200
    /// Members ahead whose state is fetched.
    private static let prefetchDistance = 2
    private static let sparePassMax = 4

    private let ready = Atomic<UInt>(0)
    private var process: ProcessRef
    /// Shards with something to deliver, each kept alive by a reference to its room; they take turns.
    private var activeHead: UInt = 0
    private var activeTail: UInt = 0
    private var sparePasses: [DeliveryPass] = []

    private init(_ process: ProcessRef) { self.process = process }

    /// That of `scheduler`, whose thread this is.
    static func of(_ scheduler: SchedulerRef) -> Deliverer {
        let attachment = SchedulerAttachment.of(scheduler)
        if let deliverer = attachment.deliverer { return deliverer }
        return withoutOwner {
            let process = unsafe scheduler.spawn(operations, object: nil, heapLimit: .max)
            let deliverer = Deliverer(process)
            // Safe: the scheduler keeps it, longer than its processes run.
            unsafe process.setObject(Unmanaged.passUnretained(deliverer).toOpaque())
            attachment.deliverer = deliverer
            return deliverer
        }
    }

    nonisolated(unsafe) private static let operations: UnsafePointer<ProcessOperations> = unsafe ProcessOperations(
        run: { raw in
            let process = unsafe ProcessRef(raw: raw)
            // Safe: the object of this kind of process is its deliverer.
            unsafe Unmanaged<Deliverer>.fromOpaque(process.object.unsafelyUnwrapped)._withUnsafeGuaranteedRef {
                $0.run(process, SchedulerRef.running)
            }
        },
        didStop: { _ in }, didAbandon: { _ in }, didEnd: { _ in }
    ).immortal()

    /// A shard that was idle has something. Any thread.
    func makeReady(_ shard: RoomShardRef) {
        unsafe _ = Unmanaged.passUnretained(shard.room).retain()
        var seen = ready.load(ordering: .relaxed)
        while true {
            shard.shard.nextReady = seen
            let (done, value) = ready.weakCompareExchange(
                expected: seen, desired: shard.word, successOrdering: .acquiringAndReleasing,
                failureOrdering: .relaxed)
            if done { break }
            seen = value
        }
        Runtime.notify(process, .poke)
    }

    private func takeReady() {
        guard ready.load(ordering: .relaxed) != 0 else { return }
        var newest = ready.exchange(0, ordering: .acquiring)
        var oldest: UInt = 0
        while newest != 0 {
            let shard = RoomShardRef(word: newest)
            newest = shard.shard.nextReady
            shard.shard.nextReady = oldest
            oldest = shard.word
        }
        while oldest != 0 {
            let shard = RoomShardRef(word: oldest)
            oldest = shard.shard.nextReady
            appendActive(shard)
        }
    }

    private func appendActive(_ shard: RoomShardRef) {
        shard.shard.nextActive = 0
        if activeTail == 0 {
            activeHead = shard.word
        } else {
            RoomShardRef(word: activeTail).shard.nextActive = shard.word
        }
        activeTail = shard.word
    }

    private func popActive() {
        activeHead = RoomShardRef(word: activeHead).shard.nextActive
        if activeHead == 0 { activeTail = 0 }
    }

    // MARK: Turns

    private var isTurnOver: Bool { unsafe roost_thread_current().pointee.reductions < 0 }

    private func run(_ process: ProcessRef, _ scheduler: SchedulerRef) {
        // Nobody ends it: members would not be sent anything any more.
        if process.isExiting { process.ignoreExit() }
        _ = process.takeWakeFlags()
        takeReady()
        while activeHead != 0 {
            let shard = RoomShardRef(word: activeHead)
            let isThrough = serve(shard, process, scheduler)
            popActive()
            if isThrough {
                unsafe Unmanaged.passUnretained(shard.room).release()
            } else {
                appendActive(shard)
            }
            if isTurnOver { break }
        }
        if activeHead != 0 { process.wakeSelf() }
    }

    /// Goes on with a shard; true when it has nothing more, and is idle.
    private func serve(_ shard: RoomShardRef, _ process: ProcessRef, _ scheduler: SchedulerRef) -> Bool {
        while true {
            if shard.shard.pass == nil, !beginPass(shard) {
                if shard.becomeIdle() { return true }
                continue
            }
            // Safe: the shard keeps the pass while this goes on.
            let pass = unsafe Unmanaged.passUnretained(shard.shard.pass.unsafelyUnwrapped)
            let isThrough = unsafe pass._withUnsafeGuaranteedRef { deliver($0, shard, process, scheduler) }
            guard isThrough else { return false }
            endPass(shard)
            if isTurnOver { return false }
        }
    }

    private func beginPass(_ shard: RoomShardRef) -> Bool {
        shard.takeInbox()
        guard shard.shard.queueHead != 0 else { return false }
        return withoutOwner {
            let pass = sparePasses.popLast() ?? DeliveryPass()
            shard.shard.pass = pass
            return pass.begin(shard)
        }
    }

    private func endPass(_ shard: RoomShardRef) {
        withoutOwner {
            guard let pass = shard.shard.pass else { return }
            shard.shard.pass = nil
            pass.end(shard)
            if sparePasses.count < Self.sparePassMax { sparePasses.append(pass) }
        }
    }

    /// Serves members until all are, or the turn is over. True: all are.
    ///
    /// Nothing is allocated, retained or locked for a member that takes what it is sent.
    private func deliver(
        _ pass: DeliveryPass, _ shard: RoomShardRef, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) -> Bool {
        let bytes = unsafe pass.encodings[0].bytes
        let frameCount = pass.publications.count
        let filter = pass.publisherFilter
        let reductions = Self.deliveryReductions &+ Int64(bytes.count &>> 8)
        var delivered = 0
        defer { shard.room.rooms.counters.delivered.add(delivered, ordering: .relaxed) }
        while shard.shard.cursor < shard.shard.end {
            let index = shard.shard.cursor
            // Safe: `end` is at most the number of members, of which the list has at least as many.
            let members = unsafe shard.shard.members.unsafelyUnwrapped
            let connection = unsafe members[index].connection
            let ahead = index &+ Self.prefetchDistance
            if ahead < shard.shard.end { unsafe roost_prefetch(members[ahead].connection.pointer, 4) }
            roost_charge(reductions)
            if connection.takesRoomFrames, filter & DeliveryPass.bit(connection.word) == 0 {
                shard.shard.cursor = index &+ 1
                switch unsafe SystemCalls.send(connection.state.descriptor, bytes) {
                case .bytes(bytes.count): delivered &+= frameCount
                case .bytes(let sent):
                    delivered &+= connection.keepRest(
                        of: pass.encodings[0], 0..<frameCount, sent: sent, scheduler)
                case .wouldBlock:
                    delivered &+= connection.keepRest(of: pass.encodings[0], 0..<frameCount, sent: 0, scheduler)
                case .failed(let code): connection.roomWriteFailed(code)
                }
            } else {
                guard let count = deliverSpecially(pass, connection, process, scheduler) else {
                    if isTurnOver { return false }
                    continue
                }
                shard.shard.cursor = index &+ 1
                delivered &+= count
            }
            if isTurnOver { return shard.shard.cursor >= shard.shard.end }
        }
        return true
    }

    /// Serves a member that is compressed, secure or behind, or that has published some of the batch itself. Returns
    /// how many messages it was handed; nil when it is to be looked up again, because the turn was over meanwhile.
    @inline(never)
    private func deliverSpecially(
        _ pass: DeliveryPass, _ connection: ConnectionRef, _ process: ProcessRef, _ scheduler: SchedulerRef
    ) -> Int? {
        guard connection.mayBeSentRoomFrames else { return 0 }
        if connection.keepsDeflateContext { return deliverInPieces(pass, connection, scheduler) }
        var index = 0
        if connection.state.flags.contains(.isCompressible) {
            let key = connection.deflaterKey
            let threshold = connection.route.compression.thresholdByteCount
            guard let made = pass.index(key, thresholdByteCount: threshold) else {
                compress(pass, key, thresholdByteCount: threshold, connection.listener, process, scheduler)
                return nil
            }
            index = made
        }
        let encoding = pass.encodings[index]
        var count = 0
        // Runs of frames that it has not published itself.
        var start = 0
        for (position, publication) in pass.publications.enumerated()
        where publication.publication.publisher == connection.word {
            if start < position {
                count += connection.sendRoomFrames(of: encoding, start..<position, scheduler)
                roost_charge(Self.deliveryReductions)
            }
            start = position + 1
        }
        if start < pass.publications.count {
            count += connection.sendRoomFrames(of: encoding, start..<pass.publications.count, scheduler)
        }
        return count
    }

    /// Hands a member the messages that its own process is to compress. nil: there are more, for when the process has
    /// had a turn. It is not its client that they wait for, who would be taken for a slow one.
    private func deliverInPieces(
        _ pass: DeliveryPass, _ connection: ConnectionRef, _ scheduler: SchedulerRef
    ) -> Int? {
        var count = 0
        for position in pass.position(of: connection)..<pass.publications.count {
            let publication = pass.publications[position]
            guard publication.publication.publisher != connection.word else { continue }
            if connection.mustCompress(before: publication), pass.keepPosition(position, of: connection) {
                unsafe publication.publication.rooms._withUnsafeGuaranteedRef {
                    _ = $0.counters.delivered.add(count, ordering: .relaxed)
                }
                return nil
            }
            count += connection.sendRoomFrames(of: pass.encodings[0], position..<position + 1, scheduler)
        }
        return count
    }

    /// Compresses the batch for an agreement, in turns. What was known of members before is not true afterwards.
    private func compress(
        _ pass: DeliveryPass, _ key: DeflaterKey, thresholdByteCount: Int, _ listener: Listener,
        _ process: ProcessRef, _ scheduler: SchedulerRef
    ) {
        let pool = CompressorPool.of(scheduler)
        for publication in pass.publications
        where Int(publication.publication.payloadByteCount) >= thresholdByteCount && publication.variant(key) == nil {
            let payload = unsafe publication.payload
            let deflater = pool.takeDeflater(key)
            deflater.begin()
            var offset = 0
            while offset < payload.count {
                let end = min(offset + Deflater.pieceByteCountMax, payload.count)
                withoutOwner { unsafe deflater.append(UnsafeRawBufferPointer(rebasing: payload[offset..<end])) }
                roost_charge(ConnectionRef.deflateReductions(end - offset))
                offset = end
                if isTurnOver { process.yieldTurn() }
            }
            withoutOwner { unsafe publication.addVariant(key, deflater.finish(keepsContext: false)) }
            listener.counters.messagesCompressed.add(1, ordering: .relaxed)
            deflater.releaseExcess()
            pool.giveBack(deflater, key)
        }
        pass.addEncoding(key, thresholdByteCount: thresholdByteCount)
    }
}
