// SPDX-License-Identifier: Apache-2.0

import RuntimeHandlers
import Testing

@testable import RoostRuntime

extension RuntimeTests {
    @Suite("Inspection", .timeLimit(.minutes(1)))
    struct InspectionTests {
        @Test("A control block is no larger than a parked process of 512 bytes allows")
        func blockSize() { #expect(MemoryLayout<ProcessControlBlock>.stride <= 184) }
    }
}
