// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

// Making nodes, delivering them, starting processes.

extension SchedulerRef {
    // MARK: Nodes

    /// A node with `payload`. This scheduler's thread.
    @inline(__always)
    func makeNode<Payload>(_ payload: consuming Payload, kind: NodeKind, for pid: Pid) -> Node {
        unsafe NodeMaker.make(payload, kind: kind, for: pid, at: state.now) { byteCount in
            unsafe state.blocks.allocate(byteCount: byteCount)
        }
    }

    @inline(__always)
    func free(_ node: Node) {
        unsafe state.blocks.free(UnsafeMutableRawPointer(node.header), byteCount: node.byteCount)
    }

    /// Destroys what a node carries and frees it. Code of the message's type runs, as handler code. Process context,
    /// depth 1.
    func destroy(_ node: Node, of process: ProcessRef) {
        guard let type = unsafe node.header.pointee.payloadType else { return free(node) }
        // Back in the mailbox, with nothing left to destroy: a destructor that traps does not take the node along (R3).
        unsafe node.header.pointee.payloadType = nil
        unsafe node.header.pointee.kind = .undeliverable
        prepend(node, to: process)
        roost_handler_begin()
        unsafe node.destroyPayload(of: type)
        roost_handler_end()
        if let node = popQueue(of: process) { free(node) }
    }

    private func prepend(_ node: Node, to process: ProcessRef) {
        unsafe node.header.pointee.next = unsafe process.block.queueHead
        unsafe process.block.queueHead = unsafe node.header
        if unsafe process.block.queueTail == nil { unsafe process.block.queueTail = unsafe node.header }
        process.block.queueCount &+= 1
        process.charge(byteCount: node.byteCount)
    }

    /// Takes the oldest node of the process's queue.
    @inline(__always)
    func popQueue(of process: ProcessRef) -> Node? {
        guard let header = unsafe process.block.queueHead else { return nil }
        return unsafe unlink(header, after: nil, of: process)
    }

    /// Takes `header` out of the queue; `previous` is the node before it, nil for the first.
    @inline(__always)
    func unlink(
        _ header: UnsafeMutablePointer<NodeHeader>, after previous: UnsafeMutablePointer<NodeHeader>?,
        of process: ProcessRef
    ) -> Node {
        let next = unsafe header.pointee.next
        if let previous = unsafe previous {
            unsafe previous.pointee.next = unsafe next
        } else {
            unsafe process.block.queueHead = unsafe next
        }
        if unsafe next == nil { unsafe process.block.queueTail = unsafe previous }
        process.block.queueCount &-= 1
        let node = unsafe Node(header)
        process.charge(byteCount: -node.byteCount)
        if unsafe header.pointee.isCall { noteReceived(node, by: process) }
        return node
    }

    // MARK: Delivery

    /// Sends `node` to the process it names, from this scheduler. A node that nobody takes is destroyed by a process of
    /// its own.
    func deliver(_ node: Node) {
        let target = unsafe Pid(word: node.header.pointee.target)
        guard let process = ProcessTable.find(target) else { return discard(node) }
        switch Mailbox.push(node, to: process) {
        case .pushed: break
        case .pushedAndMustEnqueue: process.home.enqueue(process)
        case .closed: discard(node)
        }
    }

    /// Destroys a message outside the process that sent it: its deinit is user code and runs in a process.
    func discard(_ node: Node) {
        if unsafe node.header.pointee.payloadType == nil { return free(node) }
        let process = makeCleaner()
        unsafe node.header.pointee.kind = .undeliverable
        unsafe node.header.pointee.isCall = false
        append(node, to: process)
        enqueueLocal(process)
    }

    /// A process that destroys what is in its queue and ends; in no run queue yet.
    func makeCleaner() -> ProcessRef {
        let process = unsafe makeProcess(StraightLine.cleanUp, heapLimit: .max)
        process.block.flags.insert([.isCleaningUp, .isFinished])
        return process
    }

    /// Sends a signal; false when there is no such process.
    @discardableResult
    func sendSignal(_ signal: Signal, to pid: Pid) -> Bool {
        guard let process = ProcessTable.find(pid) else { return false }
        let node = makeNode(signal, kind: .signal, for: pid)
        switch Mailbox.push(node, to: process) {
        case .pushed: return true
        case .pushedAndMustEnqueue:
            process.home.enqueue(process)
            return true
        case .closed:
            node.destroyPayload()
            free(node)
            return false
        }
    }

    // MARK: Processes

    /// A process of this scheduler that is in no run queue yet. Scheduler's thread.
    package func makeProcess(_ operations: UnsafePointer<ProcessOperations>, heapLimit: Int) -> ProcessRef {
        let process = state.slots.take()
        state.statistics.spawns &+= 1
        unsafe process.prepare(operations, home: self, heapLimit: heapLimit, at: state.now)
        return process
    }
}

extension ProcessRef {
    /// Opens a free slot for a new process. The caller owns the slot.
    func prepare(
        _ operations: UnsafePointer<ProcessOperations>, home: SchedulerRef, heapLimit: Int, at now: MonotonicTime
    ) {
        unsafe withUnsafeMutablePointer(to: &block.account) { account in
            if unsafe roost_account_generation(account) == 0 { unsafe roost_account_set_generation(account, 1) }
            _ = unsafe roost_account_take(account)
        }
        block.flags = []
        block.status = .runnable
        block.priority = .normal
        block.waitKind = .events
        block.startTime = now
        unsafe block.object = unsafe UnsafeMutableRawPointer(bitPattern: UInt(roost_thread_current().pointee.owner))
        block.turnsSinceExit = 0
        unsafe block.home = unsafe home.pointer
        unsafe block.queueHead = nil
        unsafe block.queueTail = nil
        block.queueCount = 0
        block.mailboxLimit = .max
        setMailboxPolicy(.end)
        block.timer = .none
        unsafe block.operations = unsafe operations
        block.allocatedByteCount = 0
        block.heldByteCount = 0
        block.heapLimit = heapLimit
        block.reductions = 0
        block.wakeFlags.store(0, ordering: .relaxed)
        // Last, and releasing: from here on senders may push.
        block.inbox.store(Mailbox.empty, ordering: .releasing)
    }
}

enum NodeMaker {
    @inline(__always)
    static func make<Payload>(
        _ payload: consuming Payload, kind: NodeKind, for pid: Pid, at now: MonotonicTime,
        allocate: (Int) -> UnsafeMutableRawPointer
    ) -> Node {
        let byteCount = NodeHeader.payloadOffset + MemoryLayout<Payload>.size
        let block = unsafe allocate(byteCount)
        let header = unsafe block.bindMemory(to: NodeHeader.self, capacity: 1)
        let type: UnsafeRawPointer? =
            unsafe _isPOD(Payload.self) ? nil : unsafeBitCast(Payload.self as Any.Type, to: UnsafeRawPointer.self)
        unsafe header.initialize(
            to: NodeHeader(target: pid.word, payloadType: type, byteCount: byteCount, kind: kind, at: now))
        // Safe: blocks are aligned to 16 and so is the payload's offset; greater alignments are refused at spawn.
        unsafe (block + NodeHeader.payloadOffset).bindMemory(to: Payload.self, capacity: 1).initialize(to: payload)
        return unsafe Node(header)
    }
}
