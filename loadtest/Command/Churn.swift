// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Churn: PlanCommand {
    static let configuration = CommandConfiguration(
        abstract: "Connections come, exchange a few messages and go, over and over.",
        discussion: """
            So many connections at one time as --connections says: a client that has gone comes back at once, or \
            after --pause. Clients close with WebSocket's closing handshake, and a server that follows RFC 6455 \
            §7.1.1 ends the TCP connection first; its port, not the client's, then waits for a minute (TIME_WAIT). \
            Where a server waits for the client instead, one source address is out of ports after about 28,000 \
            connections in a minute: give further ones with --source-address, or end with --ending reset.
            """)

    @OptionGroup var common: CommonArguments
    @Option(name: .shortAndLong, help: "Messages of each connection; 0: it only opens.") var messages = 1
    @OptionGroup var content: MessageArguments
    @Option(help: "How long a client stays away: 1, 500ms, 2m. (default: 0)", transform: seconds) var pause = 0.0
    @Option(help: "handshake: WebSocket's closing handshake. reset: the TCP connection is reset, and no port waits.")
    var ending = ChurnPlan.Ending.handshake
    @Option(name: .shortAndLong, help: "How long to measure: 90, 90s, 15m, 4h. (default: 10s)", transform: seconds)
    var duration = 10.0
    @Option(name: .shortAndLong, help: "How long to run before the measurement. (default: 1s)", transform: seconds)
    var warmup = 1.0

    func validate() throws {
        try check(messages, in: 0...1_000_000_000, "--messages")
        if pause != 0 { try checkSeconds(pause, "--pause") }
        try checkSeconds(duration, "--duration")
    }

    func makePlan() -> LoadPlan {
        let churn = ChurnPlan(messageCount: messages, size: content.size, isText: content.text, ending: ending)
        var plan = common.plan(.churn, .churn(churn))
        plan.groups[0].backoff = .pause(pause)
        plan.durationSeconds = duration
        plan.warmupSeconds = warmup
        return plan
    }
}
