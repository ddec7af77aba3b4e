// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing

@testable import RoostRuntime

extension RuntimeConfiguration {
    /// On a busy machine a thread that does not run looks stuck: what is done about that takes memory of its own.
    fileprivate mutating func leaveAlone() {
        longSchedule = .seconds(10)
        stuckSchedule = .zero
    }
}

extension RuntimeTests {
    @Suite("Memory that comes back", .timeLimit(.minutes(1)))
    struct MemoryReturnTests {
        @Test(
            "What a hundred thousand parked processes needed is the kernel's again when they have ended",
            .enabled(if: Build.isPlain))
        func processesComeAndGo() async {
            await #expect(processExitsWith: .success) {
                try await withRuntime({ $0.leaveAlone() }) { runtime in
                    func comeAndGo(_ count: Int) async -> Int {
                        let freed = Counter()
                        let pids = (0..<count).map { number in
                            let payload = Payload(number, freed)
                            return runtime.spawn(receiving: Int.self) { context in
                                if try context.receive() == payload.number { throw ProcessExit(reason: .shutdown) }
                                _ = try context.receive(timeout: .seconds(100))
                            }
                        }
                        for pid in pids { pid.send(-1) }
                        let peak = residentPageCount()
                        for pid in pids { runtime.exit(pid.pid, .kill) }
                        await runtime.waitForProcessCount(0)
                        return peak
                    }
                    _ = await comeAndGo(2_000)
                    runtime.releaseMemory()
                    let before = residentPageCount()
                    let peak = await comeAndGo(100_000)
                    runtime.releaseMemory()
                    let after = residentPageCount()
                    print("pages before \(before), at most \(peak), after \(after)")
                    if peak < before + 10_000 { fatalError("100,000 processes took \(peak - before) pages") }
                    if after > before + before / 10 { fatalError("pages: \(before), then \(peak), then \(after)") }
                }
            }
        }

        @Test(
            "T1: a pid whose slot's memory is the kernel's names nobody, now and when the slot is used again",
            .enabled(if: Build.isPlain))
        func stalePids() async {
            await #expect(processExitsWith: .success) {
                try await withRuntime({ $0.leaveAlone() }) { runtime in
                    var seen: Set<Pid> = []
                    for round in 0..<4 {
                        let received = Counter()
                        let processes = (0..<5_000).map { _ in
                            runtime.spawn(receiving: Int.self) { context in
                                while try context.receive() == round { received.add() }
                            }
                        }
                        for process in processes where !seen.insert(process.pid).inserted {
                            fatalError("the pid \(process.pid) has been used before")
                        }
                        for pid in seen.subtracting(processes.map(\.pid)) {
                            if Address<Int>(pid: pid).send(-1) { fatalError("\(pid) took a message after its end") }
                            if runtime.exit(pid, .kill) { fatalError("\(pid) took a signal after its end") }
                        }
                        for process in processes {
                            if !process.send(round) { fatalError("\(process.pid) has ended") }
                        }
                        await received.wait(for: 5_000)
                        for process in processes { process.send(-1) }
                        await runtime.waitForProcessCount(0)
                        runtime.releaseMemory()
                        let resident = processes.filter { isResident(ProcessTable.slot($0.pid.index)) }.count
                        if resident > 0 { fatalError("\(resident) of 5,000 slots have kept their memory") }
                    }
                }
            }
        }

        @Test("A block that is in use keeps its slab; empty slabs serve any class; empty chunks are unmapped")
        func slabs() async {
            await #expect(processExitsWith: .success) {
                let pool = SharedBlockPool.shared
                var allocator = BlockAllocator()
                func releaseAll() {
                    allocator.giveBack()
                    pool.beginRelease(everything: true)
                    while pool.releaseSlice(sortsBatches: true) {}
                }
                releaseAll()
                let before = pool.figures
                let small = (0..<100_000).map { _ in allocator.allocate(byteCount: 100) }
                let kept = small[50_000]
                kept.initializeMemory(as: UInt8.self, repeating: 7, count: 100)
                for block in small where block != kept { allocator.free(block, byteCount: 100) }
                releaseAll()
                let used = pool.figures
                if used.mapped != before.mapped + Chunk.byteCount || used.resident != 0 { fatalError("\(used)") }
                if used.mapped - used.released > before.mapped - before.released + Slab.byteCount {
                    fatalError("\(used)")
                }
                // Another class takes the slabs that have no pages, and finds them usable.
                let large = (0..<10).map { _ in allocator.allocate(byteCount: 30_000) }
                for block in large { memset(block, 1, 30_000) }
                if pool.figures.mapped != used.mapped { fatalError("\(pool.figures)") }
                if !UnsafeRawBufferPointer(start: kept, count: 100).allSatisfy({ $0 == 7 }) {
                    fatalError("overwritten")
                }
                for block in large { allocator.free(block, byteCount: 30_000) }
                allocator.free(kept, byteCount: 100)
                releaseAll()
                if pool.figures.mapped != before.mapped { fatalError("\(pool.figures) after all was freed") }
            }
        }

        @Test("Blocks of random sizes that pass through the pool stay apart while memory is given back in between")
        func slabsUnderChange() {
            var (random, seed) = SeededGenerator.fresh()
            let pool = SharedBlockPool.shared
            let allocators = [Box(BlockAllocator()), Box(BlockAllocator())]
            var live: [(block: UnsafeMutableRawPointer, byteCount: Int, mark: UInt8)] = []
            for round in 0..<60 {
                for number in 0..<3_000 {
                    let byteCount = Int.random(in: 16...(64 << Int.random(in: 0...6, using: &random)), using: &random)
                    let block = allocators[number % 2].value.allocate(byteCount: byteCount)
                    let mark = UInt8(truncatingIfNeeded: round + number)
                    memset(block, CInt(mark), byteCount)
                    live.append((block, byteCount, mark))
                }
                live.shuffle(using: &random)
                for entry in live.dropFirst(live.count / 10) {
                    let bytes = UnsafeRawBufferPointer(start: entry.block, count: entry.byteCount)
                    #expect(bytes.allSatisfy { $0 == entry.mark }, "seed \(seed)")
                    allocators[Int.random(in: 0...1, using: &random)].value.free(
                        entry.block, byteCount: entry.byteCount)
                }
                live.removeLast(live.count - live.count / 10)
                allocators[round % 2].value.giveBack()
                pool.beginRelease(everything: round % 3 == 0)
                while pool.releaseSlice(sortsBatches: round % 2 == 0) {}
            }
            for entry in live { allocators[0].value.free(entry.block, byteCount: entry.byteCount) }
        }

        @Test("Half of what was empty since the last round is given back, and all of it when nothing runs")
        func hysteresis() {
            var surplus = Surplus()
            surplus.begin(10, everything: false)
            #expect(surplus.target == 0, "empty since a moment ago")
            surplus.note(4)  // six were needed
            surplus.begin(9, everything: false)  // and came back
            #expect(surplus.target == 2)
            surplus.note(1)  // of those that were to go, some were needed after all
            #expect(surplus.target == 1)
            surplus.begin(5, everything: true)
            #expect(surplus.target == 5)
            surplus.grow(to: 8)
            #expect(surplus.target == 8)
        }

        @Test("Timers' memory is given back, and a token from before cancels nothing that came after")
        func timers() {
            let start = MonotonicTime.now()
            var wheel = TimerWheel(start: start)
            let old = (0..<10_000).map { wheel.arm(at: start + .seconds($0 + 1), .wake(UInt64($0))) }
            let full = wheel.byteCount
            for timer in old { _ = wheel.cancel(timer) }
            while wheel.releaseChunks(3) {}
            #expect(wheel.byteCount <= full / 9)
            let new = (0..<10_000).map { wheel.arm(at: start + .seconds($0 + 1), .wake(UInt64($0))) }
            #expect(wheel.byteCount == full)
            #expect(old.allSatisfy { wheel.cancel($0) == nil })
            #expect(Set(new).isDisjoint(with: old))
            var fired = 0
            while wheel.takeDue(at: start + .seconds(20_000)) != nil { fired += 1 }
            #expect(fired == 10_000)
        }
    }
}

private final class Box<Value: ~Copyable> {
    var value: Value
    init(_ value: consuming Value) { self.value = value }
}

/// Whether the page of a slot's start has memory. (mincore(2))
private func isResident(_ process: ProcessRef) -> Bool {
    let page = UInt(getpagesize())
    var state: UInt8 = 0
    // The first whole page of the slot's span, which is the page the slot begins in or the one after.
    let address = UInt(bitPattern: process.raw) / page * page
    guard mincore(UnsafeMutableRawPointer(bitPattern: address)!, 1, &state) == 0 else { return true }
    return state & 1 != 0
}
