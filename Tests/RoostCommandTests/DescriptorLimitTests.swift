// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostDaemon

@Suite struct DescriptorLimitTests {
    static func judge(_ count: Int, _ connections: Int, chosen: Bool, listeners: Int = 1) -> DescriptorLimit.Verdict {
        DescriptorLimit(count: count, listenerCount: listeners, schedulerCount: 2)
            .judge(connectionCountMax: connections, isChosen: chosen)
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
