// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

// What several tests ask for, and how it is checked.

/// A time of the command line: seconds, or with a unit.
func seconds(_ text: String) throws -> Double {
    do { return try Seconds.parse(text) } catch { throw ValidationError("\(error)") }
}

func check(_ value: Int, in range: ClosedRange<Int>, _ name: String) throws {
    guard range.contains(value) else {
        throw ValidationError("\(name) is \(value); use \(range.lowerBound)...\(range.upperBound)")
    }
}

/// A size of messages, or a distribution of sizes.
func messageSize(_ text: String) throws -> SizeDistribution {
    do { return try SizeDistribution(argument: text, name: "--size") } catch { throw ValidationError("\(error)") }
}

let sizeHelp: ArgumentHelp = """
    Bytes of a message: 64, uniform:10:200, exponential:MEAN:MAX, lognormal:MEDIAN:SIGMA:MAX, choice:64=4,9=1. \
    (default: 64)
    """

/// A number of something in each second.
func checkRate(_ rate: Double, _ name: String) throws {
    guard rate > 0, rate <= 1e9 else { throw ValidationError("\(name) is \(rate); use more than 0, at most 1e9") }
}

/// What tests whose clients send messages of one size ask for.
struct MessageArguments: ParsableArguments {
    @Option(name: .shortAndLong, help: sizeHelp, transform: messageSize) var size = SizeDistribution.fixed(64)
    @Flag(help: "Send text instead of binary messages.") var text = false
}

/// What tests with a schedule of messages ask for.
struct PaceArguments: ParsableArguments {
    @Option(
        help: """
            How the messages of a client follow each other: uniform, at equal distances, or poisson, as the calls of \
            many independent users.
            """)
    var pacing = Pacing.uniform
    @Option(
        help: """
            Messages that a client may have unanswered. What is due beyond them waits with its latency running, and \
            leaves when there is room.
            """)
    var inFlightMax = 10_000
    @Flag(help: "The server does not echo: messages are sent, answers are not awaited, and there is no latency.")
    var noAnswer = false
    @Option(help: "Draws the schedule: the same number gives the same one.") var seed: UInt64 = 1

    func validate() throws { try check(inFlightMax, in: 1...1_000_000, "--in-flight-max") }

    func behaviour(_ rate: Double, _ messages: MessageArguments) -> Behaviour {
        var plan = PacedPlan(ratePerSecond: rate, pacing: pacing, size: messages.size, isText: messages.text)
        plan.awaitsAnswers = !noAnswer
        plan.inFlightMax = inFlightMax
        plan.seed = seed
        return .paced(plan)
    }
}

extension Pacing: ExpressibleByArgument {}
extension ChurnPlan.Ending: ExpressibleByArgument {}
