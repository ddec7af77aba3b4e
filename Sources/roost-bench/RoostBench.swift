// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser

/// What the runtime's own operations cost, on one scheduler. Each command prints a line of JSON for each figure, as the
/// Erlang programs beside `Benchmarks/bench.py` do.
@main
struct RoostBench: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roost-bench", abstract: "What processes and messages cost, on one scheduler.",
        subcommands: [
            Supervised.self,
            Spawn.self, PingPong.self, Ring.self, Monitor.self, Stream.self, FanOut.self, Pairs.self, Timers.self,
            Latency.self, Churn.self, Call.self, Groups.self, MemoryReturn.self, Top.self, Hibernate.self,
        ])
}
