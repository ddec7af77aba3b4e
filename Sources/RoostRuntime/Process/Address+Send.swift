// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

extension Address {
    /// Sends `message`, which is moved to the receiver. Never waits. Any thread.
    ///
    /// Messages from one sender to one receiver arrive in the order they were sent. Where the receiver has ended, or
    /// its mailbox is full and drops what is new (`MailboxPolicy.dropNewest`), the message is destroyed here and the
    /// result is false; true says that it was delivered, not that it will be received.
    @discardableResult
    @inlinable
    public func send(_ message: consuming sending Message) -> Bool {
        let type: UnsafeRawPointer? =
            unsafe _isPOD(Message.self) ? nil : unsafeBitCast(Message.self as Any.Type, to: UnsafeRawPointer.self)
        guard let payload = unsafe Sending.allocate(pid, byteCount: MemoryLayout<Message>.size, type: type) else {
            return false
        }
        // Safe: the payload has the size of a `Message` and is aligned to 16; greater alignments are refused at spawn.
        unsafe payload.bindMemory(to: Message.self, capacity: 1).initialize(to: message)
        return unsafe Sending.push(payload)
    }
}

/// The parts of a send that do not depend on the type of the message; payloads pass as addresses.
@usableFromInline
@safe enum Sending {
    /// The payload of a new node for `pid`; nil when there is no such process.
    @usableFromInline
    static func allocate(_ pid: Pid, byteCount: Int, type: UnsafeRawPointer?) -> UnsafeMutableRawPointer? {
        guard let process = ProcessTable.find(pid), !process.refusesMessage() else { return nil }
        roost_enter()
        defer { roost_leave() }
        roost_charge(1)
        let size = NodeHeader.payloadOffset + byteCount
        let block: UnsafeMutableRawPointer
        let now: MonotonicTime
        if let scheduler = SchedulerRef.current {
            unsafe block = scheduler.state.blocks.allocate(byteCount: size)
            now = scheduler.state.now
        } else {
            unsafe block = External.allocate(byteCount: size)
            now = .coarse()
        }
        unsafe block.bindMemory(to: NodeHeader.self, capacity: 1).initialize(
            to: NodeHeader(target: pid.word, payloadType: type, byteCount: size, kind: .message, at: now))
        return unsafe block + NodeHeader.payloadOffset
    }

    /// Delivers the node of `payload`, which is initialised; destroys it and returns false when the receiver has ended.
    @usableFromInline
    static func push(_ payload: UnsafeMutableRawPointer) -> Bool {
        roost_enter()
        defer { roost_leave() }
        let node = unsafe Node((payload - NodeHeader.payloadOffset).assumingMemoryBound(to: NodeHeader.self))
        let process = unsafe ProcessTable.slot(UInt32(truncatingIfNeeded: node.header.pointee.target))
        if Tracing.isCurrent { Tracing.noteSent(node) }
        switch Mailbox.push(node, to: process) {
        case .pushed: break
        case .pushedAndMustEnqueue: process.home.enqueue(process)
        case .closed:
            if let scheduler = SchedulerRef.current { scheduler.discard(node) } else { External.discard(node) }
            return false
        }
        return true
    }
}

/// What threads that are no schedulers use: the same pools, behind locks.
enum External {
    private static let allocator = Mutex(BlockAllocator())
    private static let slots = Mutex(SlotCache())
    /// What ThreadSanitizer, which does not see locks of this kind, knows them by. Never read or written.
    nonisolated(unsafe) private static let mark = UnsafeMutableRawPointer.allocate(byteCount: 8, alignment: 8)

    static func allocate(byteCount: Int) -> UnsafeMutableRawPointer {
        unsafe allocator.withLock {
            unsafe roost_taken_over(mark)
            defer { unsafe roost_handed_over(mark) }
            return unsafe UInt(bitPattern: $0.allocate(byteCount: byteCount))
        }.pointer
    }

    static func discard(_ node: Node) {
        Dirty.destroyPayload(of: node)
        let address = unsafe UInt(bitPattern: node.header)
        allocator.withLock {
            unsafe roost_taken_over(mark)
            unsafe $0.free(address.pointer, byteCount: node.byteCount)
            unsafe roost_handed_over(mark)
        }
    }

    static func sendSignal(_ signal: Signal, to pid: Pid) -> Bool {
        guard let process = ProcessTable.find(pid) else { return false }
        return push(makeNode(signal, kind: .signal, for: pid), to: process)
    }

    static func deliver(_ node: Node) {
        guard let process = unsafe ProcessTable.find(Pid(word: node.header.pointee.target)) else {
            return discard(node)
        }
        _ = push(node, to: process)
    }

    static func makeTied(_ pid: Pid) -> Node { makeNode(Signal.tied, kind: .signal, for: pid) }

    static func free(_ block: UnsafeMutableRawPointer, byteCount: Int) {
        let address = UInt(bitPattern: block)
        allocator.withLock {
            unsafe roost_taken_over(mark)
            unsafe $0.free(address.pointer, byteCount: byteCount)
            unsafe roost_handed_over(mark)
        }
    }

    private static func makeNode<Payload>(_ payload: consuming Payload, kind: NodeKind, for pid: Pid) -> Node {
        unsafe NodeMaker.make(payload, kind: kind, for: pid, at: .coarse()) { unsafe allocate(byteCount: $0) }
    }

    private static func push(_ node: Node, to process: ProcessRef) -> Bool {
        switch Mailbox.push(node, to: process) {
        case .pushed: return true
        case .pushedAndMustEnqueue:
            process.home.enqueue(process)
            return true
        case .closed:
            discard(node)
            return false
        }
    }

    static func takeSlot() -> ProcessRef { slots.withLock { $0.take() } }

    static var freeSlotCount: Int { slots.withLock { $0.count } }
    /// Free blocks of all classes here.
    static var freeBlockCount: Int { allocator.withLock { $0.freeCount } }

    /// Gives back what is kept free.
    static func giveBack() {
        allocator.withLock { $0.giveBack() }
        slots.withLock { $0.drain() }
    }
}

extension UInt {
    fileprivate var pointer: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(bitPattern: self)! }
}
