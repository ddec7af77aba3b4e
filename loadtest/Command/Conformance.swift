// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Conformance: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Plays the client in a run of Autobahn's fuzzingserver.", shouldDisplay: false)

    @Argument(help: "Where the fuzzingserver listens.") var url: String

    mutating func run() async throws {
        let count = try await told { try await ConformanceRun(url: url).run(Progress()) }
        print("\(count) cases were run; the server has the verdicts")
    }
}
