// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Storm: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Reconnect storm: all connections are cut at once; how long until every client is back?",
        discussion: """
            Clients come back as a stock client does (--backoff): phoenix after 10, 50, 100, 150, 200, 250, 500, \
            1000, 2000 ms, then every 5 s, all at once; socketio after about 1, 2, 4, then 5 s; centrifuge at random \
            between 0.5 s and 1, 1.5, 2.5 … up to 20 s. An attempt that fails makes a client wait longer, as there.

              loadtest storm ws://127.0.0.1:9001/echo -c 10000 --backoff phoenix
              loadtest storm ws://127.0.0.1:9001/echo -c 10000 --drop server   (then restart the server)
            """)

    enum Drop: String, ExpressibleByArgument, CaseIterable { case client, server }

    @OptionGroup var common: CommonArguments
    @Option(help: "How clients come back: phoenix, socketio, centrifuge, or a number of seconds.") var backoff =
        "phoenix"
    @Option(
        help: "Who cuts the connections: client, the load tester; server, you restart it and the test waits for that.")
    var drop = Drop.client
    @Option(help: "Seconds that all are connected before the connections are cut.") var hold = 1.0
    @Option(name: .shortAndLong, help: "Seconds to wait, at most, until all are back.") var duration = 120.0

    func validate() throws {
        try checkSeconds(duration, "--duration")
        guard hold >= 0, hold <= 3_600 else { throw ValidationError("--hold is \(hold); use 0...3600") }
    }

    mutating func run() async throws {
        let text = backoff
        let comeback = try await told { try Backoff(text) }
        var plan = LoadPlan.storm(
            common.target, clientCount: common.connections, backoff: comeback, holdSeconds: hold,
            dropsConnections: drop == .client)
        common.apply(to: &plan)
        plan.durationSeconds = duration
        try await common.run(plan) { record in
            let figures = StormFigures(record)
            return (figures.text, isGood: figures.back100Seconds != nil)
        }
    }
}
