// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// What processes are compared by.
public enum ProcessFigure: String, Sendable, CaseIterable {
    /// Bytes held: control block, mailbox, stack, own allocations.
    case memory
    /// Reductions since the start.
    case reductions
    /// Messages that wait.
    case mailbox
}

/// One of the processes that have most of something, by its figures at the end of its last turn.
public struct TopProcess: Sendable, Hashable {
    public let pid: Pid
    public let heapByteCount: Int
    public let reductions: UInt64
    public let messageCount: Int

    func value(of figure: ProcessFigure) -> UInt64 {
        switch figure {
        case .memory: UInt64(heapByteCount)
        case .reductions: reductions
        case .mailbox: UInt64(messageCount)
        }
    }
}

extension Runtime {
    /// The `count` processes of this runtime that have most of `figure`, the first one first; fewer where there are
    /// fewer. (After `recon:proc_count/2` for Erlang.)
    ///
    /// Nobody waits for it and nobody is asked: it reads what the processes publish, some nanoseconds a process. Each
    /// figure is a recent one, by itself. Any thread; a process should call it in `dirty` where there are very many.
    public func topProcesses(by figure: ProcessFigure, _ count: Int) -> [TopProcess] {
        roost_enter()
        defer { roost_leave() }
        var top = BoundedHeap(capacity: max(0, count))
        forEachPublished { process in
            let block = PublishedBlock(process)
            let value =
                switch figure {
                case .memory: UInt64(block.heapByteCount)
                case .reductions: block.reductions
                case .mailbox: UInt64(block.messageCount)
                }
            if top.accepts(value) { top.insert(value, process.pid.word) }
        }
        return top.descending.compactMap { entry in
            let pid = Pid(word: entry.word)
            // It may have ended meanwhile, and another be in its place.
            guard let process = ProcessTable.find(pid) else { return nil }
            let block = PublishedBlock(process)
            let found = TopProcess(
                pid: pid, heapByteCount: block.heapByteCount, reductions: block.reductions,
                messageCount: block.messageCount)
            return ProcessTable.find(pid) == nil ? nil : found
        }.sorted { $0.value(of: figure) > $1.value(of: figure) }
    }

    /// Every process of this runtime. As they come and go meanwhile, some may be missing or have ended. (Erlang:
    /// `processes/0`.) Any thread.
    public func processes() -> [Pid] {
        roost_enter()
        defer { roost_leave() }
        var pids: [Pid] = []
        pids.reserveCapacity(processCount)
        forEachPublished { pids.append($0.pid) }
        return pids
    }

    /// Calls `body` with each process of this runtime. What it reads of them must be published.
    @inline(__always)
    func forEachPublished(_ body: (ProcessRef) -> Void) {
        let homes = schedulers.map { unsafe UInt(bitPattern: $0.pointer) }
        var last: UInt = 0
        for index in 0..<ProcessTable.slotCount {
            let process = ProcessTable.slot(UInt32(truncatingIfNeeded: index))
            guard PublishedBlock(process).status != .free else { continue }
            let home = PublishedBlock(process).homeWord
            if home != last {
                guard homes.contains(home) else { continue }
                last = home
            }
            body(process)
        }
    }
}

/// The greatest of many values: a heap whose smallest is on top, of at most `capacity`.
struct BoundedHeap {
    private let capacity: Int
    private var entries: [(value: UInt64, word: UInt64)] = []

    init(capacity: Int) { self.capacity = capacity }

    /// Whether `value` is among the greatest so far.
    @inline(__always)
    func accepts(_ value: UInt64) -> Bool {
        entries.count < capacity || (capacity > 0 && value > entries[0].value)
    }

    /// Adds an accepted value, and drops the smallest where there are too many.
    mutating func insert(_ value: UInt64, _ word: UInt64) {
        if entries.count < capacity {
            entries.append((value, word))
            var child = entries.count - 1
            while child > 0, entries[child].value < entries[(child - 1) / 2].value {
                entries.swapAt(child, (child - 1) / 2)
                child = (child - 1) / 2
            }
            return
        }
        entries[0] = (value, word)
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < entries.count {
                if entries[child].value < entries[least].value { least = child }
            }
            if least == parent { return }
            entries.swapAt(least, parent)
            parent = least
        }
    }

    var descending: [(value: UInt64, word: UInt64)] { entries.sorted { $0.value > $1.value } }
}
