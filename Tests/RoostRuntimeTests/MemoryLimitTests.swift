// SPDX-License-Identifier: Apache-2.0

import RuntimeHandlers
import Testing

@testable import RoostRuntime

import Glibc

extension RuntimeTests {
    @Suite("Limits of memory", .timeLimit(.minutes(1)), .enabled(if: Build.isPlain))
    struct MemoryLimitTests {
        @Test(
            "The reason of a process over its heap limit says how much it held and in which of its functions it grew",
            arguments: ["hogByAppending", "hogBySmallObjects", "hogAtOnce"])
        func namesTheFunction(_ function: String) async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let limit = 4 << 20
                let reason = await runtime.outcome(options: ProcessOptions(heapByteCountMax: limit)) { _ in
                    switch function {
                    case "hogByAppending": hogByAppending()
                    case "hogBySmallObjects": hogBySmallObjects()
                    default: hogAtOnce(64 << 20)
                    }
                }
                let overflow = try #require(reason.heapOverflow, "\(reason)")
                #expect(overflow.byteCount > limit)
                #expect(overflow.limit == limit)
                #expect(overflow.heldByteCount < 64 << 10)
                #expect(overflow.function?.contains(function) == true, "\(overflow) \(overflow.backtrace)")
                #expect("\(reason)".contains("\(overflow.byteCount) bytes"))
                #expect("\(reason)".contains(function))
            }
        }

        @Test("A process ended for what others sent it names no function of its own")
        func messagesHaveNoFunction() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                let reason = try await runtime.value { context -> ExitReason in
                    let options = ProcessOptions(heapByteCountMax: 64 << 10)
                    let (victim, monitor) = context.spawnMonitor(receiving: Int.self, options: options) { victim in
                        try victim.sleep(.seconds(100))
                    }
                    for number in 0..<10_000 { victim.send(number) }
                    return try context.receiveDown(of: monitor)!.reason
                }
                let overflow = try #require(reason.heapOverflow, "\(reason)")
                #expect(overflow.heldByteCount > 64 << 10)
                #expect(overflow.function == nil)
            }
        }

        @Test("A limit met in one turn is not blamed on who allocates in the next")
        func framesAreOfTheTurn() async throws {
            try await withRuntime(schedulers: 1) { runtime in
                // Over its limit for a moment, and within it again when its turn ends.
                let reason = await runtime.outcome(options: ProcessOptions(heapByteCountMax: 1 << 20)) { context in
                    for _ in 0..<10 {
                        // The compiler knows malloc, and would do without.
                        let block = opaque(malloc(900_000)!)
                        withoutPreemption { free(opaque(malloc(900_000)!)) }
                        free(opaque(block))
                        try context.yield()
                    }
                    hogByAppending()
                }
                let overflow = try #require(reason.heapOverflow, "\(reason)")
                #expect(overflow.function?.contains("hogByAppending") == true, "\(overflow.backtrace)")
            }
        }
    }
}
