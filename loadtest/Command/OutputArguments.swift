// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

/// What becomes of what a run finds.
struct OutputArguments: ParsableArguments {
    @Flag(help: "Print the report as JSON.") var json = false
    @Option(help: "Write the report as JSON into a file; `loadtest report` reads it. Kept up to date in long runs.")
    var out: String?
    @Option(help: "Write one HTML page with plots into a file.") var report: String?
    @Option(help: "Write an HdrHistogram log into a file.") var hlog: String?
    @Option(
        help: """
            Exit with 1 if this holds, as 'p99>5ms', 'errors>0', 'rate<10k', 'connect.p99>1s'. May be given several \
            times.
            """) var failIf: [String] = []
    @Flag(help: "No progress.") var quiet = false

    /// Runs a plan and reports. Ends the program with 1 where there were errors or a condition of `--fail-if` holds.
    ///
    /// What cannot work later is found before the run: conditions, files, the server's pid.
    func run(
        _ plan: LoadPlan, _ fleet: FleetOptions, serverPid: Int32?, failIf more: [String] = [], figures: OwnFigures
    ) async throws {
        Interrupt.install()
        let thresholds = try told {
            try plan.validate()
            for (path, option) in files { try OutputFile.check(path, for: option) }
            return try (failIf + more).map { expression in
                let threshold = try Threshold(expression)
                try threshold.check(plan, hasServer: serverPid != nil)
                return threshold
            }
        }
        let record = try await told {
            let meter = try serverPid.map { pid throws(LoadTestError) in try ProcessMeter(pid: pid) }
            if fleet.agents.isEmpty {
                for warning in PortBudget.ofThisMachine?.warnings(plan, machineCount: 1) ?? [] {
                    tell("warning: \(warning)")
                }
            }
            let workers = try await Fleet.launch(plan, fleet)
            let view = RunView(plan, isQuiet: quiet) { record in
                // A disk that is full now may not be at the end, which tells.
                guard let out, OutputFile.isReplaceable(out) else { return }
                try? OutputFile.write(document(stamped(record)), to: out, for: "--out")
            }
            return await LoadRun(plan, workers, server: meter, observer: view).run()
        }
        try RunText.fittingTerminal { try finish(record, thresholds, figures(record)) }
    }

    private var files: [(String, String)] {
        [(out, "--out"), (report, "--report"), (hlog, "--hlog")].compactMap { path, option in
            path.map { ($0, option) }
        }
    }

    /// With what was asked for, and where.
    private func stamped(_ record: RunRecord) -> RunRecord {
        var record = record
        record.commandLine = CommandLine.arguments
        record.machine = .ofThisMachine()
        return record
    }

    private func document(_ record: RunRecord) -> String {
        RunDocument.json(record, toolVersion: LoadTestCommand.version)
    }

    private func finish(_ found: RunRecord, _ thresholds: [Threshold], _ own: (text: String, isGood: Bool)) throws {
        let record = stamped(found)
        let figures = RunFigures(record)
        let verdicts = thresholds.map { $0.verdict(figures) }
        var isWritten = true
        // One that cannot be written keeps no other from it.
        func write(_ body: () throws(LoadTestError) -> Void) {
            do throws(LoadTestError) {
                try body()
            } catch {
                tell("\(error)")
                isWritten = false
            }
        }
        write { () throws(LoadTestError) in
            if json { return try OutputFile.writeToStandardOutput(document(record) + "\n") }
            try OutputFile.writeToStandardOutput(RunText.text(figures, verdicts: verdicts) + own.text)
        }
        if let out {
            write { () throws(LoadTestError) in try OutputFile.write(document(record), to: out, for: "--out") }
        }
        if let hlog {
            write { () throws(LoadTestError) in
                try OutputFile.write(HistogramLog.text(record), to: hlog, for: "--hlog")
            }
        }
        if let report {
            let page = HTMLReport([
                ReportRun(name: record.plan.scenario.rawValue, record: record, verdicts: verdicts)
            ])
            write { () throws(LoadTestError) in try OutputFile.write(page.text, to: report, for: "--report") }
        }
        if json {
            for verdict in verdicts where !verdict.passed { tell("failed: \(verdict.expression) (\(verdict.found))") }
        }
        // Who sets conditions says which errors are too many.
        let hasErrors = figures.errorCount > 0 || !own.isGood
        let hasFailed = thresholds.isEmpty ? hasErrors : verdicts.contains { !$0.passed }
        if hasFailed || !isWritten { throw ExitCode(1) }
    }
}
