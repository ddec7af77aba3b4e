// SPDX-License-Identifier: Apache-2.0

/// What the reports of all tests have.
enum ReportParts {
    static func usage(_ cpu: [Double], _ wait: [Double]) -> String {
        zip(cpu, wait).map { cpu, wait in
            let waited = wait >= 0.01 ? " (waited \(Format.decimal(wait * 100, digits: 0)) %)" : ""
            return "\(Format.decimal(cpu * 100, digits: 0)) % of a core\(waited)"
        }.joined(separator: ", ")
    }

    static func ending(_ warning: String?, _ errors: [TestError]) -> String {
        var text = warning.map { "  warning: \($0)\n" } ?? ""
        for error in errors {
            let times = error.count == 1 ? "once" : "\(Format.grouped(error.count)) times"
            text += "  error, \(times), first after \(Format.decimal(error.firstSeconds, digits: 1)) s: \(error.kind)\n"
        }
        return text
    }

    static func json(_ errors: [TestError]) -> JSONValue {
        .array(
            errors.map {
                .object([
                    ("kind", .string($0.kind)), ("count", .integer($0.count)),
                    ("first_seconds", .number($0.firstSeconds)),
                ])
            })
    }
}
