// SPDX-License-Identifier: Apache-2.0

import Dispatch
import RuntimeHandlers
import Testing

@testable import RoostRuntime

import Glibc

extension RuntimeTests {
    @Suite("Blocks of memory", .timeLimit(.minutes(1)))
    struct BlockAllocatorTests {
        @Test("Every size up to the largest has the smallest class that holds it")
        func classesFit() {
            for byteCount in 1...BlockClass.largest {
                let index = BlockClass.index(for: byteCount)
                guard (0..<BlockClass.count).contains(index), BlockClass.byteCount(index) >= byteCount,
                    index == 0 || BlockClass.byteCount(index - 1) < byteCount
                else {
                    Issue.record("size \(byteCount) is in class \(index)")
                    return
                }
            }
            for index in 0..<BlockClass.count {
                #expect(BlockClass.index(for: BlockClass.byteCount(index)) == index)
                #expect(BlockClass.byteCount(index) % 16 == 0)
            }
        }

        @Test("Blocks of any size are aligned, do not overlap, and keep what is written into them")
        func blocksAreApart() {
            var (random, seed) = SeededGenerator.fresh()
            var allocator = BlockAllocator()
            var live: [(block: UnsafeMutableRawPointer, byteCount: Int, mark: UInt8)] = []
            func check(_ entry: (block: UnsafeMutableRawPointer, byteCount: Int, mark: UInt8)) -> Bool {
                UnsafeRawBufferPointer(start: entry.block, count: entry.byteCount).allSatisfy { $0 == entry.mark }
            }
            for round in 0..<20_000 {
                if live.count < 200 || Bool.random(using: &random) && live.count < 600 {
                    let byteCount = Int.random(in: 1...(1 << Int.random(in: 1...16, using: &random)), using: &random)
                    let block = allocator.allocate(byteCount: byteCount)
                    #expect(Int(bitPattern: block) % 16 == 0)
                    let mark = UInt8(truncatingIfNeeded: round)
                    block.initializeMemory(as: UInt8.self, repeating: mark, count: byteCount)
                    live.append((block, byteCount, mark))
                } else {
                    let entry = live.remove(at: Int.random(in: 0..<live.count, using: &random))
                    #expect(check(entry), "seed \(seed)")
                    allocator.free(entry.block, byteCount: entry.byteCount)
                }
            }
            for entry in live {
                #expect(check(entry), "seed \(seed)")
                allocator.free(entry.block, byteCount: entry.byteCount)
            }
        }

        @Test("A producer and a consumer on two threads use the same blocks over and over")
        func batchesMove() async {
            let rounds = 200
            let seen = await withCheckedContinuation { continuation in
                DispatchQueue(label: "outside").async {
                    var producer = BlockAllocator()
                    var consumer = BlockAllocator()
                    var seen: Set<UInt> = []
                    for _ in 0..<rounds {
                        let blocks = (0..<2_000).map { _ in UInt(bitPattern: producer.allocate(byteCount: 100)) }
                        seen.formUnion(blocks)
                        if Set(blocks).count != 2_000 { Issue.record("a block was handed out twice") }
                        for block in blocks {
                            consumer.free(UnsafeMutableRawPointer(bitPattern: block)!, byteCount: 100)
                        }
                    }
                    continuation.resume(returning: seen.count)
                }
            }
            #expect(seen < 12_000, "\(seen) different blocks for 2,000 at a time")
        }

        @Test("Slots of the process table are used again with a new generation, on whichever thread they come free")
        func slotsAreReused() async throws {
            try await withRuntime { runtime in
                let before = ProcessTable.slotCount
                for _ in 0..<40 {
                    for _ in 0..<1_500 { runtime.spawn { _ in } }
                    await runtime.waitForProcessCount(0)
                }
                #expect(
                    ProcessTable.slotCount - before <= 16 * ProcessTable.batchCount, "60,000 processes, 1,500 at a time"
                )
            }
        }
    }
}

extension RuntimeTests {
    @Suite("Memory of a process", .timeLimit(.minutes(1)))
    struct MemoryTests {
        enum Hog: String, CaseIterable, Sendable { case appending, smallObjects, atOnce, absurd }

        @Test(
            "A process that hoards memory is ended with the reason heapLimit, and nothing else is",
            .enabled(if: Build.isPlain), arguments: Hog.allCases)
        func endsHogs(_ hog: Hog) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let ticks = Counter()
                let other = runtime.spawn { context in
                    while true {
                        try context.yield()
                        ticks.add()
                    }
                }
                let reason = await runtime.outcome(options: ProcessOptions(heapByteCountMax: 4 << 20)) { _ in
                    switch hog {
                    case .appending: hogByAppending()
                    case .smallObjects: hogBySmallObjects()
                    case .atOnce: hogAtOnce(64 << 20)
                    case .absurd: hogAtOnce(1 << 45)
                    }
                }
                #expect(reason.isHeapLimit, "\(reason)")
                await ticks.wait(atLeast: ticks.value + 10)
                runtime.exit(other, .kill)
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("A process that meets its limit and waits unwinds, and has lost nothing", .enabled(if: Build.isPlain))
        func unwindsAtItsLimit() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let destroyed = Counter()
                let reason = await runtime.outcome(options: ProcessOptions(heapByteCountMax: 1 << 20)) { context in
                    var kept: [Payload] = []
                    while true {
                        kept.append(Payload(1, destroyed))
                        if kept.count % 100 == 0 { try context.sleep(.microseconds(1)) }
                    }
                }
                #expect(reason.isHeapLimit, "\(reason)")
                #expect(runtime.abandonedCount == 0)
                #expect(destroyed.value > 1_000)
            }
        }

        @Test(
            "What a process has allocated is booked exactly, and is nothing once it is freed",
            .enabled(if: Build.isPlain))
        func accountsExactly() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let figures = try await runtime.value { context in
                    var figures: [Int] = []
                    for _ in 0..<2 {  // the first round warms up what the Swift runtime caches
                        figures = []
                        withoutPreemption { figures.reserveCapacity(64) }
                        let alignments = [16, 32, 64, 4_096]
                        let base = Inspection.allocatedByteCount()
                        func delta(_ expected: Int) {
                            figures.append(Inspection.allocatedByteCount() - base - expected)
                        }
                        // opaque: the compiler knows malloc, and would not count what it can do without.
                        var block = opaque(malloc(1_000)!)
                        delta(1_000)
                        block = opaque(realloc(block, 5_000)!)
                        delta(5_000)
                        try context.yield()
                        block = opaque(realloc(block, 100)!)
                        delta(100)
                        free(opaque(block))
                        delta(opaque(0))
                        let zeroed = opaque(calloc(10, 30)!)
                        delta(300)
                        for alignment in alignments {
                            let aligned = opaque(aligned_alloc(alignment, 8_192)!)
                            if Int(bitPattern: aligned) % alignment != 0 { figures.append(-1) }
                            memset(aligned, 1, 8_192)
                            delta(300 + 8_192)
                            let moved = opaque(realloc(aligned, 10_000)!)
                            delta(300 + 10_000)
                            free(opaque(moved))
                        }
                        var posix: UnsafeMutableRawPointer?
                        if posix_memalign(&posix, 256, 777) != 0 { figures.append(-2) }
                        delta(300 + 777)
                        free(opaque(posix))
                        free(opaque(zeroed))
                        delta(opaque(0))
                    }
                    return figures
                }
                #expect(figures.allSatisfy { $0 == 0 }, "\(figures.description)")
            }
        }

        @Test(
            "What another process or thread frees is taken off the account of who allocated it",
            .enabled(if: Build.isPlain))
        func booksFreesByOthers() async throws {
            try await withRuntime { runtime in
                let left = try await runtime.value { context in
                    let start = Inspection.allocatedByteCount()
                    let freed = Counter()
                    for _ in 0..<64 {
                        let block = UInt(bitPattern: malloc(10_000)!)
                        context.spawn { _ in
                            free(UnsafeMutableRawPointer(bitPattern: block))
                            freed.add()
                        }
                        let other = UInt(bitPattern: malloc(10_000)!)
                        DispatchQueue(label: "outside").async {
                            free(UnsafeMutableRawPointer(bitPattern: other))
                            freed.add()
                        }
                    }
                    while freed.value < 128 { try context.sleep(.milliseconds(1)) }
                    return Inspection.allocatedByteCount() - start
                }
                #expect(left < 64_000, "1,280,000 bytes were allocated and freed; \(left) are booked")
            }
        }

        @Test("A process whose memory others keep freeing may allocate for ever", .enabled(if: Build.isPlain))
        func settlesWithOthers() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = await runtime.outcome(options: ProcessOptions(heapByteCountMax: 1 << 20)) { context in
                    let freed = Counter()
                    let (sink, _) = context.spawnMonitor(receiving: [UInt8].self) { context in
                        while true {
                            let bytes = try context.receive()
                            if bytes.count != 10_000 { break }
                            freed.add()
                        }
                    }
                    for number in 0..<2_000 {
                        sink.send(Array(repeating: 1, count: 10_000))
                        while freed.value < number - 20 { try context.yield() }
                    }
                    context.exit(sink.pid, .kill)
                }
                #expect(reason.isPlainNormal, "\(reason)")
            }
        }

        @Test("The stack of a parked process is as deep as its code is", .enabled(if: Build.isPlain))
        func measuresParkedStacks() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let byteCounts = try await runtime.value { context in
                    try context.sleep(.milliseconds(1))
                    let shallow = Inspection.stackByteCount()
                    let deep = try parkDeep(context, 100)
                    try context.sleep(.milliseconds(1))
                    return [shallow, deep, Inspection.stackByteCount()]
                }
                #expect(byteCounts[0] > 0)
                #expect(byteCounts[1] > byteCounts[0] + 100 * 16)
                #expect(byteCounts[2] < byteCounts[1])
            }
        }

        @Test("Frames that made room on their lane are booked on their process", .enabled(if: Build.isPlain))
        func booksMovedFrames() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let count = 3 * LaneSet.countMax
                let (booked, done) = (Counter(), Counter())
                runtime.spawn { context in
                    for _ in 0..<count {
                        context.spawn { child in
                            let before = Inspection.heldByteCount()
                            try child.sleep(.milliseconds(1))
                            if Inspection.heldByteCount() > before { booked.add() }
                            done.add()
                        }
                    }
                }
                await done.wait(for: count)
                #expect(booked.value >= count - LaneSet.countMax)
            }
        }

        @Test(
            "Memory comes back: rounds of processes that receive, fail and are ended need no more than the first ones",
            .enabled(if: Build.isPlain))
        func memoryComesBack() async {
            // In a program of its own: other tests allocate meanwhile.
            await #expect(processExitsWith: .success) {
                try await withRuntime { runtime in
                    var pages: [Int] = []
                    for _ in 0..<80 {
                        for number in 0..<1_000 {
                            let process = runtime.spawn(receiving: [Int].self) { context in
                                _ = try context.receive()
                                if number % 3 == 0 { throw Refused() }
                                if number % 3 == 1 { try context.sleep(.seconds(100)) }
                            }
                            for _ in 0..<5 { process.send(Array(0..<100)) }
                            if number % 3 == 1 { runtime.exit(process.pid, .shutdown) }
                        }
                        await runtime.waitForProcessCount(0)
                        pages.append(residentPageCount())
                    }
                    // The first rounds fill caches, and a round that idled gives them back: what is lost for good is
                    // seen in each of the last.
                    let (first, last) = (pages[..<40].max()!, pages[60...].min()!)
                    if last > first + 512 { fatalError("pages after each round: \(pages)") }
                }
            }
        }
    }
}

func residentPageCount() -> Int {
    let file = fopen("/proc/self/statm", "r")!
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 128)
    let count = fread(&bytes, 1, bytes.count, file)
    return Int(String(decoding: bytes.prefix(count), as: UTF8.self).split(separator: " ")[1])!
}

@inline(never) private func parkDeep(_ context: borrowing ProcessContext<Never>, _ depth: Int) throws -> Int {
    if depth > 0 { return try parkDeep(context, depth - 1) + 0 * depth }
    try context.sleep(.milliseconds(1))
    return Inspection.stackByteCount()
}
