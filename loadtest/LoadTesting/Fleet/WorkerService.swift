// SPDX-License-Identifier: Apache-2.0

internal import Dispatch
internal import Glibc
internal import RoostIO
internal import RoostRuntime

/// The other side of a `RemoteWorker`: does what it is asked, one thing after the other.
package enum WorkerService {
    /// A coordinator that is there asks some ten times a second, but nobody while it waits for one that does not
    /// answer: longer than that, or that one would take the others with it.
    static let idleTimeoutSeconds = 90.0
    /// After so long a network over which nothing comes has failed.
    static let networkTimeoutSeconds = 30

    /// Until the coordinator says stop, or is gone, which is thrown. The link is stopped in any case.
    static func serve(_ link: any WorkerLink, _ channel: Channel) async throws(WireError) {
        do throws(WireError) {
            while true {
                let request = try await channel.receive(WorkerRequest.self, timeoutSeconds: idleTimeoutSeconds)
                try await channel.send(answer(request, link), timeoutSeconds: idleTimeoutSeconds)
                if case .stop = request { return }
            }
        } catch {
            await link.stop(timeoutSeconds: 0)
            throw error
        }
    }

    private static func answer(_ request: WorkerRequest, _ link: any WorkerLink) async -> WorkerAnswer {
        do throws(LoadTestError) {
            switch request {
            case .connect: try await link.connect()
            case .status: return .status(try await link.status())
            case .tell(let command): try await link.tell(command)
            case .snapshot: return .snapshot(WireSnapshot(try await link.snapshot()))
            case .stop(let seconds): await link.stop(timeoutSeconds: seconds)
            case .clock: return .clock(MonotonicTime.now().nanoseconds)
            case .hello, .proof, .prepare: return .failed("asked out of turn")
            }
            return .done
        } catch {
            return .failed(error.description)
        }
    }

    // MARK: A worker process

    /// All that `loadtest worker` does. Its standard input is a socket to the coordinator.
    package static func runProcess(cores: [Int]) async throws(LoadTestError) {
        var kind: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        guard unsafe getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &kind, &length) == 0 else {
            throw LoadTestError("workers are started by the load tester itself; use --workers N")
        }
        for number in [SIGINT, SIGTERM] { _ = signal(number, SIG_IGN) }
        try CoreSet.pin(cores)
        watch()
        await serve(Channel(OwnedDescriptor(adopting: STDIN_FILENO)))
    }

    /// Takes a plan and does what else it is asked, with a worker of this program's.
    package static func serve(_ channel: Channel) async {
        // The coordinator's end is not an error here: it is what ends a worker.
        guard case .prepare(let plan, let place)? = try? await channel.receive(WorkerRequest.self, timeoutSeconds: 60)
        else { return }
        do throws(LoadTestError) {
            let worker = try await LocalWorker(plan, place)
            try? await channel.send(WorkerAnswer.done, timeoutSeconds: idleTimeoutSeconds)
            try? await serve(worker, channel)
        } catch {
            try? await channel.send(WorkerAnswer.failed(error.description), timeoutSeconds: idleTimeoutSeconds)
        }
    }

    /// Ends the program as soon as the coordinator is gone, whatever it is doing.
    private static func watch() {
        DispatchQueue(label: "loadtest coordinator").async {
            while true {
                var entry = pollfd(fd: STDIN_FILENO, events: 0, revents: 0)
                // Safe: one entry, lent for the call.
                let count = unsafe poll(&entry, 1, -1)
                if count > 0 { _exit(0) }
            }
        }
    }
}
