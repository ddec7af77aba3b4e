// SPDX-License-Identifier: Apache-2.0

/// A supervisor in a simulation, and what it may do.
struct SupervisedGroup {
    let intensity: RestartIntensity
    var owner: Pid?
    var supervisor: Pid?
    /// When the failures were reported that it restarted after, oldest first.
    var restarts: [MonotonicTime] = []
    /// A failure that it will restart after, or give up for.
    var failure: MonotonicTime?
    var hasGivenUp = false
}

extension Simulation {
    /// A supervisor whose children are as any other process of the run: they crash.
    func startSupervisor() {
        let number = supervisors.count
        let intensity = RestartIntensity(choices.within(0...4), in: .milliseconds(choices.pick([1, 10, 1_000])))
        supervisors.append(SupervisedGroup(intensity: intensity))
        let restart: ChildSpecification.Restart = choices.pick([.permanent, .transient, .temporary])
        let strategy = choices.pick([Supervisor.Strategy.oneForOne, .oneForAll, .restForOne])
        let children = (0..<choices.within(1...3)).map { child in
            ChildSpecification(
                "child \(child)", receiving: SimulatedParcel.self, restart: restart,
                shutdown: choices.pick([.brutalKill, .timeout(.milliseconds(5)), .infinity])
            ) { [self] process in
                let actor = withoutPreemption { makeActor() }
                try SimulatedWork.run(actors[actor], self, process)
            }
        }
        threads.inside(SimulatedThreads.outside) {
            supervisors[number].owner = runtime.spawn { [self] process in
                process.trapExits()
                let supervisor = try Supervisor.start(
                    from: process, strategy: strategy, intensity: intensity, children: children,
                    onReport: { [self] report in withoutPreemption { noteReport(report, number) } })
                withoutPreemption { supervisors[number].supervisor = supervisor.pid }
                while true { _ = try process.receiveAny() }
            }
        }
    }

    /// U1: no more restarts within a period than are allowed, and none after the one too many.
    ///
    /// A supervisor takes the time of a restart after it reports the failure and before it reports the new child.
    private func noteReport(_ report: SupervisorReport, _ number: Int) {
        guard supervisors.indices.contains(number) else { return }
        switch report.event {
        case .crash, .startError, .shutdownError: return
        case .shutdown: supervisors[number].hasGivenUp = true
        case .childTerminated:
            if report.specification.restart.restarts(after: report.reason) { supervisors[number].failure = clock }
        case .progress:
            guard let failure = supervisors[number].failure else { return }
            supervisors[number].failure = nil
            supervisors[number].restarts.append(failure)
            counts.restarts += 1
            checkRestart(supervisors[number], number)
        }
    }

    private func checkRestart(_ group: SupervisedGroup, _ number: Int) {
        note(.restarts, number, group.restarts.count)
        expect(!group.hasGivenUp, "U1", "supervisor \(number) restarts a child after it gave up")
        let recent = group.restarts.count { clock - $0 <= group.intensity.period }
        expect(
            recent <= group.intensity.restartCountMax, "U1",
            "supervisor \(number) restarts \(recent) times in \(group.intensity.period), more than it may")
    }
}
