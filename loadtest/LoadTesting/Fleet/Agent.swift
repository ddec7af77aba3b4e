// SPDX-License-Identifier: Apache-2.0

internal import Dispatch
internal import Glibc
package import RoostIO
internal import RoostRuntime
internal import Synchronization

/// Runs the clients of coordinators on other machines, one run after the other.
///
/// Its workers are processes of their own, which end with the run, or as soon as the coordinator is gone.
package final class Agent: Sendable {
    /// Connections at a time that have not shown the token; a further one takes the place of the oldest.
    private static let strangerCountMax = 16
    /// What somebody who has not shown the token may take for a message.
    private static let greetingSeconds = 15.0
    /// How long a coordinator waits for the end of the run before its own.
    private static let turnSeconds = 2.0

    private let socket: ListeningSocket
    private let token: RunToken
    private let options: FleetOptions
    private let log: @Sendable (String) -> Void
    /// In the order in which they came.
    private let strangers = Mutex<[Channel]>([])
    private let isServing = Atomic<Bool>(false)
    private let isStopped = Atomic<Bool>(false)

    package init(
        listen text: String, _ token: RunToken, _ options: FleetOptions, log: @escaping @Sendable (String) -> Void
    ) throws(LoadTestError) {
        do {
            socket = try ListeningSocket(SocketAddress(text))
        } catch {
            throw LoadTestError("--listen \(text): \(error)")
        }
        self.token = token
        var options = options
        options.isAlwaysApart = true
        try CoreSet.check(options.cores)
        self.options = options
        self.log = log
    }

    package var address: SocketAddress { socket.address }

    /// Until Ctrl-C, or `stop`.
    package func run() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            DispatchQueue(label: "loadtest agent").async {
                while !self.isOver { self.acceptNext() }
                continuation.resume()
            }
        }
    }

    package func stop() { isStopped.store(true, ordering: .relaxed) }

    private var isOver: Bool { Interrupt.isRequested || isStopped.load(ordering: .relaxed) }

    private func acceptNext() {
        var entry = pollfd(fd: socket.number, events: Int16(POLLIN), revents: 0)
        // Safe: one entry, lent for the call.
        guard unsafe poll(&entry, 1, 100) > 0 else { return }
        switch SystemCalls.accept(socket.number) {
        case .accepted(let descriptor, let peer):
            let channel = Channel(descriptor, byteCountMax: Channel.strangerByteCountMax)
            let oldest = strangers.withLock { strangers in
                strangers.append(channel)
                return strangers.count > Self.strangerCountMax ? strangers.removeFirst() : nil
            }
            oldest?.shutdown()
            Task {
                await session(channel, peer)
                forget(channel)
            }
        case .wouldBlock: break
        case .aborted: break
        case .exhausted(let code): cannotAccept(code)
        case .failed(let code): cannotAccept(code)
        }
    }

    private func cannotAccept(_ code: Int32) {
        log("cannot accept: \(unsafe String(cString: strerror(code)))")
        usleep(100_000)
    }

    /// It is no stranger any more.
    private func forget(_ channel: Channel) { strangers.withLock { $0.removeAll { $0 === channel } } }

    // MARK: One coordinator

    private func session(_ channel: Channel, _ peer: SocketAddress) async {
        do throws(WireError) {
            guard let (proof, seals) = try await greet(channel) else {
                return log("\(peer) was refused: it does not have the token")
            }
            forget(channel)
            guard await takeTurn() else {
                log("\(peer) was refused: another run is served")
                return try await channel.send(
                    WorkerAnswer.failed("it serves another run; wait for its end, or use another agent"),
                    timeoutSeconds: Self.greetingSeconds)
            }
            defer { isServing.store(false, ordering: .releasing) }
            try await channel.send(
                WorkerAnswer.welcome(proof: proof, workerCount: options.workerCount),
                timeoutSeconds: Self.greetingSeconds)
            channel.trust(seals)
            channel.watchNetwork(seconds: WorkerService.networkTimeoutSeconds)
            try await lead(channel, peer)
        } catch {
            log("\(peer): \(error)")
        }
    }

    /// Asks the other side for its proof. Returns ours, and the seals of what follows; nil: its is not good.
    private func greet(_ channel: Channel) async throws(WireError) -> (proof: String, seals: SessionSeals)? {
        let seconds = Self.greetingSeconds
        guard
            case .hello(let version, let theirs) =
                try await channel.receive(WorkerRequest.self, timeoutSeconds: seconds)
        else { throw .outOfTurn }
        let ours = RunToken.nonce()
        try await channel.send(
            WorkerAnswer.challenge(version: WorkerRequest.version, nonce: ours), timeoutSeconds: seconds)
        // The coordinator tells its user.
        guard version == WorkerRequest.version, RunToken.isNonce(theirs) else { throw .unreadable }
        guard case .proof(let proof) = try await channel.receive(WorkerRequest.self, timeoutSeconds: seconds) else {
            throw .outOfTurn
        }
        if token.accepts(proof, of: .coordinator, theirs, ours) {
            return (token.proof(of: .agent, theirs, ours), token.seals(of: .agent, theirs, ours))
        }
        try await channel.send(
            WorkerAnswer.failed("the token is not the agent's; give both the same --token-file"),
            timeoutSeconds: seconds)
        return nil
    }

    /// Serves it, and tells it where what it sends makes no sense.
    private func lead(_ channel: Channel, _ peer: SocketAddress) async throws(WireError) {
        do throws(WireError) {
            try await serve(channel, peer)
        } catch {
            if error.isOfMessage {
                try? await channel.send(
                    WorkerAnswer.failed(error.description), timeoutSeconds: Self.greetingSeconds)
            }
            throw error
        }
    }

    /// False: another run is served, and goes on.
    private func takeTurn() async -> Bool {
        let deadline = MonotonicTime.now() + .seconds(Self.turnSeconds)
        while isServing.exchange(true, ordering: .acquiring) {
            if MonotonicTime.now() >= deadline { return false }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return true
    }

    private func serve(_ channel: Channel, _ peer: SocketAddress) async throws(WireError) {
        while true {
            switch try await channel.receive(
                WorkerRequest.self, timeoutSeconds: WorkerService.idleTimeoutSeconds)
            {
            case .clock:
                let now = MonotonicTime.now().nanoseconds
                try await channel.send(WorkerAnswer.clock(now), timeoutSeconds: Self.greetingSeconds)
            case .prepare(let plan, let place):
                return try await run(plan, place, channel, peer)
            case .hello, .proof, .connect, .status, .tell, .snapshot, .stop: throw .outOfTurn
            }
        }
    }

    private func run(
        _ plan: LoadPlan, _ place: WorkerPlace, _ channel: Channel, _ peer: SocketAddress
    ) async throws(WireError) {
        guard place.isPossible else { throw .unreadable }
        log("\(peer) runs \(plan.scenario.rawValue) with \(options.workerCount) workers")
        var options = options
        if let name = place.agentName { options.placeName = " of \(name)" }
        let workers: WorkerSet
        do throws(LoadTestError) {
            workers = WorkerSet(try await Fleet.launch(plan, options, place), groupCount: plan.groups.count)
        } catch {
            log("\(peer): \(error)")
            return try await channel.send(
                WorkerAnswer.failed(error.description), timeoutSeconds: Self.greetingSeconds)
        }
        do throws(WireError) {
            try await channel.send(WorkerAnswer.done, timeoutSeconds: Self.greetingSeconds)
        } catch {
            await workers.stop(timeoutSeconds: 0)
            throw error
        }
        try await WorkerService.serve(workers, channel)
        log("\(peer): the run is over")
    }
}
