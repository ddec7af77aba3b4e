// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import LoadTesting

@Suite struct PatternTests {
    private static func isFound(_ pattern: String, _ text: String) throws -> Bool {
        try Pattern(pattern).isFound(in: Array(text.utf8).span)
    }

    @Test(
        "a regular expression is found in a part of a text",
        arguments: [
            ("", "", true), ("", "a", true), ("b", "abc", true), ("ac", "abc", false), ("a.c", "a😀c", true),
            ("a.c", "a\nc", false), ("(?s)a.c", "a\nc", true), ("^b", "ab", false), ("^b", "a\nb", false),
            ("(?m)^b$", "a\nb\nc", true), ("a$", "a\n", true), ("a$", "a\nb", false), ("a\\z", "a\n", false),
            ("a\\Z", "a\n", true), ("\\Ab", "ab", false),
            ("^(ab|cd)+$", "abcdab", true), ("^(ab|cd)+$", "abc", false), ("^a|b$", "xb", true), ("a||b", "x", true),
            ("^a{2,3}$", "a", false), ("^a{2,3}$", "aaa", true), ("^a{2,3}$", "aaaa", false), ("^a{2,}$", "aaaa", true),
            ("^a{2}$", "aa", true), ("^a{0}$", "", true), ("a{,2}", "a{,2}", true),
            ("{\"a\": \\d}", "{\"a\": 5}", true),
            ("^a??b$", "ab", true), ("^a+?$", "aaa", true), ("^(a*)*$", "aaa", true), ("^(a*)+b$", "aaa", false),
            ("^(?:|a)+$", "aa", true), ("(?<year>\\d{4})-(?P<month>\\d\\d)", "on 2026-11-26", true),
            ("[a-c]", "b", true), ("[^a-c]", "abc", false), ("[]a]", "]", true), ("[a-]", "-", true),
            ("[^]a]", "]a", false), ("[\\d_-]", "x-", true), ("[\\]\\\\]", "\\", true), ("[\\b]", "\u{8}", true),
            ("^\\w+$", "héllo_1", true), ("^\\w+$", "a-b", false), ("\\W", "a b", true), ("\\D", "12", false),
            ("\\d", "٣", true), ("a\\sb", "a\tb", true), ("\\S", " \n", false), ("\\bcat\\b", "a cat.", true),
            ("\\bcat\\b", "concat", false), ("\\Bcat", "concat", true),
            ("\\x41\\u00e9\\u{1F600}", "Aé😀", true), ("\\.\\*\\/\\-", ".*/-", true), ("\\n\\t\\e", "\n\t\u{1B}", true),
            ("(?i)STRASSE", "Strasse", true), ("(?i)s", "ß", false), ("(?i:A)b", "aB", false), ("(?i:A)b", "ab", true),
            ("(?i)[a-c]É", "Bé", true), ("(?i)[^a]", "A", false), ("x]", "x]", true), ("a}", "a}", true),
        ] as [(String, String, Bool)])
    func finds(pattern: String, text: String, isFound: Bool) throws {
        #expect(try Self.isFound(pattern, text) == isFound)
    }

    @Test(
        "what is no regular expression, or cannot be matched in one pass, is refused with the reason",
        arguments: [
            ("(", "a ( without a )"), (")", "a ) without a ("), ("(?:a", "a ( without a )"), ("[a", "a [ without a ]"),
            ("[]", "a [ without a ]"), ("*a", "a * with nothing before it"), ("a|+", "a + with nothing before it"),
            ("a\\", "ends with a backslash"), ("(a)\\1", "refers back (\\1)"), ("\\k<a>", "refers back (\\k)"),
            ("(?=a)", "looks ahead or behind"), ("(?!a)", "looks ahead or behind"), ("(?<=a)", "looks ahead or behind"),
            ("(?<!a)", "looks ahead or behind"), ("(?>a)", "atomic group"), ("a*+", "possessive"),
            ("\\pL", "\\p, which is not supported"), ("(?x)a", "the flag x; use i, s or m"), ("[b-a]", "b-a in […]"),
            ("[[:alpha:]]", "a [ within […]"), ("a{2,1}", "a count in {…}"), ("a{1001}", "a count in {…}"),
            ("\\xzz", "a character by number"), ("\\ud800", "a character by number"),
            ("(a{1000}){2}", "more than 1000 steps"),
            ("(((((){1000}){1000}){1000}){1000}){1000}", "more than 1000 steps"),
            (String(repeating: "(", count: 100_000), "nested too deep"),
        ] as [(String, String)])
    func refuses(pattern: String, problem: String) {
        let error = #expect(throws: Pattern.Refusal.self) { try Pattern(pattern) }
        #expect(error?.message.contains(problem) == true, "\(error?.message ?? "")")
    }

    /// With a matcher that goes back none of these ends before the universe does.
    @Test(
        "no expression and no text hold the matcher up",
        arguments: ["(a+)+b", "(a|a)*b", "(a*)*b", "^(a?){300}a{300}b", "a*a*a*a*a*a*a*a*b", "(.*)(.*)(.*)(.*)[^a]"])
    func isLinear(pattern: String) throws {
        #expect(try !Self.isFound(pattern, String(repeating: "a", count: 20_000)))
    }

    @Test("what is behind the first 64 KiB of a text is not looked at, and its end is no end")
    func longText() throws {
        let text = String(repeating: "a", count: Pattern.textByteCountMax)
        #expect(try Self.isFound("a$", text))
        #expect(try !Self.isFound("b", text + "b"))
        #expect(try !Self.isFound("a$", text + "a"))
    }

    @Test("bytes that are no text are characters like others")
    func bytes() throws {
        #expect(try Pattern("^.b").isFound(in: ([0xFF, 0x62] as [UInt8]).span))
    }

    @Test("matches are those of the standard library's expressions", arguments: 0..<50)
    func againstRegex(seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        for _ in 0..<40 {
            let pattern = Self.pattern(&random, depth: 3)
            let regex = try Regex(pattern).matchingSemantics(.unicodeScalar).wordBoundaryKind(.simple)
            let own = try Pattern(pattern)
            for _ in 0..<10 {
                let text = String(
                    (0..<Int.random(in: 0...7, using: &random)).map { _ in
                        "abé_ ".randomElement(using: &random) ?? "a"
                    })
                #expect(
                    own.isFound(in: Array(text.utf8).span) == text.contains(regex),
                    "\(pattern) in '\(text)', seed \(seed)")
            }
        }
    }

    private static func pattern(_ random: inout SplitMix, depth: Int) -> String {
        let atoms = ["a", "b", ".", "[ab]", "[^a]", "\\w", "\\s", "é", "^", "$", "\\b"]
        func atom(_ random: inout SplitMix) -> String { atoms.randomElement(using: &random) ?? "a" }
        guard depth > 0 else { return atom(&random) }
        func part(_ random: inout SplitMix) -> String { pattern(&random, depth: depth - 1) }
        switch Int.random(in: 0..<5, using: &random) {
        case 0: return part(&random) + part(&random)
        case 1: return "(?:" + part(&random) + "|" + part(&random) + ")"
        case 2:
            // An anchor repeated is refused by the standard library.
            let count = ["*", "+", "?", "{2}", "{1,2}", "{2,}", "*?"].randomElement(using: &random) ?? "*"
            return "(?:a" + part(&random) + ")" + count
        case 3: return atom(&random) + part(&random)
        default: return atom(&random)
        }
    }
}
