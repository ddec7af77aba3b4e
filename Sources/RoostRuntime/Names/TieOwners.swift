// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Synchronization

/// Who has which names and memberships, by process: what is to be undone when a process ends.
///
/// Beside the process table rather than in it: a process that has none pays nothing, and one that has some pays eight
/// bytes for its tree's root. A lock guards the roots of as many processes as a scheduler draws slots at a time, so it
/// is nearly always its own processes that a scheduler's lock is about.
///
/// **N1.** A process with ties has `ProcessFlags.hasTies`, or a `Signal.tied` on its way to it: a tie is added only
/// under the lock of its process, by the process itself while its mailbox is open, or by another after the signal was
/// pushed. Whoever ends a process closes its mailbox, takes what is in it, and undoes its ties, in this order. Test:
/// `NameExitTests`.
/// **N2.** Ties are undone before anybody is told that the process has ended, and a holder whose mailbox is closed
/// counts for nothing: whoever has been told finds its names free. Test: `NameExitTests.restartedChildFindsItsName`.
@safe enum TieOwners {
    /// What it costs to make or undo a tie: some 200 ns, where a send is some 40 and one reduction.
    static let reductions: Int64 = 8

    private static let chunkCount = ProcessTable.capacity / ProcessTable.batchCount

    @safe private struct Chunk: ~Copyable {
        let lock = Mutex<Void>(())
        let roots: UnsafeMutablePointer<UInt>

        init() {
            unsafe roots = .allocate(capacity: ProcessTable.batchCount)
            unsafe roots.initialize(repeating: 0, count: ProcessTable.batchCount)
        }
    }

    /// Addresses of chunks, 0 for those not needed yet; they stay for the life of the program.
    nonisolated(unsafe) private static let chunks: UnsafeMutablePointer<Atomic<UInt>> = {
        let chunks = UnsafeMutablePointer<Atomic<UInt>>.allocate(capacity: chunkCount)
        for index in 0..<chunkCount { unsafe (chunks + index).initialize(to: Atomic(0)) }
        return unsafe chunks
    }()

    private static func chunk(of index: UInt32) -> UnsafeMutablePointer<Chunk> {
        let place = unsafe chunks + Int(index) / ProcessTable.batchCount
        let word = unsafe place.pointee.load(ordering: .acquiring)
        if word != 0 { return unsafe UnsafeMutablePointer(bitPattern: word).unsafelyUnwrapped }
        let chunk = UnsafeMutablePointer<Chunk>.allocate(capacity: 1)
        unsafe chunk.initialize(to: Chunk())
        let (isFirst, present) = unsafe place.pointee.compareExchange(
            expected: 0, desired: UInt(bitPattern: chunk), ordering: .acquiringAndReleasing)
        if isFirst { return unsafe chunk }
        unsafe chunk.pointee.roots.deallocate()
        unsafe chunk.deinitialize(count: 1)
        unsafe chunk.deallocate()
        return unsafe UnsafeMutablePointer(bitPattern: present).unsafelyUnwrapped
    }

    /// Calls `body` with the ties of `pid`, locked. Depth 1 or more.
    @inline(__always)
    static func withTies<Result>(of pid: Pid, _ body: (TieTree) -> Result) -> Result {
        let chunk = unsafe chunk(of: pid.index)
        return unsafe chunk.pointee.lock.whileLocked(chunk) {
            unsafe body(TieTree(chunk.pointee.roots + Int(pid.index) % ProcessTable.batchCount))
        }
    }

    /// Whether `pid` lives and has not begun to end. Any thread; it may end at any time.
    static func isAlive(_ pid: Pid) -> Bool {
        guard Int(pid.index) < ProcessTable.slotCount else { return false }
        let process = ProcessTable.slot(pid.index)
        // In this order: a mailbox that is open again belongs to a later generation, which is then seen.
        return process.block.inbox.load(ordering: .acquiring) != Mailbox.closed && process.generation == pid.generation
    }

    /// Calls `attach`, under the lock of its ties, for a process that is sure to undo what is added; false where it has
    /// ended. Depth 1 or more, or outside any process.
    static func whileAlive(_ pid: Pid, _ attach: (TieTree) -> Void) -> Bool {
        var woken: ProcessRef?
        let isAlive = withTies(of: pid) { ties in
            guard announce(to: pid, ties, &woken) else { return false }
            attach(ties)
            return true
        }
        if let woken { woken.home.enqueue(woken) }
        return isAlive
    }

    /// N1. `woken` is to be enqueued, without the lock.
    private static func announce(to pid: Pid, _ ties: TieTree, _ woken: inout ProcessRef?) -> Bool {
        if let process = SchedulerRef.currentProcess, process.pid == pid {
            if Mailbox.isClosed(process) { return false }
            process.block.flags.insert(.hasTies)
            return true
        }
        // It has the flag, or will have it, for as long as its mailbox is open.
        if !ties.isEmpty { return isAlive(pid) }
        guard let process = ProcessTable.find(pid) else { return false }
        let node = SchedulerRef.current?.makeNode(Signal.tied, kind: .signal, for: pid) ?? External.makeTied(pid)
        switch Mailbox.push(node, to: process) {
        case .pushed: break
        case .pushedAndMustEnqueue: woken = process
        case .closed:
            if let scheduler = SchedulerRef.current { scheduler.free(node) } else { External.discard(node) }
            return false
        }
        // A slot that has changed hands got the signal for nobody.
        return process.generation == pid.generation
    }

    // MARK: The end of a process

    /// Takes the process, whose mailbox is closed, out of everything that it is in. Process context, depth 1,
    /// preemptible between any two.
    static func undoAll(of process: ProcessRef) {
        while undoOne(of: process) {
            process.block.turnsSinceExit = 0  // the bound is one deinit's, not all of them
        }
        process.block.flags.remove(.hasTies)
    }

    /// A frame of its own, so that nothing of it is on the stack between two.
    @inline(never)
    private static func undoOne(of process: ProcessRef) -> Bool {
        let pid = process.pid
        guard let tie = withTies(of: pid, { $0.popAny() }) else { return false }
        roost_charge(reductions)
        unsafe tie.target._withUnsafeGuaranteedRef { $0.undo(slot: tie.slot, of: pid) }
        let target = unsafe tie.free(owner: pid)
        // The last one destroys key and value, which is user code.
        roost_handler_begin()
        unsafe target.release()
        roost_handler_end()
        return true
    }
}
