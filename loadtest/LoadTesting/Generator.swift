// SPDX-License-Identifier: Apache-2.0

internal import Histogram
internal import Logging
internal import Roost
package import RoostIO
internal import RoostRuntime
internal import Synchronization

/// Where connections go, and how many; the same for every kind of test.
package struct TargetOptions: Sendable {
    package var url: String
    package var connectionCount: Int
    /// Local addresses to connect from, in turn; empty: the kernel's choice.
    package var sourceAddresses: [String] = []
    /// `Name: value` lines for the upgrade request.
    package var headers: [String] = []
    package var subprotocols: [String] = []
    /// Whom a `wss://` server must prove to be.
    package var tls = TLSClientConfiguration()
    /// Offers compression (permessage-deflate).
    package var isCompressed = false
    /// Scheduler threads; 0: one for each core.
    package var schedulerCount = 0
    /// From a connection's beginning to the server's answer.
    package var connectTimeout = Duration.seconds(10)
    /// Connection attempts under way at one time: a server's backlog holds few more.
    package var connectingCountMax = 1_000
    package var serverPid: Int32?

    package init(url: String, connectionCount: Int) {
        self.url = url
        self.connectionCount = connectionCount
    }
}

/// The connections of a test: opens them, tells them what to do, adds up what they counted.
final class Generator {
    /// After so many failures no further connection is tried.
    private static let failureCountMax = 1_000
    /// Descriptors that the program needs beside its connections.
    private static let descriptorReserve = 32

    let runtime: Runtime
    let shares: [SchedulerShare]
    let errors = ErrorTally()
    private let client: RoostClient
    private let options: TargetOptions

    init(_ options: TargetOptions, plan: EchoPlan) async throws {
        self.options = options
        guard options.connectionCount > 0 else {
            throw LoadTestError("--connections is \(options.connectionCount); use 1 or more")
        }
        guard (0...64).contains(options.schedulerCount) else {
            throw LoadTestError("--schedulers is \(options.schedulerCount); use 1...64, or 0 for one per core")
        }
        let limit = SystemCalls.raiseDescriptorLimit()
        let needed = options.connectionCount.addingReportingOverflow(Self.descriptorReserve)
        guard !needed.overflow, needed.partialValue <= limit else {
            throw LoadTestError(
                """
                --connections is \(options.connectionCount), but this program may hold \(limit) descriptors; raise the \
                limit with `ulimit -n \(needed.partialValue)`, or use at most \(limit - Self.descriptorReserve)
                """)
        }
        var configuration = RuntimeConfiguration()
        configuration.schedulerCount = options.schedulerCount
        // What connections of a scheduler share (`SchedulerShare`) bears no second thread, which a hand-over brings.
        configuration.stuckSchedule = .zero
        runtime = try Runtime(configuration)
        var logger = Logger(label: "loadtest")
        logger.logLevel = .warning
        client = await RoostClient(runtime: runtime, logger: logger, connectTimeout: options.connectTimeout)
        let errors = errors
        shares = (0..<runtime.schedulerCount).map { _ in SchedulerShare(plan: plan, errors: errors) }
    }

    /// What the URL and its options come to. Names are looked up.
    func endpoint<Handler: ConnectionHandler & SendableMetatype>(
        limits: ConnectionLimits, _ make: @escaping @Sendable (SchedulerShare) -> Handler
    ) throws -> ClientEndpoint {
        var fields: [HeaderField] = []
        for header in options.headers {
            guard let colon = header.firstIndex(of: ":") else {
                throw LoadTestError("header '\(header)' has no colon; write it as 'Name: value'")
            }
            let value = header[header.index(after: colon)...].drop { $0 == " " }
            fields.append(try HeaderField(String(header[..<colon]), String(value)))
        }
        let shares = shares
        return try client.endpoint(
            WebSocketURL(options.url), subprotocols: options.subprotocols, headers: fields, limits: limits,
            compression: options.isCompressed ? CompressionPolicy() : .off, tls: options.tls
        ) {
            make(shares[SchedulerRef.running.index])
        }
    }

    // MARK: Connecting

    /// Opens the connections, not too many at a time. Returns when each is open or has failed, or the user interrupts.
    func connect(_ endpoint: ClientEndpoint, _ progress: Progress) async throws {
        let sources = try options.sourceAddresses.map { try ClientEndpoint.source($0) }
        var started = 0
        while !Interrupt.isRequested {
            let failed = failedCount
            let settled = openedCount + failed
            let isGivenUp = failed >= Self.failureCountMax
            if settled == started, isGivenUp || started == options.connectionCount { break }
            let room =
                isGivenUp ? 0 : min(options.connectingCountMax - (started - settled), options.connectionCount - started)
            for _ in 0..<max(room, 0) {
                endpoint.connect(from: sources.isEmpty ? nil : sources[started % sources.count])
                started += 1
            }
            progress.update { "connecting: \(settled) of \(options.connectionCount)\(errorNote)" }
            try? await Task.sleep(for: .milliseconds(1))
        }
    }

    var openedCount: Int { shares.reduce(0) { $0 + $1.opened.load(ordering: .relaxed) } }
    var failedCount: Int { shares.reduce(0) { $0 + $1.failed.load(ordering: .relaxed) } }
    var openCount: Int { openedCount - shares.reduce(0) { $0 + $1.ended.load(ordering: .relaxed) } }
    var completedCount: Int { shares.reduce(0) { $0 + $1.completed.load(ordering: .relaxed) } }
    var errorNote: String { errors.count == 0 ? "" : ", \(errors.count) errors" }

    // MARK: What connections are told

    /// Runs `body` for each scheduler on its thread and returns when all have run.
    func onEachScheduler(_ body: @escaping @Sendable (SchedulerShare) -> Void) async {
        for (scheduler, share) in zip(runtime.all, shares) {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                scheduler.run {
                    body(share)
                    continuation.resume()
                }
            }
        }
    }

    /// Waits until no connection is left, for at most `timeout`.
    func waitForEnd(timeout: Duration) async {
        let deadline = MonotonicTime.now() + timeout
        while client.connectionCount > 0, MonotonicTime.now() < deadline {
            try? await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Closes what is open, and ends the schedulers: what they counted can be read from any thread after that.
    func stop(timeout: Duration) async {
        await onEachScheduler { $0.isEnding = true }
        await client.close(timeout: timeout)
        runtime.stop()
    }

    // MARK: Results

    func merged(_ part: KeyPath<SchedulerShare, Histogram<UInt64>>) -> Histogram<UInt64> {
        var merged = SchedulerShare.newHistogram()
        for share in shares { merged.add(share[keyPath: part]) }
        return merged
    }

    /// A warning where this program, not the server, may have set the pace.
    var limitWarning: String? {
        if let cpu = shares.map(\.usage.cpuShare).max(), cpu >= 0.9 {
            return "a scheduler of the load tester was \(Int(cpu * 100)) % busy: it, not the server, may be the limit; "
                + "give it more cores with --schedulers, or run several"
        }
        if let wait = shares.map(\.usage.waitShare).max(), wait >= 0.1 {
            return "the load tester waited for a core \(Int(wait * 100)) % of the time: latencies contain the wait; "
                + "give server and load tester cores of their own with taskset"
        }
        return nil
    }
}
