// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

// The examples of `GenServer`'s documentation.

struct Adder: GenServer {
    private var count = 0

    struct Increment: ServerRequest {
        var by = 1
        func handle(_ counter: inout Adder, _ process: borrowing Adder.Context) -> Int {
            counter.count += by
            return counter.count
        }
    }
}

struct Cache: GenServer {
    enum Message: Sendable { case store(String, Int) }
    private var values: [String: Int] = [:]
    private var waiting: [String: [PromisedReply<Int>]] = [:]

    /// The value of a key, as soon as there is one.
    struct Value: DeferredRequest {
        let key: String
        func handle(_ cache: inout Cache, _ reply: PromisedReply<Int>, _ process: borrowing Cache.Context) {
            if let value = cache.values[key] {
                reply.send(value)
            } else {
                cache.waiting[key, default: []].append(reply)
            }
        }
    }

    mutating func handle(_ message: Message, _ process: borrowing Context) {
        switch message {
        case .store(let key, let value):
            values[key] = value
            waiting.removeValue(forKey: key)?.forEach { $0.send(value) }
        }
        process.timeOut(after: .seconds(600))
    }

    mutating func handleTimeout(_ process: borrowing Context) { process.stop() }
}

extension Cache {
    fileprivate func waitingCount(for key: String) -> Int { waiting[key]?.count ?? 0 }
    fileprivate func value(for key: String) -> Int? { values[key] }
}

/// Notes what happens to it.
private struct Clerk: GenServer {
    enum Message: Sendable { case note(String), monitor(Pid), fail, timeOut, trapExits }
    let journal: Journal

    struct Fail: ServerRequest {
        let traps: Bool
        func handle(_ clerk: inout Clerk, _ process: borrowing Clerk.Context) throws -> Int {
            if traps { fatalError("told to trap") }
            throw Refused(number: 5)
        }
    }

    struct StopAfterReply: ServerRequest {
        func handle(_ clerk: inout Clerk, _ process: borrowing Clerk.Context) -> Int {
            process.stop(.shutdown)
            process.stop(.normal)
            return 1
        }
    }

    struct Continue: ServerRequest {
        func handle(_ clerk: inout Clerk, _ process: borrowing Clerk.Context) -> Bool {
            _ = process.send(.note("sent"), to: process.address.messages(), after: .zero)
            process.address.send(.note("later"))
            process.continue { clerk, process in
                clerk.journal.note("1 continues")
                process.continue { clerk, _ in clerk.journal.note("2 continues") }
            }
            return true
        }
    }

    struct Forget: DeferredRequest {
        func handle(_ clerk: inout Clerk, _ reply: PromisedReply<Int>, _ process: borrowing Clerk.Context) {}
    }

    mutating func handle(_ message: Message, _ process: borrowing Context) throws {
        switch message {
        case .note(let text): journal.note("\(text) handled")
        case .monitor(let pid): _ = process.monitor(pid)
        case .fail: throw Refused(number: 6)
        case .timeOut: process.timeOut(after: .milliseconds(1))
        case .trapExits: process.trapExits()
        }
    }

    mutating func handleDown(_ down: Down, _ process: borrowing Context) { journal.note("\(down.reason.label) down") }
    mutating func handleExit(_ signal: ExitSignal, _ process: borrowing Context) {
        journal.note("\(signal.reason.label) exit")
    }
    mutating func handleTimeout(_ process: borrowing Context) { journal.note("timeout handled") }
    mutating func terminate(_ reason: ExitReason, _ process: borrowing Context) {
        journal.note("\(reason.label) terminates")
    }
}

private func serverError(_ body: () throws -> Void) throws -> CallError {
    do { try body() } catch let error as CallError { return error }
    throw Refused(number: -1)
}

extension RuntimeTests {
    @Suite("Servers", .timeLimit(.minutes(1)))
    struct GenServerTests {
        @Test("Requests are answered with values of their own type, in order; a cast is not answered")
        func answers() async throws {
            try await withRuntime { runtime in
                let counts: [Int] = try await runtime.value { process in
                    let counter = try Adder.startLink(from: process) { _ in Adder() }
                    let first = try process.call(counter, Adder.Increment())
                    counter.cast(Adder.Increment(by: 10))
                    return [first, try process.call(counter, Adder.Increment(by: 2))]
                }
                #expect(counts == [1, 13])
            }
        }

        @Test("A deferred request is answered later; messages, states and closures reach the server")
        func defers() async throws {
            try await withRuntime { runtime in
                let cache = try await Cache.start(in: runtime) { _ in Cache() }
                async let first = runtime.call(cache, Cache.Value(key: "a"), timeout: nil)
                async let second = runtime.call(cache, Cache.Value(key: "a"), timeout: nil)
                while try await runtime.perform(on: cache, { cache, _ in cache.waitingCount(for: "a") }) < 2 {}
                cache.send(.store("a", 1))
                let answers = try await [first, second]
                let state = try await runtime.state(of: cache)
                let reason = try await runtime.stop(server: cache)
                #expect(answers == [1, 1])
                #expect(state.value(for: "a") == 1)
                #expect(reason.isPlainNormal)
                await #expect { try await runtime.stop(server: cache) } throws: {
                    ($0 as? CallError)?.isNoProcess == true
                }
            }
        }

        @Test("A start waits for the state; whoever starts gets the error of one that fails, and no exit signal")
        func starts() async throws {
            try await withRuntime { runtime in
                let reason = await runtime.outcome { process in
                    do {
                        _ = try Adder.startLink(from: process) { _ in throw Refused(number: 3) }
                        throw Refused()
                    } catch StartError.ended(let reason) {
                        guard reason.refusal == Refused(number: 3) else { throw Refused() }
                    }
                    do {
                        _ = try Adder.start(from: process, timeout: .milliseconds(1)) {
                            try $0.sleep(.seconds(60))
                            return Adder()
                        }
                        throw Refused()
                    } catch StartError.timedOut {}
                    do {
                        _ = try Adder.start(from: process) { _ in fatalError("told to trap") }
                        throw Refused()
                    } catch StartError.ended(let reason) {
                        guard reason.trap != nil else { throw Refused() }
                    }
                }
                #expect(reason.isPlainNormal, "\(reason)")
                await #expect { _ = try await Adder.start(in: runtime) { _ in throw Refused(number: 3) } } throws: {
                    if case .ended(let reason)? = $0 as? StartError { reason.refusal != nil } else { false }
                }
                await runtime.waitForProcessCount(0)
            }
        }

        @Test("Down messages, exit signals and timeouts have callbacks of their own")
        func hearsEvents() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let clerk = try await Clerk.start(in: runtime) { _ in Clerk(journal: journal) }
                clerk.send(.monitor(runtime.spawn { _ in throw Refused() }))
                while journal.entries("down").isEmpty { await Task.yield() }
                clerk.send(.trapExits)
                clerk.send(.timeOut)
                await journal.wait(for: ["timeout handled"])
                runtime.exit(clerk.pid, .shutdown)
                await journal.wait(for: ["shutdown exit"])
                #expect(journal.entries("down").count == 1)
                #expect(journal.entries("terminates") == [])
                clerk.send(.note("message"))
                try await runtime.stop(server: clerk, reason: .shutdown)
                #expect(journal.entries("handled") == ["timeout", "message"])
                #expect(journal.entries("terminates") == ["shutdown"])
            }
        }

        @Test("What a callback asked for comes before the next message: continue, then stop, after the reply")
        func obeysDirectives() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let clerk = try await Clerk.start(in: runtime) { process in
                    process.continue { clerk, _ in clerk.journal.note("0 continues") }
                    return Clerk(journal: journal)
                }
                #expect(try await runtime.call(clerk, Clerk.Continue()))
                await journal.wait(for: ["later handled", "sent handled"])
                #expect(journal.entries("continues") == ["0", "1", "2"])
                #expect(try await runtime.call(clerk, Clerk.StopAfterReply()) == 1)
                await runtime.waitForProcessCount(0)
                #expect(journal.entries("terminates") == ["shutdown"])
            }
        }

        @Test("What a callback throws ends the server after terminate; a trap ends it without; the caller hears why")
        func ends() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let errors: [CallError] = try await runtime.value { process in
                    try [false, true].map { traps in
                        let clerk = try Clerk.start(from: process) { _ in Clerk(journal: journal) }
                        return try serverError { _ = try process.call(clerk, Clerk.Fail(traps: traps), timeout: nil) }
                    }
                }
                #expect(errors[0].endReason?.refusal == Refused(number: 5))
                #expect(errors[0].calleeName == "Clerk" && errors[0].request == "Fail")
                #expect(errors[1].endReason?.trap != nil)
                let clerk = try await Clerk.start(in: runtime) { _ in Clerk(journal: journal) }
                clerk.send(.fail)
                clerk.cast(Clerk.Fail(traps: false))
                await runtime.waitForProcessCount(0)
                #expect(journal.entries("terminates") == ["error", "error"])
            }
        }

        @Test("A reply that is forgotten is an error of its caller at once")
        func forgets() async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                let clerk = try await Clerk.start(in: runtime) { _ in Clerk(journal: journal) }
                clerk.cast(Clerk.Forget())
                await #expect { _ = try await runtime.call(clerk, Clerk.Forget(), timeout: nil) } throws: {
                    ($0 as? CallError)?.isUnanswered == true
                }
                try await runtime.stop(server: clerk)
            }
        }

        @Test(
            "terminate is called when its starter ends and it traps exits, and not when it does not",
            arguments: [true, false])
        func terminates(trapsExits: Bool) async throws {
            let journal = Journal()
            try await withRuntime { runtime in
                _ = await runtime.outcome { process in
                    _ = try Clerk.startLink(from: process) { clerk in
                        if trapsExits { clerk.trapExits() }
                        return Clerk(journal: journal)
                    }
                    throw ProcessExit(reason: .shutdown)
                }
                await runtime.waitForProcessCount(0)
                #expect(journal.entries("terminates") == (trapsExits ? ["shutdown"] : []))
                #expect(journal.entries("exit") == [])
            }
        }

        @Test("A supervisor starts servers, waits for their state, and starts them again")
        func isSupervised() async throws {
            let starts = Counter()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime,
                    children: [
                        Adder.childSpecification { _ in
                            starts.add()
                            return Adder()
                        }
                    ])
                let type = ServerMessage<Adder>.self
                let first = try #require(try await supervisor.address(of: "Adder", receiving: type))
                #expect(try await runtime.call(first, Adder.Increment(by: 4)) == 4)
                runtime.exit(first.pid, .kill)
                await starts.wait(for: 2)
                var next = try await supervisor.address(of: "Adder", receiving: type)
                while next == nil || next == first {
                    next = try await supervisor.address(of: "Adder", receiving: type)
                }
                #expect(try await runtime.call(try #require(next), Adder.Increment()) == 1)
                await supervisor.stop()
                await #expect(throws: SupervisorError.self) {
                    _ = try await Supervisor.start(
                        in: runtime, children: [Adder.childSpecification { _ in throw Refused() }])
                }
            }
        }

        @Test("Requests that wait when the server ends are answered with its end, and destroyed")
        func endsWithRequestsWaiting() async throws {
            let journal = Journal()
            let reasons = Locked<[Bool]>([])
            try await withRuntime { runtime in
                let gate = try await Clerk.start(in: runtime) { _ in Clerk(journal: journal) }
                let callers = Counter()
                gate.cast(
                    Performance<Clerk, Int> { _, process in
                        while callers.value < 8 { try process.sleep(.milliseconds(1)) }
                        throw Refused(number: 1)
                    })
                for _ in 0..<8 {
                    runtime.spawn { process in
                        callers.add()
                        let error = try serverError {
                            _ = try process.call(gate, Clerk.StopAfterReply(), timeout: nil)
                        }
                        let isEnd = error.endReason?.refusal == Refused(number: 1) || error.isNoProcess
                        reasons.withLock { $0.append(isEnd) }
                    }
                }
                await runtime.waitForProcessCount(0)
            }
            #expect(reasons.withLock { $0 } == Array(repeating: true, count: 8))
        }
    }
}
