// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Storm: PlanCommand {
    static let configuration = CommandConfiguration(
        abstract: "Reconnect storm: all connections are cut at once; how long until every client is back?",
        discussion: """
            Clients come back as a stock client does (--backoff): phoenix after 10, 50, 100, 150, 200, 250, 500, \
            1000, 2000 ms, then every 5 s, all at once; socketio after about 1, 2, 4, then 5 s; centrifuge at random \
            between 0.5 s and 1, 1.5, 2.5 … up to 20 s. An attempt that fails makes a client wait longer, as there.

            A client is back when its connection is open. With --heartbeat it says something when it has connected and \
            then at intervals, and the server is to echo it: then the test tells too when clients were answered \
            again, and lasts until all are.

              loadtest storm ws://127.0.0.1:9001/echo -c 10000 --backoff phoenix --heartbeat 5s
              loadtest storm ws://127.0.0.1:9001/echo -c 10000 --drop server   (then restart the server)
            """)

    enum Drop: String, ExpressibleByArgument, CaseIterable { case client, server }

    @OptionGroup var common: CommonArguments
    @Option(help: "How clients come back: phoenix, socketio, centrifuge, or a time: 2, 500ms.") var backoff =
        "phoenix"
    @Option(
        help: "Who cuts the connections: client, the load tester; server, you restart it and the test waits for that.")
    var drop = Drop.client
    @Option(
        help: "Each client sends a message this often, which the server echoes; without it clients are silent.",
        transform: seconds)
    var heartbeat: Double?
    @OptionGroup var messages: MessageArguments
    @Option(help: "How long all are connected before the connections are cut. (default: 1s)", transform: seconds)
    var hold = 1.0
    @Option(
        name: .shortAndLong, help: "How long to wait, at most, until all are back: 90, 90s, 2m. (default: 120s)",
        transform: seconds)
    var duration = 120.0

    func validate() throws {
        try checkSeconds(duration, "--duration")
        guard hold >= 0, hold <= 3_600 else { throw ValidationError("--hold is \(hold); use 0...3600") }
    }

    func makePlan() throws -> LoadPlan {
        let comeback = try Backoff(backoff)
        var plan = LoadPlan.storm(
            common.target, clientCount: common.connections, backoff: comeback, holdSeconds: hold,
            dropsConnections: drop == .client,
            heartbeat: heartbeat.map { HeartbeatPlan(periodSeconds: $0, size: messages.size, isText: messages.text) })
        common.apply(to: &plan)
        plan.durationSeconds = duration
        return plan
    }

    func ownFigures(_ record: RunRecord) -> (text: String, isGood: Bool) {
        let figures = StormFigures(record)
        // Attempts that failed are told; what counts is that all are back.
        return (figures.text, isGood: figures.isRecovered)
    }
}
