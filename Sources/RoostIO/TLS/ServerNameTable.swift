// SPDX-License-Identifier: Apache-2.0

/// Which certificates serve which name.
struct ServerNameTable: Sendable, Equatable {
    private var exact: [String: [Int]] = [:]
    /// By what follows the first label.
    private var wildcards: [String: [Int]] = [:]

    /// `certificates`: the names in each, and its key type. Of several of one type that hold the same name the first is
    /// taken.
    init(_ certificates: [(names: [String], keyType: Int32)]) {
        for (index, certificate) in certificates.enumerated() {
            for name in Set(certificate.names.map(Self.normalised)) {
                func isOfSameType(_ other: Int) -> Bool { certificates[other].keyType == certificate.keyType }
                if let suffix = Self.suffix(ofWildcard: name) {
                    if !wildcards[suffix, default: []].contains(where: isOfSameType) {
                        wildcards[suffix, default: []].append(index)
                    }
                } else if !exact[name, default: []].contains(where: isOfSameType) {
                    exact[name, default: []].append(index)
                }
            }
        }
    }

    /// The certificates for `name`, by their index; nil where none holds it. Exactly before by a wildcard.
    func certificates(for name: String) -> [Int]? {
        let name = Self.normalised(name)
        if let found = exact[name] { return found }
        // A wildcard stands for one whole label, the first (RFC 6125 §6.4.3).
        guard let dot = name.firstIndex(of: "."), dot != name.startIndex else { return nil }
        return wildcards[String(name[name.index(after: dot)...])]
    }

    /// Each set of certificates that a name may lead to.
    var sets: Set<[Int]> { Set(exact.values).union(wildcards.values) }

    /// Names are compared without regard to case (RFC 4343), and to the dot that may end them.
    private static func normalised(_ name: String) -> String {
        let lower = name.lowercased()
        return lower.hasSuffix(".") ? String(lower.dropLast()) : lower
    }

    private static func suffix(ofWildcard name: String) -> String? {
        guard name.hasPrefix("*.") else { return nil }
        let suffix = name.dropFirst(2)
        return suffix.isEmpty || suffix.contains("*") ? nil : String(suffix)
    }
}
