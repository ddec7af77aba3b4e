// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import LoadTesting

@Suite struct ScenarioPartsTests {
    @Test(
        "sizes are read the same from the command line and from a file",
        arguments: [
            ("64", "64", SizeDistribution.fixed(64)), ("64KiB", "64KiB", .fixed(65_536)),
            ("uniform:10:200", "{uniform: [10, 200]}", .uniform(10, 200)),
            ("uniform:10:200", "{uniform: {max: 200, min: 10}}", .uniform(10, 200)),
            ("exponential:200:4096", "{exponential: {mean: 200, max: 4KiB}}", .exponential(mean: 200, max: 4_096)),
            (
                "lognormal:120:1:65536", "{lognormal: {median: 120, sigma: 1, max: 64KiB}}",
                .lognormal(median: 120, sigma: 1, max: 65_536)
            ),
            (
                "choice:64=0.8,4096=0.2", "{choice: {64: 0.8, 4096: 0.2}}",
                .choice([.init(64, weight: 0.8), .init(4_096, weight: 0.2)])
            ),
        ])
    func sizes(argument: String, yaml: String, expected: SizeDistribution) throws {
        #expect(try SizeDistribution(argument: argument, name: "--size") == expected)
        for text in [yaml, argument] {
            let file = try ScenarioFile(
                "url: ws://h/\nclients: 1\ngroups: [{work: {echo: {size: \"\(text)\"}}}]"
                    .replacing("\"{", with: "{").replacing("}\"", with: "}"))
            #expect(file.plan.groups[0].behaviour == .echo(EchoPlan(size: expected, inFlight: 1, isText: false)))
        }
    }

    @Test(
        "a wrong size is refused with option, value and remedy",
        arguments: [
            ("", "--size is ''; use bytes in 0...268435456"), ("-1", "--size is '-1'; '-1' is none; use bytes"),
            ("268435457", "use bytes in 0...268435456"), ("unifrom:1:2", "did you mean uniform?"),
            ("uniform:1", "uniform needs min, max: 2 values, not 1"), ("uniform:9:1", "min (9) is above max (1)"),
            ("lognormal:1:99:2", "sigma is '99'; use a number in 0...10"),
            ("choice:64", "write values and their weights"),
            ("exponential:9:8", "mean (9) is above max (8)"), ("nan", "'nan' is none"), ("inf", "'inf' is none"),
        ])
    func wrongSizes(argument: String, problem: String) {
        let error = #expect(throws: LoadTestError.self) { try SizeDistribution(argument: argument, name: "--size") }
        #expect(error?.description.contains(problem) == true, "\(error?.description ?? "")")
    }

    @Test(
        "think times have the mean and the bounds of their distribution",
        arguments: [
            (ThinkTime.constant(2), 2.0, 2.0...2.0), (.uniform(1, 3), 2, 1...3),
            (.exponential(mean: 2, max: 1e6), 2, 0...1e6), (.exponential(mean: 2, max: 1), 0.787, 0...1),
            // exp(sigma² / 2) times the median.
            (.lognormal(median: 2, sigma: 0.5, max: 1e6), 2.266, 0...1e6),
            (.choice([.init(seconds: 1, weight: 3), .init(seconds: 5, weight: 1)]), 2, 1...5),
        ])
    func thinkTimes(time: ThinkTime, mean: Double, range: ClosedRange<Double>) {
        var random = SplitMix(state: 7)
        let values = (0..<100_000).map { _ in time.seconds(&random) }
        #expect(values.allSatisfy(range.contains))
        #expect(abs(values.reduce(0, +) / 100_000 - mean) < 0.03 * mean)
        var again = SplitMix(state: 7)
        #expect(values.prefix(100).elementsEqual((0..<100).map { _ in time.seconds(&again) }))
    }

    @Test(
        "sizes have the mean and the bounds of their distribution, and are the same for the same seed",
        arguments: [
            (SizeDistribution.fixed(7), 7.0, 7...7), (.uniform(100, 300), 200, 100...300),
            (.exponential(mean: 2_000, max: 1_000_000), 2_000, 0...1_000_000),
            (.exponential(mean: 2_000, max: 1_000), 787, 0...1_000),
            // exp(sigma² / 2) times the median.
            (.lognormal(median: 2_000, sigma: 0.5, max: 1_000_000), 2_266, 0...1_000_000),
            (.choice([.init(100, weight: 3), .init(500, weight: 1)]), 200, 100...500),
        ])
    func drawnSizes(distribution: SizeDistribution, mean: Double, range: ClosedRange<Int>) {
        var sampler = SizeSampler(distribution, seed: 7)
        let sizes = (0..<100_000).map { _ in sampler.next() }
        #expect(sizes.allSatisfy(range.contains))
        #expect(abs(Double(sizes.reduce(0, +)) / 100_000 - mean) < 0.03 * mean)
        var again = SizeSampler(distribution, seed: 7)
        #expect(sizes.prefix(100).elementsEqual((0..<100).map { _ in again.next() }))
        guard range.count > 1 else { return }
        var other = SizeSampler(distribution, seed: 8)
        #expect(!sizes.prefix(100).elementsEqual((0..<100).map { _ in other.next() }))
    }

    @Test(
        "a template is filled in",
        arguments: [
            ("plain", "plain"), ("{{client}}-{{attempt}}-{{seq}}", "3-1-9"),
            ("{{group}}{{filler 28}}", "gabcdefghijklmnopqrstuvwxyzab"),
            ("{{{{client}}", "{{client}}"), ("{{ random -5 -5 }}}", "-5}"), ("<{{token}}>", "<secret>"), ("", ""),
        ])
    func templates(text: String, expected: String) throws {
        let reader = TemplateReader(group: "g", captures: ["token": 1])
        let template = try reader.read(text)
        var bytes: [UInt8] = []
        var random = SplitMix(state: 1)
        let values = ScriptTemplate.Values(client: 3, attempt: 1, sequence: 9, captured: [nil, Array("secret".utf8)])
        #expect(template.append(to: &bytes, values, &random))
        #expect(String(decoding: bytes, as: UTF8.self) == expected)
        #expect(bytes.count <= template.byteCountMax)
    }

    @Test("what was not captured cannot be sent; what is always the same is one piece")
    func templateShapes() throws {
        var bytes: [UInt8] = []
        var random = SplitMix(state: 1)
        let values = ScriptTemplate.Values(client: 0, attempt: 0, sequence: 0, captured: [nil])
        let template = try TemplateReader(group: "g", captures: ["a": 0]).read("x{{a}}")
        #expect(!template.append(to: &bytes, values, &random))
        #expect(template.hasCaptures && template.literal == nil)
        #expect(try TemplateReader(group: "g").read("a {{group}} {{filler 2}}").literal == Array("a g ab".utf8))
    }

    @Test(
        "hexadecimal and base64 are decoded around the places",
        arguments: [
            ("00 ff{{client}}0a", TemplateReader.Encoding.hexadecimal, [0, 255, 51, 10] as [UInt8]),
            ("AAEC/w==", .base64, [0, 1, 2, 255]), ("AAEC/w", .base64, [0, 1, 2, 255]),
            ("+/+/", .base64, [251, 255, 191]),
        ])
    func encodings(text: String, encoding: TemplateReader.Encoding, expected: [UInt8]) throws {
        var bytes: [UInt8] = []
        var random = SplitMix(state: 1)
        let values = ScriptTemplate.Values(client: 3, attempt: 0, sequence: 0, captured: [])
        #expect(try TemplateReader(group: "g").read(text, encoding).append(to: &bytes, values, &random))
        #expect(bytes == expected)
    }

    @Test(
        "a value is found in JSON text by its path, RFC 8259",
        arguments: [
            (".a", #"{"a":1}"#, "1"), ("a.b", #" { "x" : {"b":0} , "a" : { "b" : "y" } } "#, "y"),
            ("[1]", "[ 0 , -1.5e3 ]", "-1.5e3"), ("$[0].a", #"[{"a":null}]"#, "null"), (".", " true ", "true"),
            (".a", #"{"a":{"b":[1,"]}"]}}"#, #"{"b":[1,"]}"]}"#), (#"["a.b"]"#, #"{"a.b":2}"#, "2"),
            (".a", #"{"\u0061":"\ud83d\ude00\n\"\\\/é\ud83d"}"#, "😀\n\"\\/é\u{FFFD}"),
            (".a", #"{"b":"\"a\":1","a":2}"#, "2"), ("[2]", #"[[[]],{},""]"#, ""),
            (".b", #"{"a":1}"#, nil), ("[1]", "[0]", nil), ("[0]", "[]", nil), (".a", "[1]", nil),
            ("[0]", #"{"a":1}"#, nil),
            (".a", #"{"a""#, nil), (".a", #"{"a":"#, nil), (".a", #"{"a":"x"#, nil), (".a", #"{"a":[1"#, nil),
            (".a", "", nil), (".a", #"{"a\"#, nil), (".a", #"{"a":"\"#, nil), (".", "", nil),
        ] as [(String, String, String?)])
    func json(path: String, text: String, expected: String?) throws {
        let path = try #require(JSONPath(path))
        let bytes = Array(text.utf8)
        var value: [UInt8]?
        if let range = JSONText.find(path, in: bytes.span) {
            var result: [UInt8] = []
            JSONText.append(range, of: bytes.span, to: &result)
            value = result
        }
        #expect(value.map { String(decoding: $0, as: UTF8.self) } == expected)
    }

    @Test(
        "a JSON value is compared as text, and numbers as numbers",
        arguments: [
            ("12e0", "12", true), ("12", "12.0", true), ("1", "2", false), (#""ok""#, "ok", true),
            (#""1.0""#, "1", false), ("true", "true", true), ("null", "", false), (#""\u006fk""#, "ok", true),
            ("[1]", "[1]", true), (#""ok""#, #""ok""#, true), ("nul", "null", false),
        ])
    func jsonEquality(value: String, text: String, isEqual: Bool) {
        let bytes = Array(value.utf8)
        #expect(JSONText.equals(0..<bytes.count, of: bytes.span, Array(text.utf8).span) == isEqual)
    }

    @Test("any bytes are scanned without a trap", arguments: 0..<200)
    func jsonMutations(seed: Int) throws {
        var random = SplitMix(state: UInt64(seed))
        let letters = Array(#"{}[]",:\u0d8ax1-e. "#.utf8)
        let paths = [".", ".a", "[0]", "[1].a", ".a[2].b"].compactMap(JSONPath.init)
        for _ in 0..<200 {
            let count = Int.random(in: 0...30, using: &random)
            let bytes = (0..<count).map { _ in letters.randomElement(using: &random) ?? 0 }
            for path in paths {
                guard let range = JSONText.find(path, in: bytes.span) else { continue }
                #expect(!range.isEmpty && range.upperBound <= bytes.count, "seed \(seed)")
                var value: [UInt8] = []
                JSONText.append(range, of: bytes.span, to: &value)
                _ = JSONText.equals(range, of: bytes.span, value.span)
            }
        }
    }

    @Test(
        "bytes are found in bytes",
        arguments: [
            ("abcab", "cab", true), ("abc", "", true), ("", "", true), ("ab", "abc", false), ("aab", "ab", true),
            ("abc", "ac", false),
        ])
    func contains(text: String, part: String, isPart: Bool) {
        #expect(ByteText.contains(Array(text.utf8).span, Array(part.utf8).span) == isPart)
    }
}
