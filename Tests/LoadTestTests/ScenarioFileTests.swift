// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import LoadTesting

/// A file that is wrong, and what is said of it.
struct WrongFile: Sendable, CustomTestStringConvertible {
    let text: String
    let problems: [String]

    init(_ text: String, _ problems: String...) {
        self.text = text
        self.problems = problems
    }

    /// With all that a file must have, and a wrong first line.
    static func top(_ line: String, _ problem: String) -> WrongFile {
        WrongFile(line + "\n" + rest(clients: !line.hasPrefix("clients:")), problem)
    }

    private static func rest(clients: Bool) -> String {
        "url: ws://h/\n\(clients ? "clients: 1\n" : "")groups:\n  - flow:\n      - think: 1s"
    }

    /// With a wrong line of a group.
    static func group(_ line: String, _ problem: String) -> WrongFile {
        WrongFile("url: ws://h/\nclients: 3\ngroups:\n  - name: a\n    \(line)\n    flow: [think: 1s]", problem)
    }

    static func step(_ step: String, _ problem: String) -> WrongFile {
        WrongFile("url: ws://h/\nclients: 3\ngroups:\n  - name: a\n    flow:\n      - \(step)", problem)
    }

    var testDescription: String { problems.joined() }
}

@Suite struct ScenarioFileTests {
    @Test("a minimal file is a plan with the defaults")
    func minimal() throws {
        let file = try ScenarioFile("url: ws://h/\nclients: 5\ngroups: [{flow: [send: hello, close]}]")
        var script = ScriptPlan()
        script.steps = [
            .send(SendStep(line: 3, isText: true, payload: .template(ScriptTemplate([.literal(Array("hello".utf8))])))),
            .close(code: 1000, reason: ""),
        ]
        script.ignoresUnexpected = true
        #expect(
            file.plan
                == LoadPlan(.mixed, groups: [ClientGroup("group 1", 5, Target(["ws://h/"]), .script(script))]))
        #expect(file.options == ScenarioOptions())
    }

    @Test("every key of the run and of a target is read; a group's own target stands over that of all")
    func keys() throws {
        let file = try ScenarioFile(
            """
            variables: {host: h, n: 7}
            duration: 1m
            warmup: 250ms
            interval: 2
            end-timeout: 0
            connecting: 10
            connect-first: no
            schedulers: 3
            workers: 4
            agents: ["b:1", "[::1]:2"]
            fail-if: p99 > 5ms
            url: ws://{{host}}/{{ n }}
            headers: {X-A: "1"}
            subprotocols: [a, b]
            source-addresses: [127.0.0.2, 127.0.0.3]
            tls: {ca: /c.pem, insecure: true}
            compression: true
            connect-timeout: 3s
            groups:
              - {name: a, count: "{{n}}", work: idle, arrival-rate: 0.5, reconnect: socketio}
              - name: b
                count: 1
                urls: [ws://x/, "ws+unix:/s:/p"]
                headers: ["X-B: two"]
                reconnect: 250ms
                compression: false
                work: {echo: {size: uniform:10:1KiB, in-flight: 2, text: true}}
            """, [("host", "example.org")])
        let plan = file.plan
        #expect(plan.durationSeconds == 60 && plan.warmupSeconds == 0.25 && plan.intervalSeconds == 2)
        #expect(plan.endTimeoutSeconds == 0 && plan.connectingCountMax == 10 && !plan.connectsFirst)
        #expect(plan.schedulerCount == 3 && file.options.workerCount == 4)
        #expect(file.options.agents == ["b:1", "[::1]:2"] && file.options.failIf == ["p99 > 5ms"])
        var target = Target(["ws://example.org/7"])
        target.headers = ["X-A: 1"]
        target.subprotocols = ["a", "b"]
        target.sourceAddresses = ["127.0.0.2", "127.0.0.3"]
        target.caFile = "/c.pem"
        target.isInsecure = true
        target.isCompressed = true
        target.connectTimeoutSeconds = 3
        var first = ClientGroup("a", 7, target, .idle)
        first.arrivalsPerSecond = 0.5
        first.backoff = .socketio
        target.urls = ["ws://x/", "ws+unix:/s:/p"]
        target.headers.append("X-B: two")
        target.isCompressed = false
        let echo = EchoPlan(size: .uniform(10, 1_024), inFlight: 2, isText: true)
        var second = ClientGroup("b", 1, target, .echo(echo))
        second.backoff = .constant(0.25)
        #expect(plan.groups == [first, second])
    }

    @Test(
        "clients are divided by weight, exactly, and groups with a count have theirs",
        arguments: [
            (10, ["weight: 1", "weight: 1", "weight: 1"], [4, 3, 3]), (10, ["weight: 7", "weight: 3"], [7, 3]),
            (10, ["count: 4", "weight: 2", "weight: 1"], [4, 4, 2]), (3, ["count: 1", "count: 2"], [1, 2]),
            (7, ["weight: 0.5", "weight: 0.25", "weight: 0.25"], [3, 2, 2]),
        ])
    func weights(clients: Int, shares: [String], expected: [Int]) throws {
        let groups = shares.enumerated().map { "  - {name: g\($0), \($1), work: idle}" }.joined(separator: "\n")
        let file = try ScenarioFile("url: ws://h/\nclients: \(clients)\ngroups:\n\(groups)")
        #expect(file.plan.groups.map(\.clientCount) == expected)
    }

    @Test("what is wrong is told with file, line, column, key, value and remedy", arguments: wrongFiles)
    func refuse(file: WrongFile) {
        let error = #expect(throws: ScenarioError.self) { try ScenarioFile(file.text) }
        let text = error?.description ?? ""
        for problem in file.problems { #expect(text.contains(problem), "\(text)") }
        #expect(error?.problems.count == file.problems.count, "\(text)")
    }

    @Test("all problems are told at once, in the file's order")
    func allAtOnce() {
        let text = "url: http://h/\nclients: none\nclint: 1\ngroups:\n  - {name: a, flow: [sent: x, think: soon]}"
        let error = #expect(throws: ScenarioError.self) { try ScenarioFile(text) }
        #expect(error?.problems.map(\.line) == [1, 2, 3, 5, 5], "\(error?.description ?? "")")
        #expect(error?.problems.map(\.column) == [6, 10, 1, 22, 38], "\(error?.description ?? "")")
    }

    @Test("a variable that is set must be in the file")
    func unknownVariable() {
        let error = #expect(throws: ScenarioError.self) {
            try ScenarioFile(
                "variables: {clients: 1}\nurl: ws://h/\nclients: 1\ngroups: [{work: idle}]", [("client", "2")])
        }
        #expect(
            error?.description
                == "test.yaml: --set client: the file's `variables:` have no such name; did you mean clients?")
    }

    @Test("variables do not make a file larger than memory")
    func budget() {
        let uses = String(repeating: "  - \"{{a}}\"\n", count: 17)
        let text = "variables: {a: \(String(repeating: "x", count: 1 << 20))}\nfail-if:\n\(uses)"
        let error = #expect(throws: ScenarioError.self) { try ScenarioFile(text) }
        #expect(
            error?.description
                == "test.yaml:19:5: variables make the file larger than 16 MiB: it is no scenario file")
    }

    @Test("a variable may have those before it in its value; what is set counts there, too")
    func nestedVariables() throws {
        let text = """
            variables: {host: h, base: "ws://{{host}}", url: "{{base}}/{{group}}"}
            groups: [{count: 1, url: "{{base}}/x", flow: [send: "{{url}}"]}]
            """
        for (settings, host) in [([], "h"), ([(name: "host", value: "g")], "g")] {
            let group = try ScenarioFile(text, settings).plan.groups[0]
            #expect(group.target.urls == ["ws://\(host)/x"])
            guard case .script(let script) = group.behaviour, case .send(let send) = script.steps[0] else {
                preconditionFailure("the flow sends")
            }
            #expect(
                send.payload
                    == .template(ScriptTemplate([.literal(Array("ws://\(host)/group 1".utf8))])))
        }
    }

    @Test("variables in variables do not grow without bound")
    func variableBudget() {
        let lines = (1...40).map { "  v\($0): \"{{v\($0 - 1)}}{{v\($0 - 1)}}\"\n" }
        let text = "variables:\n  v0: ten letters\n" + lines.joined()
        let error = #expect(throws: ScenarioError.self) { try ScenarioFile(text) }
        #expect(error?.description.contains("variables make the file larger than 16 MiB") == true)
    }

    @Test("a section is merged into others, whose own keys go before its")
    func merges() throws {
        let file = try ScenarioFile(
            """
            url: ws://h/
            x-secure: &secure {tls: {insecure: true}}
            groups:
              - &first {<<: *secure, name: a, count: 1, url: ws://x/, work: idle}
              - {<<: *first, name: b, count: 2}
              - {<<: [{name: c}, *first]}
            """)
        #expect(file.plan.groups.map(\.name) == ["a", "b", "c"])
        #expect(file.plan.groups.map(\.clientCount) == [1, 2, 1])
        #expect(file.plan.groups.map(\.target.isInsecure) == [true, true, true])
        #expect(file.plan.groups.map(\.target.urls) == [["ws://x/"], ["ws://x/"], ["ws://x/"]])
    }

    @Test("a byte order mark, and lines that end as on Windows, make no difference")
    func lineEnds() throws {
        let text =
            "url: ws://h/\nclients: 5\ngroups:\n  - flow:\n      - send: |\n          a\n          b\n      - close"
        let windows = "\u{FEFF}" + text.split(separator: "\n").joined(separator: "\r\n")
        #expect(try ScenarioFile(windows).plan == ScenarioFile(text).plan)
    }

    @Test("a file that cannot be read is named with the reason")
    func missing() {
        let error = #expect(throws: ScenarioError.self) { try ScenarioFile(path: "/nowhere/x.yaml") }
        #expect(error?.description == "/nowhere/x.yaml: cannot be opened: No such file or directory")
    }

    @Test("control characters of a file do not reach the terminal")
    func printable() {
        let error = #expect(throws: ScenarioError.self) { try ScenarioFile("\"a\\e[31m\": 1") }
        #expect(error?.description.contains("a\\x1b[31m") == true)
        #expect(error?.description.contains("\u{1B}") == false)
    }
}

private let wrongFiles: [WrongFile] = [
    .top("clients: 0", "test.yaml:1:10: clients is '0'; use a whole number in 1...10000000"),
    .top("clients: []", "test.yaml:1:10: clients is a list; use a whole number in 1...10000000"),
    .top("clints: 1", "test.yaml:1:1: 'clints' is no known key here; did you mean clients?"),
    .top("fail_if: x", "'fail_if' is no known key here; did you mean fail-if?"),
    .top("zebra: x", "'zebra' is no known key here; use one of: agents, clients"),
    .top("duration: 0", "duration is '0'; use a time as in 500ms, 30s, 5m or 1h, more than 0, at most 8760 h"),
    .top("warmup: -1s", "warmup is '-1s'; use a time"), .top("interval: 1ms", "interval is '1ms'; use 100ms or more"),
    .top("connecting: many", "connecting is 'many'; use a whole number in 1...1000000"),
    .top("connect-first: maybe", "connect-first is 'maybe'; use true or false"),
    .top("schedulers: 65", "schedulers is '65'; use a whole number in 0...64"),
    .top("workers: 0", "workers is '0'; use a whole number"),
    .top("agents: [host]", "an element of agents is 'host'; use host:port"),
    .top("agents: {a: b}", "agents is a section; use a text or a list of texts"),
    .top("fail-if: [[a]]", "an element of fail-if is a list; use text"),
    .top("variables: x", "variables is 'x'; write a section"),
    .top("variables: {seq: 1}", "variables: 'seq' is taken, or no name"),
    .top("variables: {a: [1]}", "variables: a is a list; use text"),
    .top("subprotocols: [a b]", "subprotocols is 'a b'; use a token (RFC 9110 §5.6.2)"),
    .top("source-addresses: example", "source-addresses is 'example'; use an address of this machine"),
    .top("headers: {A: '{{x}}'}", "headers: A is '{{x}}'; {{x}} is no variable of the file, and other places stand in"),
    .top("headers: {Host: x}", "headers: 'Host' cannot be given; remove it: it comes from the URL"),
    .top(
        "headers: ['sec-websocket-protocol: x']", "'sec-websocket-protocol' cannot be given; name it as a subprotocol"),
    .top("subprotocols: [a, b, a]", "test.yaml:1:22: subprotocols is 'a'; remove it: it is there already"),
    .top("fail-if: [errors > 0, p99 >> 5ms]", "test.yaml:1:23: fail-if is 'p99 >> 5ms'; '>>' is no comparison"),
    .top("fail-if: 'chat: p99 > 5ms'", "fail-if is 'chat: p99 > 5ms'; the run has no group of this name"),
    .top("clients: {{n}}", "write a value that begins with { in quotes, as in \"{{clients}}\""),
    .top("headers: x", "headers is 'x'; write a section of names and values"),
    .top("headers: {\"a b\": c}", "headers: 'a b' cannot be sent"),
    .top("headers: [novalue]", "an element of headers is 'novalue'; use 'Name: value'"),
    .top("tls: true", "tls is 'true'; write a section, as in `tls: {insecure: true}`"),
    .top("tls: {insecure: 2}", "tls: insecure is '2'; use true or false"),
    .top("tls: {cert: x}", "tls: 'cert' is no known key here; use one of: ca, insecure"),
    .group("url: http://h/", "test.yaml:5:10: group 'a': url is 'http://h/'; "),
    .group("url: 'ws://h/{{client}}'", "url is 'ws://h/{{client}}'; {{client}} is no variable of the file"),
    .group("url: 'ws://h/{room}'", "{room} is for groups that publish or subscribe"),
    .group("weight: 0", "group 'a': weight is '0'; use a number above 0, up to 1000000"),
    .group("arrival-rate: x", "group 'a': arrival-rate is 'x'; use a number above 0"),
    .group("reconnect: soon", "reconnect is 'soon'; use never, phoenix, socketio, centrifuge, or a time"),
    .group("lifetime: [1]", "lifetime is a list; write a value, or a distribution as in {uniform: [10, 200]}"),
    .group("replies: 3", "replies is '3'; write a list of 1...32"),
    .group("replies: [{when: {equals: a}}]", "replies: an element needs when and send"),
    .group("replies: [{when: {}, send: a}]", "replies: when has no condition"),
    .group("replies: [{when: {is: echo, equals: a}, send: a}]", "replies: when: 'is' is no known key here"),
    .group("work: idle", "flow and work are given both; remove one"), .group("flows: 1", "did you mean flow?"),
    .group("count: 4", "clients is 3, but the groups' counts are 4 together"),
    WrongFile("clients: 1\ngroups: [{work: idle}]", "test.yaml:2:10: group 1: url is missing"),
    WrongFile("url: ws://h/\nclients: 1", "test.yaml:1:1: groups is missing"),
    WrongFile("url: ws://h/\nclients: 1\ngroups: []", "groups is a list; write a list of 1...100 groups"),
    WrongFile("url: ws://h/\nclients: 1\ngroups: [7]", "group 1 is '7'; write a section"),
    WrongFile("url: ws://h/\nclients: 1\ngroups: [{name: a}]", "group 'a': flow is missing"),
    WrongFile("url: ws://h/\ngroups: [{work: idle}]", "test.yaml:1:1: clients is missing"),
    WrongFile("url: ws://h/\nclients: 1\ngroups: [{work: {ekko: {}}}]", "work is 'ekko'; did you mean echo?"),
    WrongFile("url: ws://h/\nclients: 1\ngroups: [{work: {echo: {in-flight: 0}}}]", "work: echo: in-flight is '0'"),
    WrongFile("url: ws://h/\nclients: 1\ngroups: [{work: idle, lifetime: 1s}]", "lifetime is for groups with a flow"),
    WrongFile(
        "url: ws://h/\nclients: 2\ngroups: [{name: a, work: idle}, {name: a, work: idle}]",
        "group 'a': another group has this name"),
    WrongFile(
        "url: ws://h/\nclients: 1\ngroups: [{name: a, work: idle}, {name: b, work: idle}]",
        "group 'b' has no client left by its weight"),
    WrongFile(
        "url: ws://h/\nclients: 1\ngroups: [{count: 2, work: idle}, {work: idle}]",
        "clients is 1, less than the groups' counts, 2 together"),
    WrongFile("- a", "test.yaml:1:1: the file is no section"), WrongFile("a: [", "is not YAML here"),
    WrongFile("clients: 1\nclients: 2", "clients is given more than once"),
    WrongFile("groups:\n\t- a", "YAML takes no tabs"),
    WrongFile("a: &a 1\nb:\n  <<: *a", "<< is '1'; merge a section"),
    WrongFile("a: {<<: [1]}", "<< is a list; merge a section"),
    WrongFile("? [a]\n: b", "a key is a list or a section"),
    WrongFile(String(repeating: "[", count: 5_000), "test.yaml:1:1001: is nested too deep"),
    WrongFile(String(repeating: "- ", count: 500_000) + "a", "test.yaml:1:1001: is nested too deep"),
    WrongFile("a:\u{85}" + String(repeating: "- ", count: 500_000) + "a", "is nested too deep"),
    WrongFile("a: " + String(repeating: "[", count: 999) + String(repeating: "]", count: 999), "32 levels deep"),
    WrongFile("a:\n " + String(repeating: "- ", count: 499) + "a", "32 levels deep"),
    WrongFile(
        "a: " + String(repeating: "[", count: 60) + String(repeating: "]", count: 60), "more than 32 levels deep"),
    WrongFile(
        "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
            + "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]", "more than 100000 values"),
    .step("sent: x", "test.yaml:6:9: group 'a': 'sent' is no step; did you mean send?"),
    .step("hello", "a step is 'hello'; write one of send, expect"), .step("{send: a, think: 1}", "a step has the keys"),
    .step("send: '{{nobody}}'", "has '{{nobody}}', which is no variable and not captured before"),
    .step("send: '{{clent}}'", "did you mean client?"), .step("send: '{{client'", "has '{{' without '}}'"),
    .step("send: '{{client 2}}'", "client takes nothing more"), .step("send: '{{random 5 1}}'", "the lower first"),
    .step("send: '{{filler -1}}'", "write a number of bytes in 0...1048576"),
    .step("{send: a, expect: echo}", "a step has the keys send, expect; write each as a step of its own"),
    .step("expect: {measure: b}\n  - {name: a/b, work: idle}", "group 'a/b' has the name of a measurement"),
    .step("send: {}", "send needs one of text, binary, hex, base64, size"),
    .step("send: {text: a, hex: 00}", "send needs one of"), .step("send: {hex: 0g}", "is not hexadecimal"),
    .step("send: {base64: A}", "is not base64"), .step("send: {text: [a]}", "text is a list; use text"),
    .step("send: {text: a, kind: text}", "kind is 'text'; leave it away"),
    .step("send: {size: 1, kind: both}", "kind is 'both'; use text or binary"),
    .step("send: {size: 1GiB}", "send: size is '1GiB'"),
    .step("send: {size: {unform: [1, 2]}}", "did you mean uniform?"),
    .step("send: {size: {uniform: [2, 1]}}", "min (2) is above max (1)"),
    .step("send: {size: {uniform: [1]}}", "uniform needs min, max: 2 values, not 1"),
    .step("send: {size: {exponential: {men: 1, max: 2}}}", "exponential has no 'men'; did you mean mean?"),
    .step("send: {size: {lognormal: {median: 0, sigma: 1, max: 2}}}", "median is 0; use more than 0"),
    .step("send: {size: {choice: {64: 0}}}", "the weight of 64 is '0'; use a number above 0"),
    .step("expect: hello", "expect is 'hello'; use echo, any, or a section"),
    .step("expect: {is: equal}", "is is 'equal'; use echo or any"),
    .step("expect: {contians: x}", "did you mean contains?"), .step("expect: {contains: [x]}", "contains is a list"),
    .step("expect: {matches: '('}", "matches is '('; it has a ( without a )"),
    .step("expect: {json: x}", "json is 'x'; write paths and their values"),
    .step("expect: {json: {'a[': x}}", "'a[' is no path"), .step("expect: {json: {a: [1]}}", "json: a is a list"),
    .step("expect: {timeout: 0}", "timeout is '0'; use a time"), .step("expect: {measure: []}", "measure is a list"),
    .step("expect: {capture: {name: a}}", "capture: json is missing"),
    .step("expect: {capture: {name: 'a b', json: .a}}", "name is 'a b'; use letters"),
    .step("expect: {capture: {name: seq, json: .a}}", "which templates have already"),
    .step("expect: {capture: {name: a, json: '['}}", "'[' is no path"), .step("think: soon", "think is 'soon'; "),
    .step("think: {uniform: 1s}", "write its parameters, as in"),
    .step("repeat: 10", "repeat is '10'; write a section"),
    .step("repeat: {count: 3}", "repeat has no flow"),
    .step("repeat: {count: x, flow: [close]}", "count is 'x'; use forever"),
    .step("repeat: {count: forever, flow: [send: x]}", "repeat goes on for ever without a wait"),
    .step("repeat: {count: 10001, flow: [send: x]}", "more than 10000 messages are sent without a wait"),
    .step("repeat: {count: 1, flow: []}", "repeat: flow is a list; write a list of steps"),
    .step("repeat: {count: 2, flow: [wait: begin]}", "wait: begin stands in a repeat"),
    .step("close: 1005", "close is 1005; use a code that may be sent"), .step("close: soon", "close is 'soon'"),
    .step("wait: 1s", "wait is '1s'; use begin"),
    .step("expect-close: 999", "expect-close is '999'; use any, a code that may be sent (1000-1003, "),
    .step("expect-close: 1004", "expect-close is '1004'; use any"),
    .step("expect-close: [1]", "expect-close is a list"),
    .step("expect-close: {code: soon}", "test.yaml:6:30: group 'a': expect-close: code is 'soon'; use any"),
    .step("expect-close: {reson: x}", "'reson' is no known key here; did you mean reason?"),
    .step("expect-close: {reason: '{{x}}'}", "has '{{x}}', which is no variable"),
    .step("expect-close: {timeout: 0}", "timeout is '0'; use a time"),
    .step("exepct-close: 1", "'exepct-close' is no step; did you mean expect-close?"),
    .step("close\n      - send: a", "test.yaml:7:9: group 'a': this step is never done: the flow is over"),
    .step("expect-close: 1000\n      - close", "test.yaml:7:9: group 'a': this step is never done: the flow is over"),
    .step("repeat: {flow: [think: 1]}\n      - send: a", "this step is never done: the repeat before it goes on"),
    .step("expect: {matches: '(a)\\1'}", "matches is '(a)\\1'; it refers back"),
    .step(
        String(repeating: "repeat: {flow: [", count: 9) + "think: 1" + String(repeating: "]}", count: 9),
        "more than 8 deep"),
]
