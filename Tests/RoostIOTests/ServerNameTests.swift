// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostIO

struct ServerNameTests {
    private static let table = ServerNameTable([
        (names: ["first.example", "*.first.example"], keyType: 6),
        (names: ["Second.Example", "exact.first.example"], keyType: 6),
        (names: ["second.example", "*.*.bad.example", "*.", "a*.partial.example"], keyType: 408),
        (names: ["second.example"], keyType: 6),
    ])

    @Test(
        "RFC 6125 §6.4: a name leads to those that hold it, exactly before by a wildcard for one label",
        arguments: [
            ("first.example", [0]), ("FIRST.example.", [0]), ("a.first.example", [0]),
            ("exact.first.example", [1]), ("a.b.first.example", nil), (".first.example", nil),
            ("second.example", [1, 2]), ("third.example", nil), ("", nil), (".", nil),
            ("a.b.bad.example", nil), ("ab.partial.example", nil), ("*.first.example", [0]),
        ] as [(String, [Int]?)])
    func choosesByName(name: String, expected: [Int]?) {
        #expect(Self.table.certificates(for: name) == expected)
    }
}
