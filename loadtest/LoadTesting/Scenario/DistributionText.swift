// SPDX-License-Identifier: Apache-2.0

/// A distribution as people write it: `64`, `uniform:10:200`, `lognormal:120:1:65536`, `choice:64=0.8,4096=0.2` on the
/// command line; in a file also `{uniform: [10, 200]}`, `{lognormal: {median: 120, sigma: 1, max: 65536}}`.
struct DistributionText {
    enum Kind: String, CaseIterable {
        case fixed, uniform, exponential, lognormal, choice

        var parameters: [String] {
            switch self {
            case .fixed: ["value"]
            case .uniform: ["min", "max"]
            case .exponential: ["mean", "max"]
            case .lognormal: ["median", "sigma", "max"]
            case .choice: []
            }
        }
    }

    /// Why it is none; what follows the name and the value in a message.
    struct Refusal: Error { let remedy: String }

    /// What the values are: bytes or seconds.
    struct Unit: Sendable {
        let read: @Sendable (String) -> Double?
        let most: Double
        let remedy: String

        static let bytes = Unit(
            read: { Quantity.byteCount($0) }, most: Double(SizeDistribution.byteCountLimit),
            remedy: "use bytes in 0...\(SizeDistribution.byteCountLimit)")
        static let seconds = Unit(
            read: { Quantity.seconds($0) }, most: 86_400, remedy: "use a time as in 500ms, at most 24h")
    }

    let kind: Kind
    /// By parameter, in order; of a choice: the values.
    let values: [Double]
    /// Of a choice.
    let weights: [Double]

    /// As on the command line.
    init(_ text: String, _ unit: Unit) throws(Refusal) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        guard parts.count > 1 else {
            try self.init(.fixed, [text], unit)
            return
        }
        guard let kind = Kind(rawValue: parts[0]), kind != .fixed else {
            let kinds = Kind.allCases.filter { $0 != .fixed }.map(\.rawValue)
            throw Refusal(remedy: "'\(parts[0])' is no distribution\(Nearest.hint(parts[0], among: kinds))")
        }
        guard kind == .choice else {
            try self.init(kind, Array(parts.dropFirst()), unit)
            return
        }
        guard parts.count == 2 else {
            throw Refusal(remedy: "write values and their weights, as in choice:64=0.8,4096=0.2")
        }
        var pairs: [(String, String)] = []
        for part in parts[1].split(separator: ",") {
            let sides = part.split(separator: "=").map(String.init)
            guard sides.count == 2 else {
                throw Refusal(remedy: "write values and their weights, as in choice:64=0.8,4096=0.2")
            }
            pairs.append((sides[0], sides[1]))
        }
        try self.init(choice: pairs, unit)
    }

    init(choice pairs: [(value: String, weight: String)], _ unit: Unit) throws(Refusal) {
        guard (1...1_000).contains(pairs.count) else { throw Refusal(remedy: "use 1...1000 values in a choice") }
        var (values, weights): ([Double], [Double]) = ([], [])
        for (value, weight) in pairs {
            values.append(try Self.value(value, unit))
            guard let weight = Quantity.number(weight), weight > 0, weight <= 1e9 else {
                throw Refusal(remedy: "the weight of \(value) is '\(Printable.short(weight))'; use a number above 0")
            }
            weights.append(weight)
        }
        kind = .choice
        self.values = values
        self.weights = weights
    }

    /// `texts` by parameter, in order.
    init(_ kind: Kind, _ texts: [String], _ unit: Unit) throws(Refusal) {
        let parameters = kind.parameters
        guard texts.count == parameters.count else {
            throw Refusal(
                remedy: "\(kind.rawValue) needs \(parameters.joined(separator: ", ")): \(parameters.count) values, "
                    + "not \(texts.count)")
        }
        var values: [Double] = []
        for (parameter, text) in zip(parameters, texts) {
            if parameter == "sigma" {
                guard let sigma = Quantity.number(text), sigma >= 0, sigma <= SizeDistribution.sigmaMax else {
                    throw Refusal(remedy: "sigma is '\(Printable.short(text))'; use a number in 0...10")
                }
                values.append(sigma)
            } else {
                values.append(try Self.value(text, unit))
            }
        }
        if ["mean", "median"].contains(parameters[0]), values[0] <= 0 {
            throw Refusal(remedy: "\(parameters[0]) is \(texts[0]); use more than 0")
        }
        if parameters.last == "max", values[0] > values[values.count - 1] {
            throw Refusal(remedy: "\(parameters[0]) (\(texts[0])) is above max (\(texts[texts.count - 1]))")
        }
        self.kind = kind
        self.values = values
        weights = []
    }

    private static func value(_ text: String, _ unit: Unit) throws(Refusal) -> Double {
        guard let value = unit.read(text), value <= unit.most else {
            throw Refusal(remedy: text.isEmpty ? unit.remedy : "'\(Printable.short(text))' is none; \(unit.remedy)")
        }
        return value
    }
}

extension DistributionText {
    /// In a file; reports what is wrong, and is nil then.
    init?(_ node: YAMLNode, _ name: String, _ unit: Unit, _ problems: ProblemList) {
        do throws(Refusal) {
            self = try Self.read(node, unit)
        } catch {
            problems.add(node, "\(name) is \(node.shown); \(error.remedy)")
            return nil
        }
    }

    private static func read(_ node: YAMLNode, _ unit: Unit) throws(Refusal) -> DistributionText {
        let kinds = Kind.allCases.filter { $0 != .fixed }.map(\.rawValue)
        switch node.content {
        case .scalar(let text): return try DistributionText(text, unit)
        case .list: throw Refusal(remedy: "write a value, or a distribution as in {uniform: [10, 200]}")
        case .section(let entries):
            guard entries.count == 1, let entry = entries.first else {
                throw Refusal(remedy: "write one of \(kinds.joined(separator: ", ")), as in {uniform: [10, 200]}")
            }
            guard let kind = Kind(rawValue: entry.key), kind != .fixed else {
                let name = Printable.short(entry.key)
                throw Refusal(remedy: "'\(name)' is no distribution\(Nearest.hint(entry.key, among: kinds))")
            }
            return try read(kind, entry.value, unit)
        }
    }

    private static func read(_ kind: Kind, _ node: YAMLNode, _ unit: Unit) throws(Refusal) -> DistributionText {
        switch node.content {
        case .section(let entries) where kind == .choice:
            return try DistributionText(choice: entries.map { ($0.key, $0.value.scalar ?? "") }, unit)
        case .section(let entries):
            let parameters = kind.parameters
            if let strange = entries.first(where: { !parameters.contains($0.key) }) {
                throw Refusal(
                    remedy: "\(kind.rawValue) has no '\(Printable.short(strange.key))'"
                        + Nearest.hint(strange.key, among: parameters))
            }
            let texts = parameters.compactMap { parameter in entries.first { $0.key == parameter }?.value.scalar }
            return try DistributionText(kind, texts, unit)
        case .list(let elements) where kind != .choice:
            return try DistributionText(kind, elements.map { $0.scalar ?? "" }, unit)
        case .list, .scalar:
            let example = kind == .choice ? "{choice: {64: 0.8, 4096: 0.2}}" : "{uniform: [10, 200]}"
            throw Refusal(remedy: "write its parameters, as in \(example)")
        }
    }
}

extension SizeDistribution {
    /// As on the command line: `--size VALUE`.
    package init(argument: String, name: String) throws(LoadTestError) {
        do throws(DistributionText.Refusal) {
            self.init(try DistributionText(argument, .bytes))
        } catch {
            throw LoadTestError("\(name) is '\(Printable.short(argument))'; \(error.remedy)")
        }
    }

    init(_ text: DistributionText) {
        let values = text.values
        switch text.kind {
        case .fixed: self = .fixed(Int(values[0]))
        case .uniform: self = .uniform(Int(values[0]), Int(values[1]))
        case .exponential: self = .exponential(mean: values[0], max: Int(values[1]))
        case .lognormal: self = .lognormal(median: values[0], sigma: values[1], max: Int(values[2]))
        case .choice: self = .choice(zip(values, text.weights).map { WeightedSize(Int($0), weight: $1) })
        }
    }
}
