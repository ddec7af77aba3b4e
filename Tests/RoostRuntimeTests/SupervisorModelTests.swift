// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

/// OTP's supervisor, as its manual says: what it does to its children, one event after the other.
private struct Model {
    struct Member {
        let id: String
        let restart: ChildSpecification.Restart
        let isSignificant: Bool
        var isRunning = false
    }

    let strategy: Supervisor.Strategy
    let autoShutdown: Supervisor.AutoShutdown
    let limit: Int
    var children: [Member] = []
    var restartCount = 0
    /// How often the next starts of an id fail.
    var failures: [String: Int] = [:]
    var journal: [String] = []
    var isAlive = true

    private func index(_ id: String) -> Int? { children.firstIndex { $0.id == id } }

    private mutating func starts(_ id: String) -> Bool {
        if let left = failures[id], left > 0 {
            failures[id] = left - 1
            journal.append("\(id) fails")
            return false
        }
        journal.append("\(id) starts")
        return true
    }

    private mutating func end(_ index: Int) {
        if children[index].isRunning { journal.append("\(children[index].id) ends") }
        children[index].isRunning = false
    }

    mutating func shutDown() {
        for index in children.indices.reversed() { end(index) }
        isAlive = false
    }

    mutating func startChild(_ child: Member) -> String? {
        if let index = index(child.id) { return children[index].isRunning ? "alreadyStarted" : "alreadyPresent" }
        guard starts(child.id) else { return "startFailed" }
        children.append(child)
        children[children.count - 1].isRunning = true
        return nil
    }

    mutating func restartChild(_ id: String) -> String? {
        guard let index = index(id) else { return "notFound" }
        if children[index].isRunning { return "running" }
        children[index].isRunning = starts(id)
        return children[index].isRunning ? nil : "startFailed"
    }

    mutating func terminateChild(_ id: String) -> String? {
        guard let index = index(id) else { return "notFound" }
        end(index)
        if children[index].restart == .temporary { children.remove(at: index) }
        return nil
    }

    mutating func deleteChild(_ id: String) -> String? {
        guard let index = index(id) else { return "notFound" }
        if children[index].isRunning { return "running" }
        children.remove(at: index)
        return nil
    }

    mutating func childEnds(_ id: String, isNormal: Bool) {
        guard let index = index(id) else { return }
        let child = children[index]
        children[index].isRunning = false
        if child.restart == .permanent || (child.restart == .transient && !isNormal) { return restart(id) }
        if child.restart == .temporary { children.remove(at: index) }
        guard child.isSignificant else { return }
        let isLast = !children.contains { $0.isSignificant && $0.isRunning }
        if autoShutdown == .anySignificant || (autoShutdown == .allSignificant && isLast) { shutDown() }
    }

    private mutating func restart(_ id: String) {
        restartCount += 1
        guard restartCount <= limit else { return shutDown() }
        guard let own = index(id) else { return }
        if strategy == .oneForOne {
            children[own].isRunning = starts(id)
            return children[own].isRunning ? () : restart(id)
        }
        let first = strategy == .oneForAll ? 0 : own
        for index in children.indices.reversed() where index >= first { end(index) }
        children = children.enumerated().filter { $0 < first || $1.restart != .temporary }.map(\.element)
        for index in first..<children.count {
            children[index].isRunning = starts(children[index].id)
            if !children[index].isRunning { return restart(children[index].id) }
        }
    }
}

extension RuntimeTests {
    @Suite("Supervisors against a model of OTP's", .timeLimit(.minutes(2)))
    struct SupervisorModelTests {
        @Test("Random operations do what OTP's manual says", arguments: 0..<48)
        func followsTheModel(number: Int) async throws {
            try await run(seed: UInt64(number))
        }

        @Test("Random operations do what OTP's manual says: a seed of its own each time")
        func followsTheModelAnew() async throws {
            let (_, seed) = SeededGenerator.fresh()
            try await run(seed: seed)
        }

        private func run(seed: UInt64) async throws {
            var random = SeededGenerator(seed: seed)
            let strategy = [Supervisor.Strategy.oneForOne, .oneForAll, .restForOne].randomElement(using: &random)!
            let autoShutdown =
                [Supervisor.AutoShutdown.never, .never, .anySignificant, .allSignificant].randomElement(using: &random)!
            var model = Model(
                strategy: strategy, autoShutdown: autoShutdown, limit: .random(in: 0...30, using: &random))
            let journal = Journal()
            let failures = Failures()
            try await withRuntime { runtime in
                let supervisor = try await Supervisor.start(
                    in: runtime, strategy: strategy, intensity: RestartIntensity(model.limit, in: .seconds(36_000)),
                    autoShutdown: autoShutdown)
                for step in 0..<60 where model.isAlive {
                    let what = try await take(step, supervisor, &model, journal, failures, &random)
                    let place = "seed \(seed), step \(step): \(what)"
                    await settle(supervisor, model.isAlive, runtime)
                    #expect(journal.take() == model.journal, "\(place)")
                    model.journal = []
                    guard model.isAlive else { break }
                    let children = try await supervisor.whichChildren()
                    #expect(children.map(\.id) == model.children.map(\.id), "\(place)")
                    #expect(children.map { $0.pid != nil } == model.children.map(\.isRunning), "\(place)")
                }
                if model.isAlive {
                    model.shutDown()
                    await supervisor.stop()
                    #expect(journal.take() == model.journal, "seed \(seed), at the end")
                }
                await runtime.waitForProcessCount(0)
            }
        }

        /// One random operation, on both.
        private func take(
            _ step: Int, _ supervisor: Supervisor, _ model: inout Model, _ journal: Journal, _ failures: Failures,
            _ random: inout SeededGenerator
        ) async throws -> String {
            let id = ["a", "b", "c", "d", "e"].randomElement(using: &random)!
            var expected: String?
            var error: String?
            let operation = Int.random(in: 0..<12, using: &random)
            if Int.random(in: 0..<5, using: &random) == 0 {
                let failing = ["a", "b", "c", "d", "e"].randomElement(using: &random)!
                let count = Int.random(in: 1...3, using: &random)
                failures.expect(failing, count)
                model.failures[failing] = count
            }
            switch operation {
            case 0...2:
                let restart = [ChildSpecification.Restart.permanent, .transient, .temporary].randomElement(
                    using: &random)!
                let canBe = model.autoShutdown != .never && restart != .permanent
                let isSignificant = canBe && Bool.random(using: &random)
                expected = model.startChild(.init(id: id, restart: restart, isSignificant: isSignificant))
                let child = probe(id, journal, restart: restart, significant: isSignificant, failing: failures)
                error = await name { try await supervisor.startChild(child) }
            case 3:
                expected = model.terminateChild(id)
                error = await name { try await supervisor.terminateChild(id) }
            case 4:
                expected = model.restartChild(id)
                error = await name { try await supervisor.restartChild(id) }
            case 5:
                expected = model.deleteChild(id)
                error = await name { try await supervisor.deleteChild(id) }
            default:
                guard let child = model.children.filter(\.isRunning).randomElement(using: &random) else {
                    return "none"
                }
                let ending = [ChildEnding.return, .shutdown, .shutdownTerm, .fail, .fail, .kill].randomElement(
                    using: &random)!
                model.childEnds(child.id, isNormal: [.return, .shutdown, .shutdownTerm].contains(ending))
                let pid = try await supervisor.whichChildren().first { $0.id == child.id }?.pid
                try await supervisor.tell(child.id, ending)
                while let children = try? await supervisor.whichChildren(), children.contains(where: { $0.pid == pid })
                {}
                return "\(child.id) ends: \(ending)"
            }
            #expect(error == expected, "step \(step), operation \(operation) on \(id)")
            return "operation \(operation) on \(id)"
        }

        /// The name of the error that `body` throws.
        private func name<Value>(_ body: () async throws -> Value) async -> String? {
            do {
                _ = try await body()
                return nil
            } catch let error as SupervisorError {
                return switch error {
                case .alreadyStarted: "alreadyStarted"
                case .alreadyPresent: "alreadyPresent"
                case .notFound: "notFound"
                case .running: "running"
                case .startFailed: "startFailed"
                default: "\(error)"
                }
            } catch { return "\(error)" }
        }

        /// Waits until nothing is being restarted, or the supervisor has ended.
        private func settle(_ supervisor: Supervisor, _ isAlive: Bool, _ runtime: Runtime) async {
            guard isAlive else {
                _ = await runtime.exitReason(of: supervisor.pid)
                return await runtime.waitForProcessCount(0)
            }
            while let children = try? await supervisor.whichChildren(),
                children.contains(where: { $0.state == .restarting })
            {}
        }
    }
}
