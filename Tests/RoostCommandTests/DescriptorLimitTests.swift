// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostDaemon

@Suite struct DescriptorLimitTests {
    static func judge(_ count: Int, _ connections: Int, chosen: Bool, listeners: Int = 1) -> DescriptorLimit.Verdict {
        DescriptorLimit(count: count, listenerCount: listeners, schedulerCount: 2)
            .judge(Array(repeating: .init(connectionCountMax: connections, isChosen: chosen), count: listeners))
    }

    @Test("listeners with numbers of their own keep them; the others share what is left") func sharesWhatIsLeft() {
        func judge(_ count: Int, _ demands: [(Int, Bool)]) -> DescriptorLimit.Verdict {
            DescriptorLimit(count: count, listenerCount: demands.count, schedulerCount: 2)
                .judge(demands.map { .init(connectionCountMax: $0.0, isChosen: $0.1) })
        }
        // 24 + 8 + 3 in reserve, 100 + 64 for the one that chose, and two that share the rest.
        #expect(judge(1_035, [(100, true), (1_000_000, false), (1_000_000, false)]) == .lowered(to: 354))
        #expect(judge(199 + 2 * (354 + 64), [(100, true), (354, false), (354, false)]) == .fits)
        #expect(
            judge(1_035, [(100, true), (2_000, true), (5, true)])
                == .refused(
                    "max-connections of the listeners are 100 + 2000 + 5, but the limit on open files is 1035; raise "
                        + "the limit with `ulimit -n 2332` (systemd: LimitNOFILE=2332) or set max-connections to "
                        + "numbers that come to 807 or less together"))
        #expect(judge(2_332, [(100, true), (2_000, true), (5, true)]) == .fits)
        // The ones that chose leave no room for the other.
        guard case .refused = judge(1_035, [(930, true), (1_000_000, false)]) else {
            Issue.record("930 and one more fit into 1035")
            return
        }
    }

    @Test("a limit too low to serve is refused, whatever is wanted", arguments: [0, 10, 63])
    func refusesTiny(count: Int) {
        #expect(
            Self.judge(count, 1, chosen: false)
                == .refused(
                    "the limit on open files is \(count), which is too low to serve (64 or more is needed); "
                        + "raise it with `ulimit -n 65536` or, under systemd, LimitNOFILE=65536"))
    }

    @Test("the default is lowered to what fits", arguments: [64, 100, 1_024, 20_000], [1, 2])
    func lowers(count: Int, listeners: Int) throws {
        guard case .lowered(let fitting) = Self.judge(count, 1_000_000, chosen: false, listeners: listeners) else {
            #expect(count < 70 && listeners == 2)  // refused: two listeners need more
            return
        }
        #expect(fitting >= 1)
        #expect(fitting * listeners + 32 <= count)
    }

    @Test("what fits stays, to the last descriptor", arguments: [1, 3]) func keepsWhatFits(listeners: Int) {
        let reserve = 24 + 4 * 2 + listeners
        let needed = (1_000 + 64) * listeners + reserve
        #expect(Self.judge(needed, 1_000, chosen: true, listeners: listeners) == .fits)
        #expect(Self.judge(needed, 1_000, chosen: false, listeners: listeners) == .fits)
        #expect(Self.judge(needed - 1, 1_000, chosen: true, listeners: listeners) != .fits)
    }

    @Test("a number that somebody chose is refused with what to do") func refusesChosen() {
        #expect(
            Self.judge(1_024, 20_000, chosen: true)
                == .refused(
                    "max-connections is 20000, but the limit on open files is 1024; raise the limit with "
                        + "`ulimit -n 20097` (systemd: LimitNOFILE=20097) or set max-connections to 927 or less"))
        // The number it advises is accepted.
        #expect(Self.judge(1_024, 927, chosen: true) == .fits)
        #expect(Self.judge(20_097, 20_000, chosen: true) == .fits)
    }
}
