// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostDaemon

@Suite struct SuggestionTests {
    @Test(
        "the nearest key is found, whatever the slip",
        arguments: [
            ("max-connection", "max-connections"), ("maxConnections", "max-connections"),
            ("MAX_CONNECTIONS", "max-connections"),
            ("listne", "listen"), ("ping-intervall", "ping-interval"), ("drain-timout", "drain-timeout"),
            ("allowedorigins", "allowed-origins"), ("route", "routes"),
        ])
    func findsTheNearest(word: String, key: String) {
        #expect(Suggestion.nearest(to: word, among: SettingCatalog.topLevel)?.name == key)
    }

    @Test("edits are insertions, deletions, replacements and swaps of neighbours")
    func countsEdits() {
        func count(_ first: String, _ second: String) -> Int { Suggestion.editCount(Array(first), Array(second)) }
        #expect(count("", "") == 0)
        #expect(count("", "abc") == 3)
        #expect(count("abc", "") == 3)
        #expect(count("abc", "abc") == 0)
        #expect(count("abc", "abd") == 1)
        #expect(count("abc", "acb") == 1)
        #expect(count("kitten", "sitting") == 3)
    }

    @Test("nothing is near where there are no candidates") func findsNothing() {
        #expect(Suggestion.nearest(to: "listen", among: []) == nil)
    }
}
