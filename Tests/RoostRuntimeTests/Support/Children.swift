// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

/// How a child is told to end.
enum ChildEnding: CaseIterable, Sendable { case `return`, shutdown, shutdownTerm, fail, trap, kill }

/// A child that ends as it is told to.
func worker(
    _ id: String, restart: ChildSpecification.Restart = .permanent, significant: Bool = false
) -> ChildSpecification {
    ChildSpecification(id, receiving: ChildEnding.self, restart: restart, significant: significant) { try obey($0) }
}

func obey(_ process: borrowing ProcessContext<ChildEnding>) throws {
    switch try process.receive() {
    case .return: return
    case .shutdown: throw ProcessExit(reason: .shutdown)
    case .shutdownTerm: throw ProcessExit(reason: .shutdownTerm(Refused()))
    case .fail: throw Refused()
    case .trap: fatalError("told to trap")
    case .kill: process.exit(process.pid, .kill)
    }
    _ = try process.receive()
}

/// A child that notes its start, that it is ready to be asked to end, and that it ends when asked.
func child(
    _ id: String, _ journal: Journal, shutdown: ChildSpecification.Shutdown = .timeout(.seconds(50)),
    isReadyFirst: Bool = false
) -> ChildSpecification {
    .starting(id, shutdown: shutdown) { supervisor in
        journal.note("\(id) starts")
        let starting = supervisor.pid
        let pid = supervisor.spawnLink(receiving: ReplyAddress<Bool>.self) { process in
            process.trapExits()
            journal.note("\(id) ready")
            if isReadyFirst { try process.receive().send(true) }
            while let event = try process.receiveAny() {
                guard case .exit(let signal) = event, signal.from == starting else { continue }
                journal.note("\(id) ends")
                throw ProcessExit(reason: signal.reason)
            }
        }
        if isReadyFirst { _ = try supervisor.call(pid) { $0 } }
        return pid.pid
    }
}

/// Which children shall fail to start, and how often.
final class Failures: Sendable {
    private let left = Locked<[String: Int]>([:])
    func expect(_ id: String, _ count: Int = 1) { left.withLock { $0[id] = count } }
    func take(_ id: String) -> Bool {
        left.withLock { left in
            guard let count = left[id], count > 0 else { return false }
            left[id] = count - 1
            return true
        }
    }
}

/// A child that notes when it starts, fails to where that is expected, notes when it is asked to end, and ends as it is
/// told to meanwhile. It has started once it can hear either.
func probe(
    _ id: String, _ journal: Journal, restart: ChildSpecification.Restart = .permanent, significant: Bool = false,
    shutdown: ChildSpecification.Shutdown = .timeout(.seconds(50)), failing failures: Failures = Failures()
) -> ChildSpecification {
    .initializing(
        id, receiving: ChildEnding.self, restart: restart, significant: significant, shutdown: shutdown
    ) { process, start in
        if failures.take(id) {
            journal.note("\(id) fails")
            throw Refused()
        }
        process.trapExits()
        journal.note("\(id) starts")
        start.ready()
        while let event = try process.receiveAny() {
            switch event {
            case .message(.return): return
            case .message(.shutdown): throw ProcessExit(reason: .shutdown)
            case .message(.shutdownTerm): throw ProcessExit(reason: .shutdownTerm(Refused()))
            case .message(.fail): throw Refused()
            case .message(.trap): fatalError("told to trap")
            case .message(.kill): process.exit(process.pid, .kill)
            case .exit(let signal):
                journal.note("\(id) ends")
                throw ProcessExit(reason: signal.reason)
            case .down: break
            }
        }
    }
}

extension Supervisor {
    func tell(_ id: String, _ ending: ChildEnding) async throws {
        try #require(try await address(of: id, receiving: ChildEnding.self)).send(ending)
    }

    /// Makes a child end and waits until the supervisor has dealt with it.
    func endChild(
        _ id: String, _ ending: ChildEnding, _ runtime: Runtime
    ) async throws {
        let pid = try await whichChildren().first { $0.id == id }?.pid
        try await tell(id, ending)
        while try await whichChildren().contains(where: { $0.pid == pid && pid != nil }) {}
    }
}

/// What happened, in order.
final class Journal: Sendable {
    private let lines = Locked<[String]>([])
    private let heard = Locked<[SupervisorReport]>([])

    func note(_ line: String) { lines.withLock { $0.append(line) } }
    var report: @Sendable (SupervisorReport) -> Void { { [heard] report in heard.withLock { $0.append(report) } } }
    /// What failed: neither progress, nor the crash reports that say the same once more.
    var reports: [SupervisorReport] { allReports.filter { $0.isFailure && $0.event != .crash } }
    var allReports: [SupervisorReport] { heard.withLock { $0 } }

    /// Everything since the last call, in order.
    func take() -> [String] {
        lines.withLock { lines in
            defer { lines = [] }
            return lines
        }
    }

    /// Who did `what`, in order.
    func entries(_ what: String) -> [String] {
        lines.withLock { $0 }.filter { $0.hasSuffix(" \(what)") }.map { String($0.dropLast(what.count + 1)) }
    }

    func wait(for expected: [String]) async {
        while !lines.withLock({ lines in expected.allSatisfy(lines.contains) }) { await Task.yield() }
    }

    func wait(forReports count: Int) async { while reports.count < count { await Task.yield() } }
}
