// SPDX-License-Identifier: Apache-2.0

internal import RoostIO

/// Where the clients of a run are.
package struct FleetOptions: Sendable {
    /// Processes on this machine.
    package var workerCount = 1
    /// Of this machine, that workers are pinned to; empty: any.
    package var cores: [Int] = []
    /// `HOST:PORT` of the agents that have the clients instead of this machine.
    package var agents: [String] = []
    package var token: RunToken?
    /// A single worker gets a process of its own too: what it leaves behind ends with it.
    var isAlwaysApart = false
    /// Behind the names of workers: where they are.
    var placeName = ""

    package init() {}

    package static let workerCountMax = 1_000
}

/// Starts the workers of a run.
package enum Fleet {
    /// Throws where the plan cannot be run there, or not by all of them.
    package static func launch(_ plan: LoadPlan, _ options: FleetOptions) async throws(LoadTestError)
        -> [any WorkerLink]
    {
        try await launch(plan, options, WorkerPlace(index: 0, count: 1))
    }

    /// `place`: of all workers of `options` together.
    static func launch(
        _ plan: LoadPlan, _ options: FleetOptions, _ place: WorkerPlace
    ) async throws(LoadTestError) -> [any WorkerLink] {
        guard options.agents.isEmpty else { return try await reach(plan, options) }
        if options.workerCount == 1, !options.isAlwaysApart {
            try CoreSet.pin(options.cores)
            return [try await LocalWorker(plan, place)]
        }
        try CoreSet.check(options.cores)
        let count = options.workerCount
        var remotes: [(Remote, LoadPlan, WorkerPlace)] = []
        for index in 0..<count {
            let cores = CoreSet.share(options.cores, index, of: count)
            var plan = plan
            if plan.schedulerCount == 0 {
                plan.schedulerCount = cores.isEmpty ? max(CoreAffinity.available.count / count, 1) : cores.count
            }
            let remote = try WorkerProcess.start(index + 1, cores: cores, place: options.placeName)
            remotes.append((remote, plan, place.part(index, of: count)))
        }
        return try await prepare(remotes)
    }

    /// A worker at the other end of a channel, which `WorkerService.serve` leads.
    package static func adopt(
        _ name: String, _ channel: Channel, _ plan: LoadPlan, _ place: WorkerPlace
    ) async throws(LoadTestError) -> any WorkerLink {
        try await RemoteWorker(Remote(name: name, channel: channel), plan, place)
    }

    private static func reach(
        _ plan: LoadPlan, _ options: FleetOptions
    ) async throws(LoadTestError) -> [any WorkerLink] {
        guard let token = options.token else { throw LoadTestError("agents need a token; give --token-file FILE") }
        var remotes: [(Remote, LoadPlan, WorkerPlace)] = []
        for (index, agent) in try AgentLink.find(options.agents).enumerated() {
            let remote = try await AgentLink.connect(agent.text, agent.address, token)
            remotes.append((remote, plan, WorkerPlace(index: index, count: options.agents.count)))
        }
        return try await prepare(remotes)
    }

    /// All at once, as each may have names to look up.
    private static func prepare(
        _ remotes: [(Remote, LoadPlan, WorkerPlace)]
    ) async throws(LoadTestError) -> [any WorkerLink] {
        let results = await concurrently(remotes) { remote throws(LoadTestError) in
            try await RemoteWorker(remote.0, remote.1, remote.2)
        }
        var workers: [RemoteWorker] = []
        var failure: LoadTestError?
        for result in results {
            switch result {
            case .success(let worker): workers.append(worker)
            case .failure(let error): failure = failure ?? error
            }
        }
        guard let failure else { return workers }
        for worker in workers { await worker.stop(timeoutSeconds: 0) }
        throw failure
    }
}

extension WorkerPlace {
    /// Of this place's clients, those of part `number` of `parts`: together they are exactly this place's.
    package func part(_ number: Int, of parts: Int) -> WorkerPlace {
        var place = self
        place.index = index + count * number
        place.count = count * parts
        return place
    }
}
