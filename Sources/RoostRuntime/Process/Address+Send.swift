// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

extension Address {
    /// Sends `message`, which is moved to the receiver. Never waits. Any thread.
    ///
    /// Messages from one sender to one receiver arrive in the order they were sent. Where the receiver has ended, the message is
    /// destroyed here and the result is false; true says that it was delivered, not that it will be received.
    @discardableResult
    public func send(_ message: consuming sending Message) -> Bool {
        roost_enter()
        defer { roost_leave() }
        roost_charge(1)
        guard let process = ProcessTable.find(pid) else { return false }
        guard let scheduler = SchedulerRef.current else {
            return External.send(message, to: process, pid)
        }
        let node = scheduler.makeNode(message, kind: .message, for: pid)
        switch Mailbox.push(node, to: process) {
        case .pushed: return true
        case .pushedAndMustEnqueue:
            process.home.enqueue(process)
            return true
        case .closed:
            scheduler.discard(node)
            return false
        }
    }
}

/// What threads that are no schedulers use: the same pools, behind locks.
enum External {
    private static let allocator = Mutex(BlockAllocator())
    private static let slots = Mutex(SlotCache())

    static func send<Message: Sendable>(_ message: consuming Message, to process: ProcessRef, _ pid: Pid) -> Bool {
        let node = makeNode(message, kind: .message, for: pid)
        return push(node, to: process)
    }

    static func sendSignal(_ signal: Signal, to pid: Pid) -> Bool {
        guard let process = ProcessTable.find(pid) else { return false }
        return push(makeNode(signal, kind: .signal, for: pid), to: process)
    }

    private static func makeNode<Payload>(_ payload: consuming Payload, kind: NodeKind, for pid: Pid) -> Node {
        unsafe NodeMaker.make(payload, kind: kind, for: pid) { byteCount in
            unsafe allocator.withLock { unsafe UInt(bitPattern: $0.allocate(byteCount: byteCount)) }.pointer
        }
    }

    private static func push(_ node: Node, to process: ProcessRef) -> Bool {
        switch Mailbox.push(node, to: process) {
        case .pushed: return true
        case .pushedAndMustEnqueue:
            process.home.enqueue(process)
            return true
        case .closed:
            node.destroyPayload()
            let address = unsafe UInt(bitPattern: node.header)
            allocator.withLock { unsafe $0.free(address.pointer, byteCount: node.byteCount) }
            return false
        }
    }

    static func takeSlot() -> ProcessRef { slots.withLock { $0.take() } }
}

extension UInt {
    fileprivate var pointer: UnsafeMutableRawPointer { unsafe UnsafeMutableRawPointer(bitPattern: self)! }
}
