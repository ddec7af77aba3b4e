// SPDX-License-Identifier: Apache-2.0

import RoostRuntime
import Testing

extension RuntimeTests {
    @Suite("Supervised children with a name", .timeLimit(.minutes(1)))
    struct NamedChildTests {
        let names = Registry<String>()
        var clock: Name<String, ChildEnding> { names.via("clock") }

        @Test("A child has its name when its supervisor has started, and again after each restart")
        func keepsItsName() async throws {
            try await withRuntime { runtime in
                let journal = Journal()
                let supervisor = try await Supervisor.start(
                    in: runtime, intensity: RestartIntensity(100, in: .seconds(600)),
                    children: [.registered("clock", as: clock, value: 1) { try obey($0) }], onReport: journal.report)
                var holders: Set<Pid> = []
                for round in 1...20 {
                    let holder = try clock.resolve().pid
                    #expect(holders.insert(holder).inserted)
                    #expect(try names.value(of: "clock", as: Int.self) == 1)
                    #expect(clock.send(round % 2 == 0 ? .fail : .trap))
                    while [nil, holder].contains(names.whereis("clock")) { await Task.yield() }
                }
                while journal.reports.filter({ $0.event == .childTerminated }).count < 20 { await Task.yield() }
                #expect(!journal.reports.contains { $0.event == .startError })
                await supervisor.stop()
                #expect(names.whereis("clock") == nil)
            }
        }

        @Test("A child whose name another has does not start, and the error names the holder")
        func refusesATakenName() async throws {
            try await withRuntime { runtime in
                let holder = runtime.spawn(receiving: Int.self) { _ = try $0.receive() }
                try names.register("clock", holder)
                let error = await #expect(throws: (any Error).self) {
                    _ = try await Supervisor.start(
                        in: runtime, children: [.registered("clock", as: clock) { try obey($0) }])
                }
                #expect(error.map { "\($0)" }?.contains("\(holder.pid)") == true)
                #expect(names.whereis("clock") == holder.pid)
                holder.send(1)
                await runtime.waitForProcessCount(0)
            }
        }
    }
}
