// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import Roost
internal import RoostRuntime
internal import Synchronization

/// Runs the client against Autobahn's `fuzzingserver`, which plays its cases to whoever connects and judges the
/// answers.
package struct ConformanceRun {
    private let base: String
    private static let agent = "roost"

    package init(url: String) { base = url.hasSuffix("/") ? String(url.dropLast()) : url }

    /// Returns how many cases were run.
    package func run(_ progress: Progress) async throws -> Int {
        let runtime = try Runtime()
        defer { runtime.stop() }
        var logger = Logger(label: "loadtest")
        logger.logLevel = .warning
        let client = await RoostClient(runtime: runtime, logger: logger)
        let text = try await connect(client, "/getCaseCount")
        guard let text, let count = Int(text) else {
            throw LoadTestError(
                "\(base)/getCaseCount did not answer with a number; start Autobahn's fuzzingserver there")
        }
        for number in 0..<count {
            progress.update { "case \(number + 1) of \(count)" }
            _ = try await connect(client, "/runCase?case=\(number + 1)&agent=\(Self.agent)")
        }
        _ = try await connect(client, "/updateReports?agent=\(Self.agent)")
        progress.finish()
        return count
    }

    /// Echoes until the server closes; returns the last text.
    private func connect(_ client: RoostClient, _ path: String) async throws -> String? {
        var limits = ConnectionLimits()
        limits.messageByteCountMax = 64 << 20
        limits.outboundByteCountMax = 128 << 20
        limits.heapByteCountMax = 1 << 30
        limits.pingInterval = .zero
        let endpoint = try WebSocketURL(base + path)
        let outcome = await withCheckedContinuation {
            (continuation: CheckedContinuation<ConformanceHandler.Outcome, Never>) in
            do {
                try client.endpoint(endpoint, limits: limits, compression: CompressionPolicy()) {
                    ConformanceHandler(continuation)
                }.connect()
            } catch {
                continuation.resume(returning: ConformanceHandler.Outcome(failure: "\(error)"))
            }
        }
        if let failure = outcome.failure { throw LoadTestError(failure) }
        return outcome.text
    }
}

/// Echoes until closed.
struct ConformanceHandler: ConnectionHandler {
    struct Outcome: Sendable {
        var text: String?
        var failure: String?
    }

    private let continuation: CheckedContinuation<Outcome, Never>
    private var outcome = Outcome()

    init(_ continuation: CheckedContinuation<Outcome, Never>) { self.continuation = continuation }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) {
        if text.span.count < 32 { outcome.text = String(copying: text) }
        connection.send(text)
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) { connection.send(binary: bytes) }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<Never>) {
        if reason.cause == .connectFailed { outcome.failure = reason.message }
        continuation.resume(returning: outcome)
    }
}
