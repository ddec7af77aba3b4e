// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import LoadTesting

struct Report: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows a run that was kept as JSON (--out, --json), or several beside each other.")

    @Argument(help: "Files that --out has written; the first is what the others are compared with.") var files: [String]
    @Option(help: "Write one HTML page with the plots of all into a file.") var report: String?
    @Option(help: "Write the first run's HdrHistogram log into a file.") var hlog: String?
    @Option(help: "Exit with 1 if this holds for any of them, as 'p99>5ms'. May be given several times.")
    var failIf: [String] = []

    func validate() throws {
        if files.count > HTMLReport.runCountMax {
            throw ValidationError("\(files.count) files are too many; give at most \(HTMLReport.runCountMax)")
        }
    }

    mutating func run() async throws {
        let (files, failIf, report, hlog) = (files, failIf, report, hlog)
        let hasFailed = try told {
            let runs = try files.map { (name: $0, figures: RunFigures(try Self.record($0))) }
            let thresholds = try failIf.map { try Threshold($0) }
            for run in runs { for threshold in thresholds { try threshold.check(run.figures.record.plan) } }
            let verdicts = runs.map { run in thresholds.map { $0.verdict(run.figures) } }
            if runs.count == 1 {
                try OutputFile.writeToStandardOutput(RunText.text(runs[0].figures, verdicts: verdicts[0]))
            } else {
                var text = RunComparison.text(runs)
                for (run, verdicts) in zip(runs, verdicts) {
                    for verdict in verdicts where !verdict.passed {
                        text += "  failed: \(run.name): \(verdict.expression) (\(verdict.found))\n"
                    }
                }
                try OutputFile.writeToStandardOutput(text)
            }
            if let report {
                let page = HTMLReport(
                    zip(runs, verdicts).map { ReportRun(name: $0.name, record: $0.figures.record, verdicts: $1) })
                try OutputFile.write(page.text, to: report, for: "--report")
            }
            if let hlog { try OutputFile.write(HistogramLog.text(runs[0].figures.record), to: hlog, for: "--hlog") }
            return verdicts.joined().contains { !$0.passed }
        }
        if hasFailed { throw ExitCode(1) }
    }

    private static func record(_ path: String) throws(LoadTestError) -> RunRecord {
        try RunDocument.record(OutputFile.read(path), name: path)
    }
}
