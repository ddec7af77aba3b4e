// SPDX-License-Identifier: Apache-2.0

import Histogram
import LoadTesting
import Roost
import RoostIO
import Synchronization
import Testing

extension TrafficTests {
    @Suite struct RemoteWorkerTests {
        /// A worker of this program at the other end of a socket, as a process would be.
        private func served(_ plan: LoadPlan, _ place: WorkerPlace) async throws -> any WorkerLink {
            let (first, second) = ChannelPair.sockets()
            let theirs = Channel(OwnedDescriptor(adopting: second))
            Task { await WorkerService.serve(theirs) }
            return try await Fleet.adopt("worker", Channel(OwnedDescriptor(adopting: first)), plan, place)
        }

        @Test("a run over channels counts as one in this program does", arguments: [1, 3])
        func run(workerCount: Int) async throws {
            let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
            let plan = LoadPlan.echo(server.url("/echo"), connections: 10)
            var workers: [any WorkerLink] = []
            for index in 0..<workerCount {
                workers.append(try await served(plan, WorkerPlace(index: index, count: workerCount)))
            }
            let record = await LoadRun(plan, workers, server: nil, observer: nil).run()
            await server.stop()
            #expect(record.errors == [])
            #expect(record.workerCount == workerCount)
            let counters = record.counters
            #expect(counters.started == 10 && counters.opened == 10 && counters.ended == 10)
            #expect(counters.completed > 0 && counters.completed == counters.sent && counters.sent == counters.received)
            let whole = record.whole[0].distributions
            #expect(Int(whole.latency.totalCount) == counters.completed && whole.connect.totalCount == 10)
        }

        @Test("a plan that a worker cannot run is refused in its words")
        func refusal() async throws {
            let plan = LoadPlan.echo("http://127.0.0.1:1/")
            let error = await #expect(throws: LoadTestError.self) {
                _ = try await served(plan, WorkerPlace(index: 0, count: 1))
            }
            #expect(error?.description.contains("use ws:// or wss://") == true, "\(error?.description ?? "")")
        }

        @Test("a place's clock offset reaches a worker of the same machine unchanged")
        func clockOffset() async throws {
            let (first, second) = ChannelPair.sockets()
            let theirs = Channel(OwnedDescriptor(adopting: second))
            var place = WorkerPlace(index: 1, count: 4)
            place.clockOffsetNanoseconds = -12_345
            let plan = LoadPlan.echo("ws://127.0.0.1:1/")
            async let adopted = Fleet.adopt("worker", Channel(OwnedDescriptor(adopting: first)), plan, place)
            #expect(try await theirs.receive(WorkerRequest.self, timeoutSeconds: 60) == .prepare(plan, place))
            try await theirs.send(WorkerAnswer.done, timeoutSeconds: 60)
            let worker = try await adopted
            theirs.shutdown()
            await worker.stop(timeoutSeconds: 0)
        }

        @Test("a worker that is gone is an error that names it, and stays one")
        func loss() async throws {
            let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
            let plan = LoadPlan.echo(server.url("/echo"))
            let (first, second) = ChannelPair.sockets()
            let theirs = Channel(OwnedDescriptor(adopting: second))
            Task { await WorkerService.serve(theirs) }
            let worker = try await Fleet.adopt(
                "worker", Channel(OwnedDescriptor(adopting: first)), plan, WorkerPlace(index: 0, count: 1))
            _ = try await worker.snapshot()
            theirs.shutdown()
            for _ in 0..<2 {
                let error = await #expect(throws: LoadTestError.self) { _ = try await worker.snapshot() }
                #expect(error == LoadTestError("worker was lost: the connection to it has ended"))
            }
            await worker.stop(timeoutSeconds: 0)
            await server.stop()
        }
    }
}

extension TrafficTests {
    @Suite struct AgentTests {
        private static let secret = "0123456789abcdef"

        /// An agent on a free port, for the time of `body`.
        private func withAgent(_ body: (Agent) async throws -> Void) async throws {
            let agent = try Agent(listen: "[::1]:0", RunToken(Self.secret), FleetOptions()) { _ in }
            async let served: Void = agent.run()
            do {
                try await body(agent)
            } catch {
                agent.stop()
                await served
                throw error
            }
            agent.stop()
            await served
        }

        private func channel(_ agent: Agent) throws -> Channel {
            Channel(try SystemCalls.connect(to: agent.address))
        }

        private func launch(_ agent: Agent, _ token: String) async throws {
            var options = FleetOptions()
            options.agents = ["\(agent.address)"]
            options.token = try RunToken(token)
            _ = try await Fleet.launch(.echo("ws://127.0.0.1:1/"), options)
        }

        @Test("an agent refuses who has another token, and says so")
        func wrongToken() async throws {
            try await withAgent { agent in
                let error = await #expect(throws: LoadTestError.self) { try await launch(agent, Self.secret + "x") }
                #expect(
                    error?.description
                        == "agent \(agent.address): the token is not the agent's; give both the same --token-file")
            }
        }

        @Test("an agent tells its version to who speaks another, and hears no more of it")
        func wrongVersion() async throws {
            try await withAgent { agent in
                let channel = try channel(agent)
                let answer = try await channel.exchange(.hello(version: 99, nonce: "n"), timeoutSeconds: 60)
                guard case .challenge(WorkerRequest.version, _) = answer else {
                    Issue.record("\(answer)")
                    return
                }
                await #expect(throws: WireError.self) { try await channel.exchange(.proof("p"), timeoutSeconds: 60) }
            }
        }

        @Test(
            "an agent gives up what is no greeting",
            arguments: [
                [0, 0, 0x10, 1], Array("GET / HTTP/1.1\r\nHost: x\r\n\r\n".utf8), [0, 0, 0, 2, 0x7b, 0x7d],
                FrameReader.frame(WireCodec.encode(WorkerRequest.snapshot)),
            ] as [[UInt8]])
        func garbage(bytes: [UInt8]) async throws {
            try await withAgent { agent in
                let descriptor = try SystemCalls.connect(to: agent.address)
                let channel = Channel(OwnedDescriptor(adopting: descriptor.release()))
                try await channel.sendRaw(bytes, timeoutSeconds: 60)
                await #expect(throws: WireError.self) {
                    _ = try await channel.receive(WorkerAnswer.self, timeoutSeconds: 60)
                }
            }
        }

        @Test("an agent that is not there is named with the remedy")
        func unreachable() async throws {
            var address = ""
            try await withAgent { address = "\($0.address)" }
            var options = FleetOptions()
            options.agents = [address]
            options.token = try RunToken(Self.secret)
            let error = await #expect(throws: LoadTestError.self) {
                _ = try await Fleet.launch(.echo("ws://127.0.0.1:1/"), options)
            }
            #expect(
                error?.description.hasPrefix("agent \(address) cannot be reached: Connection refused; start it") == true
            )
        }

        @Test("an agent is named once", arguments: [["h:1", "h:1"], ["127.0.0.1:1", "[::1]:1", "localhost:1"]])
        func twice(agents: [String]) async throws {
            var options = FleetOptions()
            options.agents = agents.map { $0.replacing("h:", with: "127.0.0.1:") }
            options.token = try RunToken(Self.secret)
            let error = await #expect(throws: LoadTestError.self) {
                _ = try await Fleet.launch(.echo("ws://127.0.0.1:1/"), options)
            }
            #expect(error?.description.contains("name each agent once") == true, "\(error?.description ?? "")")
        }

        @Test("a place that no run has is refused, and the agent lives on")
        func impossiblePlace() async throws {
            let token = try RunToken(Self.secret)
            try await withAgent { agent in
                for (index, count) in [(0, 0), (-1, 2), (2, 2), (0, Int.max), (Int.min, Int.min)] {
                    let channel = try channel(agent)
                    let ours = RunToken.nonce()
                    let hello = WorkerRequest.hello(version: WorkerRequest.version, nonce: ours)
                    guard case .challenge(_, let theirs) = try await channel.exchange(hello, timeoutSeconds: 60) else {
                        Issue.record("no challenge")
                        return
                    }
                    let proof = WorkerRequest.proof(token.proof(of: .coordinator, ours, theirs))
                    guard case .welcome = try await channel.exchange(proof, timeoutSeconds: 60) else {
                        Issue.record("no welcome")
                        return
                    }
                    channel.trust(token.seals(of: .coordinator, ours, theirs))
                    let place = WorkerPlace(index: index, count: count)
                    let answer = try await channel.exchange(
                        .prepare(.echo("ws://127.0.0.1:1/"), place), timeoutSeconds: 60)
                    guard case .failed = answer else {
                        Issue.record("place \(index) of \(count): \(answer)")
                        return
                    }
                    channel.shutdown()
                }
            }
        }

        @Test("a greeting that is no random text is refused", arguments: ["0", "g", "\n"], [0, 63, 64, 65])
        func noNonce(digit: String, count: Int) async throws {
            let text = String(repeating: digit, count: count)
            guard text != String(repeating: "0", count: 64) else { return }
            try await withAgent { agent in
                let channel = try channel(agent)
                let hello = WorkerRequest.hello(version: WorkerRequest.version, nonce: text)
                _ = try await channel.exchange(hello, timeoutSeconds: 60)
                await #expect(throws: WireError.ended) {
                    try await channel.receive(WorkerAnswer.self, timeoutSeconds: 60)
                }
            }
        }

        @Test("agents are written with a port", arguments: ["h", "::1", "[::1]", "h:1/x", "h:0", ""])
        func wrongAddress(text: String) async throws {
            var options = FleetOptions()
            options.agents = [text]
            options.token = try RunToken(Self.secret)
            let error = await #expect(throws: LoadTestError.self) {
                _ = try await Fleet.launch(.echo("ws://127.0.0.1:1/"), options)
            }
            #expect(error?.description.contains("write each agent as HOST:PORT") == true, "\(error?.description ?? "")")
        }

        @Test("a proof is HMAC-SHA-256 (RFC 2104), and good for one role and one greeting")
        func proofs() throws {
            let token = try RunToken(Self.secret + "\n")
            let proof = token.proof(of: .coordinator, "a", "b")
            #expect(proof == "f940928cd8e8805527e44dcda0842afd222803e8726c8bbf971a869c13a6d60d")
            #expect(token.accepts(proof, of: .coordinator, "a", "b"))
            #expect(!token.accepts(proof, of: .agent, "a", "b"))
            #expect(!token.accepts(proof, of: .coordinator, "b", "a"))
            #expect(!token.accepts(String(proof.dropLast()), of: .coordinator, "a", "b"))
            #expect(!token.accepts("", of: .coordinator, "a", "b"))
            #expect(RunToken.nonce() != RunToken.nonce())
            #expect(throws: LoadTestError.self) { try RunToken("0123456789abcde \n") }
        }
    }
}
