// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import LoadTesting

@Suite struct ProcessMeterTests {
    @Test("a sample of a process has all that reports tell of one")
    func sample() throws {
        let sample = try #require(ProcessMeter.ofThisProgram.sample)
        #expect(sample.cpuSeconds >= 0)
        for (name, path) in ServerFigures.memoryKinds { #expect(sample[keyPath: path] != nil, "\(name)") }
    }

    @Test("what sockets hold in their buffers is read from the kernel's statistics; where it is missing, it is unknown")
    func sockets() {
        let text = """
            sockets: used 26
            TCP: inuse 5 orphan 0 tw 0 alloc 7 mem 12
            UDP: inuse 0 mem 3

            """
        #expect(ProcessMeter.socketPageCount(text) == 12)
        #expect(ProcessMeter.socketPageCount("UDP: inuse 0 mem 3\nTCP: inuse 5 mem\n") == nil)
        #expect(ProcessMeter.socketPageCount("") == nil)
    }
}
