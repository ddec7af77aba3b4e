// SPDX-License-Identifier: Apache-2.0

import Roost
import Testing

@testable import LoadTesting

extension TrafficTests {
    @Suite struct ScenarioFlowTests {
        private func run(
            _ path: String, clients: Int = 2, options: String = "", seconds: Double = 30, _ flow: String
        ) async throws -> RunRecord {
            let server = try await TestServer.start(ScriptedServer.routes)
            let plan = try ScenarioFile.flow(server.url(path), clients: clients, options: options, flow).hurried(
                seconds: seconds)
            let record = try await plan.run()
            await server.stop()
            return record
        }

        @Test("a flow is done step by step and ends with a close; every answer is measured")
        func echo() async throws {
            let record = try await run(
                "/echo",
                """
                - send: hello
                - expect: echo
                - send: '{{client}} {{group}} {{attempt}} {{seq}} {{time_ms}} {{random 5 5}} {{uuid}} {{filler 30}}'
                - expect:
                    is: echo
                    matches: >-
                      ^\\d g 0 2 \\d{13} 5 [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12} abc
                - think: 1ms
                - send: {hex: "00 ff {{seq}}"}
                - expect: echo
                - send: {base64: "AAEC/w=="}
                - expect: echo
                - send: {binary: "{{client}}"}
                - expect: {is: echo, measure: false}
                - repeat:
                    count: 5
                    flow:
                      - send: {size: {uniform: [0, 300]}, kind: binary}
                      - expect: echo
                - repeat:
                    count: 0
                    flow: [send: never]
                - close: {code: 3001, reason: done}
                """)
            #expect(record.errors == [])
            #expect(record.counters.sent == 20 && record.counters.received == 20)
            #expect(record.counters.opened == 2 && record.counters.ended == 2)
            #expect(record.whole[0].counters.completed == 18)
            #expect(Latency(record.latency).count == 18)
        }

        @Test("values of answers are captured, compared and sent again")
        func json() async throws {
            let record = try await run(
                "/json",
                """
                - send: first
                - expect:
                    contains: first
                    matches: '"count": \\d'
                    json:
                      .status: ok
                      count: 12
                      .payload.items[2]['a,b']: true
                      .payload.items[1][0]: 2
                      .echo: "{{random 1 1}}"
                """)
            // The echo is no 1: all other conditions held, or they would have been named.
            let errors = record.errors.map(\.kind)
            #expect(errors.count == 1 && record.errors[0].count == 2, "\(errors)")
            let expected = "g, line 8: the answer's .echo is not the expected one; the first was '{ \"status\" : \"ok\""
            #expect(errors.first?.hasPrefix(expected) == true, "\(errors)")
        }

        @Test("a captured string has its escapes resolved")
        func capture() async throws {
            let record = try await run(
                "/json",
                """
                - send: first
                - expect: {capture: [{name: token, json: .payload.token}, {name: items, json: .payload.items}]}
                - send: 'x{{token}}'
                - expect: {contains: "xt-7\\n"}
                - send: 'y{{items}}'
                - expect: {contains: 'y[1, [2], {"a,b": true}]"}'}
                """)
            #expect(record.errors == [])
            #expect(record.whole[0].counters.completed == 6)
        }

        @Test(
            "what goes wrong is counted by kind, with its line and the first sample",
            arguments: [
                (
                    "/wrong", "- send: a\n- expect: echo",
                    "line 8: the answer is not what was sent; the first was 'quite\\x07 another'"
                ),
                (
                    "/wrong", "- send: a\n- expect: {equals: a}",
                    "line 8: the answer is not the expected one; the first was"
                ),
                (
                    "/wrong", "- send: a\n- expect: {contains: anotherone}",
                    "line 8: the answer does not contain what was expected"
                ),
                (
                    "/wrong", "- send: a\n- expect: {matches: '^another'}",
                    "line 8: the answer does not match ^another; the first"
                ),
                ("/wrong", "- send: a\n- expect: {json: {.a: b}}", "line 8: the answer's .a is not the expected one"),
                (
                    "/wrong", "- send: a\n- expect: {capture: {name: t, json: .t}}",
                    "line 8: nothing to capture at .t; the first"
                ),
                ("/silent", "- send: a\n- expect: {is: any, timeout: 20ms}", "g, line 8: no answer within 20 ms"),
                ("/twice", "- send: a\n- expect: echo\n- think: 10s", ""),
                (
                    "/echo", "- send: {binary: a}\n- expect: {equals: b}",
                    "line 8: the answer is not the expected one; the first was 'a'"
                ),
            ])
        func failures(path: String, flow: String, problem: String) async throws {
            let record = try await run(path, seconds: 0.2, flow)
            if problem.isEmpty {
                #expect(record.errors == [])
            } else {
                #expect(record.errors.map(\.count) == [2])
                #expect(record.errors.first?.kind.contains(problem) == true, "\(record.errors)")
            }
        }

        @Test("a message that no step expects is a failure, or passed over where the group says so")
        func unexpected() async throws {
            let flow = "- send: a\n- expect: echo\n- think: 20ms\n- send: b\n- expect: {equals: b}"
            let strict = try await run("/twice", flow)
            let kind = "g, line 11: the answer is not the expected one; the first was 'a'"
            #expect(strict.errors.map(\.kind) == [kind])
            let patient = try await run("/twice", options: "ignore-unexpected: true", flow)
            #expect(patient.errors == [])
            #expect(patient.whole[0].counters.completed == 4)
            let withoutExpectations = try await run("/twice", "- send: a\n- think: 20ms\n- send: b\n- think: 20ms")
            #expect(withoutExpectations.errors == [])
            let left = try await run("/twice", "- send: a\n- expect: echo\n- think: 50ms")
            #expect(left.errors.map(\.kind) == ["g: a message came that no step expected; the first was 'a'"])
        }

        @Test("an answer that comes while the client thinks is there for the next expectation")
        func held() async throws {
            let record = try await run(
                "/echo", "- send: a\n- think: 30ms\n- expect: echo\n- expect: {is: any, timeout: 20ms}")
            #expect(record.errors.map(\.kind) == ["g, line 10: no answer within 20 ms"])
            #expect(record.whole[0].counters.completed == 2)
        }

        @Test("what is answered at any time is, beside the flow, which does not notice")
        func replies() async throws {
            let record = try await run(
                "/pinging", options: "replies: [{when: {equals: 2ping}, send: '3{{client}}-{{seq}}'}]",
                """
                - send: 'a{{seq}}'
                - expect: {equals: 'a13{{client}}-1'}
                - think: 5ms
                - send: 'a{{seq}}'
                - think: 20ms
                - expect: {equals: 'a23{{client}}-2'}
                """)
            #expect(record.errors == [])
            #expect(record.counters.sent == 8 && record.counters.received == 8)
            #expect(record.whole[0].counters.completed == 4)
        }

        @Test("what a server says first can be expected")
        func greeting() async throws {
            let record = try await run("/greeting", "- expect: {equals: welcome}")
            #expect(record.errors == [] && record.whole[0].counters.completed == 2)
        }

        @Test("a server that ends a flow in its middle is an error")
        func closing() async throws {
            let record = try await run("/closing", "- send: a\n- expect: any")
            #expect(record.errors.map(\.kind) == ["g, line 8: connection ended: server_closed (1001): enough"])
        }

        @Test("of the messages that are passed over, the one that was nearly the answer is told")
        func nearMiss() async throws {
            let record = try await run(
                "/json", options: "ignore-unexpected: true",
                "- send: a\n- expect: {json: {.status: ok, .count: 12, .echo: b}, timeout: 20ms}")
            let kind = record.errors.first?.kind ?? ""
            #expect(
                kind.hasPrefix(
                    "g, line 8: no answer within 20 ms, but one near it: the answer's .echo is not the expected one; "
                        + "the first was '{ \"status\" : \"ok\""), "\(kind)")
            let other = try await run(
                "/wrong", options: "ignore-unexpected: true",
                "- send: a\n- expect: {json: {.status: ok, .count: 12}, timeout: 20ms}")
            #expect(other.errors.map(\.kind) == ["g, line 8: no answer within 20 ms"])
        }

        @Test(
            "a server's close is expected by code and reason, also where it comes during a think",
            arguments: [
                "- expect-close", "- expect-close: any", "- expect-close: 4001",
                "- expect-close: {code: 4001, reason: 'bye {{client}}'}",
                "- think: 1h\n- think: 1h\n- expect-close: 4001",
                "- expect-close: {measure: true}", "- expect-close: {measure: kick}",
            ])
        func expectedClose(step: String) async throws {
            let record = try await run("/obeying", "- send: '4001 bye {{client}}'\n\(step)")
            #expect(record.errors == [])
            #expect(record.counters.opened == 2 && record.counters.ended == 2)
            let isMeasured = step.contains("measure")
            #expect(record.whole.reduce(0) { $0 + $1.counters.completed } == (isMeasured ? 2 : 0))
            #expect(record.plan.groups.count == (step.contains("kick") ? 2 : 1))
        }

        @Test(
            "a close that is not the expected one, or does not come, is a failure of its line",
            arguments: [
                (
                    "- send: 1001 away\n- expect-close: 4001",
                    "line 8: the server closed with another code; the first was '1001 away'"
                ),
                (
                    "- send: 4001 no\n- expect-close: {code: 4001, reason: 'yes'}",
                    "line 8: the server closed with another reason; the first was 'no'"
                ),
                (
                    "- send: drop\n- expect-close: any",
                    "line 8: the connection ended without a close; the first was '1006"
                ),
                ("- send: nothing\n- expect-close: {timeout: 20ms}", "line 8: the server did not close within 20 ms"),
                (
                    "- send: say 4001\n- expect-close: 4001\n",
                    "line 8: a message came where the server was to close; the first was 'say'"
                ),
                (
                    "- send: say 4001\n- think: 1h\n- expect-close: 4001",
                    "line 9: a message came where the server was to close; the first was 'say'"
                ),
                ("- send: 4001\n- think: 1h\n- expect: any", "g: connection ended: server_closed (4001)"),
            ])
        func unexpectedClose(flow: String, problem: String) async throws {
            let record = try await run("/obeying", options: "ignore-unexpected: false", flow)
            #expect(record.errors.map(\.count) == [2])
            #expect(record.errors.first?.kind.contains(problem) == true, "\(record.errors)")
        }

        @Test(
            "an end without a close can be expected; messages before a close are passed over where nothing expects one")
        func otherCloses() async throws {
            #expect(try await run("/obeying", "- send: drop\n- expect-close: 1006").errors == [])
            #expect(try await run("/obeying", "- send: say 4001\n- expect-close: 4001").errors == [])
        }

        @Test("clients that the server closes come back, and are closed again")
        func closedAgain() async throws {
            let record = try await run(
                "/obeying", options: "reconnect: 0", seconds: 0.3, "- send: '4{{random 100 199}}'\n- expect-close")
            #expect(record.errors == [])
            #expect(record.counters.opened > 4 && record.counters.sent > 4)
        }

        @Test("a loop for ever goes on until the end of the run, and what is awaited then still comes")
        func forever() async throws {
            let flow = "- repeat:\n    count: forever\n    flow:\n      - send: a\n      - expect: echo"
            let record = try await run("/echo", seconds: 0.1, flow)
            #expect(record.errors == [])
            #expect(record.counters.sent == record.counters.received && record.counters.sent > 2)
            #expect(record.counters.ended == 2)
        }

        @Test("what stands before `wait: begin` is done before the work begins; named answers have their own line")
        func preparation() async throws {
            let record = try await run(
                "/echo",
                """
                - send: join
                - expect: {is: echo, measure: join}
                - wait: begin
                - send: work
                - expect: {is: echo, measure: work}
                - send: more
                - expect: echo
                """)
            #expect(record.errors == [])
            #expect(record.plan.groups.map(\.name) == ["g", "g/join", "g/work"])
            #expect(record.plan.groups.map(\.clientCount) == [2, 0, 0])
            #expect(record.whole.map(\.counters.completed) == [2, 2, 2])
            #expect(record.whole.map { Latency($0.distributions.latency).count } == [2, 2, 2])
        }

        @Test("clients that come back begin their flow again; a lifetime ends one that does not end by itself")
        func lifetime() async throws {
            let record = try await run(
                "/echo", options: "reconnect: 1ms\n    lifetime: 10ms", seconds: 0.5,
                "- send: '{{attempt}}'\n- expect: echo\n- think: 1h")
            #expect(record.errors == [])
            #expect(record.counters.opened > 4)
            #expect(RunFigures(record).connectedCount == 2)
            // The client ended its connections itself: it has lost none.
            #expect(record.counters.reconnected == 0)
            #expect(record.counters.sent > 4)
        }

        @Test("a plan that came with an index out of range is refused", arguments: 0..<8)
        func inconsistent(number: Int) throws {
            var plan = try ScenarioFile.flow(
                "ws://h/",
                """
                - send: a
                - expect: {matches: a, capture: {name: a, json: .}, measure: m}
                - send: '{{a}}'
                - repeat: {count: 2, flow: [think: 1]}
                - expect-close: {reason: '{{a}}'}
                """)
            try plan.validate()
            guard case .script(var script) = plan.groups[0].behaviour else { preconditionFailure("a flow is a script") }
            switch number {
            case 0: script.patterns = []
            case 1: script.captureNames = []
            case 2: script.measureNames = []
            case 3: script.measureGroups = [2]
            case 4: script.loopDepth = 0
            case 5: script.steps[3] = .loop(0, count: -1, end: 5)
            case 6: script.steps[3] = .loop(0, count: 1, end: 99)
            default: script.steps[4] = .think(.constant(-1))
            }
            plan.groups[0].behaviour = .script(script)
            let error = #expect(throws: LoadTestError.self) { try plan.validate() }
            #expect(error?.description.contains("refers to what it does not have") == true)
        }

        @Test("a plan with a script goes to a worker process and back without loss")
        func codable() throws {
            let plan = try ScenarioFile(path: ScenarioExampleTests.path("loadtest-phoenix.yaml")).plan
            #expect(try WireCodec.decode(WireCodec.encode(plan)) == plan)
        }
    }
}
