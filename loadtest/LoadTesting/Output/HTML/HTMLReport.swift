// SPDX-License-Identifier: Apache-2.0

internal import Histogram

/// A run, or several beside one another, as one page that needs nothing else: no network, no other file.
package struct HTMLReport {
    private let runs: [PageFigures]
    package let plots: [Plot]

    /// Colours and dashes tell as many apart.
    package static let runCountMax = PlotDrawing.lookCount

    /// `runs` is not empty; those beyond `runCountMax` are left out.
    package init(_ runs: [ReportRun]) {
        precondition(!runs.isEmpty, "a report is of one run at least")
        self.runs = runs.prefix(Self.runCountMax).map(PageFigures.init)
        plots = ReportPlots(self.runs).all
    }

    /// The document.
    package var text: String {
        let head = HTML.element(
            "head", [:], .element("meta", ["charset": "utf-8"]),
            .element("meta", ["http-equiv": "Content-Security-Policy", "content": Self.policy]),
            .element("meta", ["name": "viewport", "content": "width=device-width, initial-scale=1"]),
            .element("meta", ["name": "color-scheme", "content": "light dark"]),
            .element("meta", ["name": "referrer", "content": "no-referrer"]),
            .element("title", [:], .text(title)), .raw("style", PageStyle.sheet))
        let body = HTML.element(
            "body", [:],
            .element(
                "main", [:], header, warnings, verdicts, figures,
                isSingle ? .empty : .element("div", ["class": "compared"], ReportTables.comparison(runs)),
                .element("h2", [:], .text("Over time")),
                .element("div", ["class": "plots"], plots.map(figure)),
                .element("h2", [:], .text("In figures")),
                .element("div", ["class": "tables"], tables), footer),
            .data(id: "plots", data), .raw("script", PageScript.source))
        return "<!DOCTYPE html>\n" + HTML.element("html", ["lang": "en"], head, body).markup + "\n"
    }

    private static let policy =
        "default-src 'none'; style-src 'unsafe-inline'; script-src '\(PageScript.digest)'; base-uri 'none'; "
        + "form-action 'none'"

    private var isSingle: Bool { runs.count == 1 }

    private var title: String {
        isSingle
            ? "\(runs[0].record.plan.scenario.rawValue): \(runs[0].urls.first ?? "")"
            : "\(runs[0].record.plan.scenario.rawValue): " + runs.map(\.name).joined(separator: ", ")
    }

    // MARK: Head of the page

    private var header: HTML {
        let mark = HTML.element(
            "svg", ["viewBox": "0 0 24 24", "aria-hidden": "true"],
            .element("path", ["d": "M2 14h4l3-9 5 15 3-8h5"]))
        let scenario = runs[0].record.plan.scenario.rawValue.capitalizedFirst
        let count = HTML.element("small", [:], .text(isSingle ? "load test" : "\(runs.count) load tests compared"))
        return .element(
            "header", [:], .element("div", ["class": "brand"], mark, .text("Roost loadtest")),
            .element("h1", [:], .text(scenario + " "), count),
            isSingle
                ? .element("p", ["class": "url"], .text(runs[0].urls.joined(separator: ", "))) + facts(runs[0])
                : .element(
                    "div", ["class": "runs"],
                    runs.map { run in
                        .element("section", ["class": "card"], .element("h3", [:], .text(run.name)), facts(run))
                    }))
    }

    private func facts(_ run: PageFigures) -> HTML {
        var rows: [(String, HTML)] = []
        if !isSingle { rows.append(("Server", .text(run.urls.joined(separator: ", ")))) }
        let ending = run.record.wasInterrupted ? ", interrupted" : ""
        rows.append(("Date", .text(CalendarDate.text(run.record.startedAt) + ending)))
        rows.append(("Plan", .joined(PlanWords.sentences(run.record.plan).map { .element("div", [:], .text($0)) })))
        if let machine = run.record.machine {
            var parts = [machine.processor ?? "unknown processor", "\(machine.coreCount) cores"]
            if let bytes = machine.memoryByteCount { parts.append(PlotUnit.bytes.label(Double(bytes))) }
            rows.append(("Machine", .text((parts + [machine.kernel]).joined(separator: ", "))))
        }
        if run.record.workerCount > 1 { rows.append(("Workers", .text("\(run.record.workerCount)"))) }
        if let line = run.record.commandLine, !line.isEmpty {
            rows.append(("Command", .element("code", [:], .text(ShellWords.joined(line)))))
        }
        return .element(
            "dl", ["class": "facts"],
            rows.flatMap { name, value in [.element("dt", [:], .text(name)), .element("dd", [:], value)] })
    }

    private var warnings: HTML {
        let all = runs.flatMap { run in run.record.warnings.map { isSingle ? $0 : "\(run.name): \($0)" } }
        guard !all.isEmpty else { return .empty }
        return .element(
            "section", ["class": "warnings", "role": "note"], .element("h2", [:], .text("Doubts about these figures")),
            .element("ul", [:], all.map { .element("li", [:], .text($0)) }))
    }

    private var verdicts: HTML {
        let all = runs.flatMap { run in run.verdicts.map { (isSingle ? "" : "\(run.name): ", $0) } }
        guard !all.isEmpty else { return .empty }
        return .element(
            "ul", ["class": "verdicts", "aria-label": "Thresholds"],
            all.map { prefix, verdict in
                .element(
                    "li", ["class": verdict.passed ? "is-met" : "is-missed"],
                    .element("b", [:], .text(verdict.passed ? "✓ passed " : "✗ failed ")),
                    .text("\(prefix)\(verdict.expression) (\(verdict.found))"))
            })
    }

    private var figures: HTML {
        guard isSingle else { return .empty }
        return .element(
            "ul", ["class": "figures", "aria-label": "Key figures"],
            KeyFigures.of(runs[0]).map { figure in
                .element(
                    "li", ["class": figure.isBad ? "card is-bad" : "card"],
                    .element("div", ["class": "name"], .text(figure.name)),
                    .element("div", ["class": "value"], .text(figure.value)),
                    .element("div", ["class": "note"], .text(figure.note)))
            })
    }

    // MARK: Plots

    private func figure(_ plot: Plot) -> HTML {
        .element(
            "figure", ["class": "plot card", "id": plot.name],
            .element(
                "figcaption", [:], .element("h3", [:], .text(plot.title)),
                .element("p", [:], .text(plot.summary + shadingNote(plot))),
                plot.lines.count > 1 ? legend(plot) : .empty),
            PlotDrawing(plot, .wide).svg, PlotDrawing(plot, .narrow).svg)
    }

    private func shadingNote(_ plot: Plot) -> String { plot.shaded.isEmpty ? "" : " Shaded: not measured." }

    private func legend(_ plot: Plot) -> HTML {
        .element(
            "ul", ["class": "legend", "aria-hidden": "true"],
            plot.lines.enumerated().map { index, line in
                .element(
                    "li", [:],
                    .element(
                        "svg", ["viewBox": "0 0 26 8"],
                        .element(
                            "g", ["class": "look-\(index % PlotDrawing.lookCount)"],
                            .element("path", ["class": "line", "d": "M1 4h24"]))),
                    .text(line.name))
            })
    }

    /// What the script reads out: the lines' own values, point by point as they are drawn.
    private var data: String {
        let members = plots.map { plot in
            let lines = plot.lines.map { line in
                let drawn = line.points.filter { $0.y != nil }
                return JSONValue.object([
                    ("name", .string(line.name)), ("x", .array(drawn.map { .number($0.x) })),
                    ("y", .array(drawn.map { .number($0.y ?? 0) })),
                ])
            }
            return (
                plot.name,
                JSONValue.object([
                    ("unit", .string(plot.unit.rawValue)), ("axis", .string(plot.axis.rawValue)),
                    ("lines", .array(lines)),
                ])
            )
        }
        return JSONValue.object(members).description
    }

    // MARK: Tables

    private var tables: [HTML] {
        [
            ReportTables.distributions(runs), ReportTables.errors(runs), ReportTables.counters(runs),
        ]
    }

    private var footer: HTML {
        .element(
            "footer", [:],
            .text(
                "Made by Roost’s loadtest. Lines longer than \(Thinning.pointCountMax) points keep the least and the "
                    + "greatest value of each stretch. Latency is counted from when a message was due, or sent where "
                    + "there is no schedule."))
    }
}

/// A command line as a shell would take it back, less what opens doors: a page is there to be sent around.
package enum ShellWords {
    package static func joined(_ words: [String]) -> String {
        zip(words, [""] + words).map { quoted(withoutSecret($0, behind: $1)) }.joined(separator: " ")
    }

    /// Any header may prove who someone is: names alone are kept.
    private static func withoutSecret(_ word: String, behind option: String) -> String {
        guard option == "--header" || word.hasPrefix("--header=") else { return word }
        return word.firstIndex(of: ":").map { word[...$0] + " ..." } ?? "..."
    }

    private static func quoted(_ word: String) -> String {
        let isPlain = { (character: Character) in
            character.isASCII && (character.isLetter || character.isNumber || "-_./:=@%+,".contains(character))
        }
        if !word.isEmpty, word.allSatisfy(isPlain) { return word }
        return "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }
}
