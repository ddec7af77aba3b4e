// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import RoostRuntime
internal import RuntimeHandlers

/// Runs seeds of the deterministic simulation, one after the other, and stops at the first that fails.
@main
enum RoostSimulate {
    static func main() throws {
        let options: Options
        do throws(Options.Problem) {
            options = try Options(CommandLine.arguments.dropFirst())
        } catch {
            fail(error.text, code: 64)
        }
        #if ROOST_SIMULATION
        unsafe Canary.chosen = options.canary
        #endif
        if options.listsCanaries {
            for canary in Canary.allCases { print(canary.rawValue) }
            return
        }
        CrashReport.install(options.replayArguments)
        let threads = try SimulatedThreads()
        // What is made on first use is made by a run that does not count, so that a seed is the same run wherever it
        // comes.
        for seed in UInt64.max - 4...UInt64.max where options.canary == nil {
            CrashReport.begin(seed)
            let outcome = try Simulation.run(seed: seed, handlers: .instrumented, threads: threads)
            if let failure = outcome.failure { describe(failure, options) }
        }
        var counts = Simulation.Counts()
        var stepCount = 0
        var hash: UInt64 = 0
        for seed in options.seeds {
            CrashReport.begin(seed)
            let report: ((String) -> Void)? = options.traces ? { print($0) } : nil
            let outcome = try Simulation.run(
                seed: seed, handlers: .instrumented, threads: threads, onEvent: report)
            if let failure = outcome.failure { describe(failure, options) }
            counts = counts + outcome.counts
            stepCount += outcome.stepCount
            hash ^= outcome.hash
        }
        print(
            """
            \(options.seeds.count) seeds from \(options.seeds.lowerBound) passed: \(stepCount) steps, hash \
            \(String(hash, radix: 16))
            \(counts)
            """)
    }

    private static func describe(_ failure: Simulation.Failure, _ options: Options) -> Never {
        for line in failure.events { print("  \(line)") }
        print(
            """
            seed \(failure.seed) failed in step \(failure.step)
            \(failure.invariant): \(failure.text)
            to see it again: roost-simulate --seed \(failure.seed)\(options.replayArguments)
            """)
        exit(1)
    }

    static func fail(_ text: String, code: CInt) -> Never {
        print("roost-simulate: \(text)")
        exit(code)
    }
}

/// The command line. Read by hand: this is built twice in CI, and a parser takes longer to build than the rest.
struct Options {
    static let usage = """
        usage: roost-simulate [--seeds N] [--from N] [--seed N] [--trace] [--canary NAME] [--list-canaries]
          --seeds N      run N seeds, 1 or more (default 1000)
          --from N       the first of them (default 0)
          --seed N       run this one seed
          --trace        print every event
          --list-canaries
          --canary NAME  break the runtime, in a build with -Xswiftc -DROOST_SIMULATION:
                         \(Canary.allCases.map(\.rawValue).joined(separator: ", "))
        """

    struct Problem: Error { let text: String }

    private(set) var seeds: Range<UInt64> = 0..<1000
    private(set) var traces = false
    private(set) var listsCanaries = false
    private(set) var canary: Canary?

    var replayArguments: String { canary.map { " --canary \($0.rawValue)" } ?? "" }

    init(_ arguments: ArraySlice<String>) throws(Problem) {
        var arguments = arguments
        var (first, count): (UInt64, UInt64) = (0, 1000)
        while let option = arguments.popFirst() {
            if option == "--trace" || option == "--list-canaries" {
                traces = traces || option == "--trace"
                listsCanaries = listsCanaries || option == "--list-canaries"
                continue
            }
            guard let value = arguments.popFirst() else {
                throw Problem(text: "\(option) lacks a value\n\(Self.usage)")
            }
            if option == "--canary" {
                canary = try Self.canary(value)
                continue
            }
            guard let number = UInt64(value), number <= UInt64.max - 1 else {
                throw Problem(text: "\(option) is \(value); use a number\n\(Self.usage)")
            }
            switch option {
            case "--seeds": count = number
            case "--from": first = number
            case "--seed": (first, count) = (number, 1)
            default: throw Problem(text: "there is no \(option)\n\(Self.usage)")
            }
        }
        guard count > 0 else { throw Problem(text: "--seeds is 0; use 1 or more") }
        seeds = first..<first + count
    }

    private static func canary(_ name: String) throws(Problem) -> Canary {
        guard Canary.isPossible else {
            throw Problem(text: "this build has no canaries; build with -Xswiftc -DROOST_SIMULATION")
        }
        guard let canary = Canary(rawValue: name) else { throw Problem(text: "there is no canary \(name)\n\(usage)") }
        return canary
    }
}

extension Simulation.Handlers {
    /// Handlers that are built preemptible, as a user's are.
    static let instrumented = Simulation.Handlers(
        work: { RuntimeHandlers.work($0) }, trap: { trapNested(2, .index) }, spin: { LoopShape.whileTrue.spin() })
}
