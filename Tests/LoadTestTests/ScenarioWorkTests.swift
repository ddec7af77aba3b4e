// SPDX-License-Identifier: Apache-2.0

import Roost
import Testing

@testable import LoadTesting

@Suite struct ScenarioWorkTests {
    private static let rooms = """
        url: ws://h/{room}
        groups:
        """

    private func plan(_ groups: String...) throws -> LoadPlan {
        let lines = groups.map { "\n  - {\($0)}" }.joined()
        return try ScenarioFile(Self.rooms + lines).plan
    }

    @Test("a group that publishes, and those that subscribe to it, share a plan; each has its rooms' URLs")
    func rooms() throws {
        let plan = try plan(
            "name: speakers, count: 4, work: {publish: {rooms: 2, per-second: 50, size: 1KiB, text: true, settle: 1s, "
                + "await: 9s, subscribe-message: 'join {room}', publish-template: '[{payload}]'}}",
            "name: fans, count: 6, work: {subscribe: {to: speakers}}",
            "name: slow, count: 2, work: {subscribe: {to: speakers, read-rate: 1KiB}}",
            "name: others, count: 1, work: publish", "name: their own, count: 1, work: {subscribe: {to: others}}")
        var fanOut = FanOutPlan(publisherCount: 4, pace: .rate(50))
        fanOut.name = "speakers"
        fanOut.roomCount = 2
        fanOut.byteCount = 1_024
        fanOut.isText = true
        fanOut.settleSeconds = 1
        fanOut.awaitSeconds = 9
        fanOut.subscribeMessage = "join {room}"
        fanOut.publishTemplate = "[{payload}]"
        var slow = fanOut
        slow.readByteRate = 1_024
        var others = FanOutPlan(publisherCount: 1, pace: .inFlight(1))
        others.name = "others"
        #expect(
            plan.groups.map(\.behaviour) == [
                .publish(fanOut), .subscribe(fanOut), .subscribe(slow), .publish(others), .subscribe(others),
            ])
        #expect(plan.groups.map(\.target.urls.count) == [2, 2, 2, 1, 1])
        #expect(plan.groups[1].target.urls == ["ws://h/0", "ws://h/1"] && plan.groups[4].target.urls == ["ws://h/0"])
        #expect(plan.groups.map(\.expectsLosses) == [false, false, true, false, false])
        // The last deliveries are waited for.
        #expect(plan.endTimeoutSeconds == 10)
        try plan.validate()
    }

    @Test("the only group that publishes need not be named; URLs with and without rooms are taken in turn")
    func names() throws {
        let plan = try plan(
            "name: a, count: 3, urls: ['ws://x/{room}', 'ws://y/{room}'], work: {publish: {rooms: 3, in-flight: 4}}",
            "name: b, count: 3, work: subscribe")
        let urls = (0..<6).map { "ws://\($0 % 2 == 0 ? "x" : "y")/\($0 % 3)" }
        #expect(plan.groups[0].target.urls == urls)
        guard case .subscribe(let fanOut) = plan.groups[1].behaviour else { preconditionFailure("it subscribes") }
        #expect(fanOut.pace == .inFlight(4) && fanOut.publisherCount == 3)
    }

    @Test("clients that churn come back after their pause")
    func churn() throws {
        let file = try ScenarioFile(
            """
            url: ws://h/
            groups:
              - {name: a, count: 1, work: churn}
              - {name: b, count: 1, work: {churn: {messages: 0, size: 9, text: true, pause: 2s, ending: reset}}}
            """)
        let quick = ChurnPlan(messageCount: 1, size: .fixed(64))
        let long = ChurnPlan(messageCount: 0, size: .fixed(9), isText: true, ending: .reset)
        #expect(file.plan.groups.map(\.behaviour) == [.churn(quick), .churn(long)])
        #expect(file.plan.groups.map(\.backoff) == [.pause(0), .pause(2)])
        for words in ["connect, exchange 1 messages", "group b: 1 clients"] { #expect(file.words.contains(words)) }
    }

    @Test(
        "wrong work is told with its group, value and remedy",
        arguments: [
            (["work: publish"], "nobody subscribes to it; add a group with `work: {subscribe: {to: a}}`"),
            (["work: subscribe"], "subscribe: no group publishes; add one"),
            (["work: {publish: {rooms: 3}}", "count: 3, work: subscribe"], "rooms is 3, but the group has 2 clients"),
            (["count: 3, work: {publish: {rooms: 3}}", "work: subscribe"], "no group that subscribes has more than 2"),
            (["work: publish", "work: {subscribe: {to: c}}"], "to is 'c', which is no group that publishes"),
            (["work: publish", "work: publish", "work: subscribe"], "to is missing; name one of the groups"),
            (["work: {publish: {size: 47}}", "work: subscribe"], "size is '47'; use bytes in 48...268435456"),
            (["work: {publish: {size: {uniform: [50, 60]}}}", "work: subscribe"], "size is a section; use bytes"),
            (["work: {publish: {rooms: 0}}", "work: subscribe"], "rooms is '0'; use a whole number in 1...1000000"),
            (["work: {publish: {per-second: 0}}", "work: subscribe"], "per-second is '0'; use a number above 0"),
            (
                ["work: {publish: {in-flight: 0}}", "work: subscribe"],
                "in-flight is '0'; use a whole number in 1...1024"
            ),
            (["work: {publish: {in-flight: 1, per-second: 1}}", "work: subscribe"], "remove it or in-flight"),
            (["work: {publish: {publish-template: x}}", "work: subscribe"], "write {payload} into it, once"),
            (["work: {publish: {await: 0}}", "work: subscribe"], "await is '0'; use a time"),
            (["work: {publish: {raet: 1}}", "work: subscribe"], "'raet' is no known key here"),
            (["work: publish", "work: {subscribe: {read-rate: fast}}"], "read-rate is 'fast'; use bytes in 0"),
            (["url: ws://h/, work: {publish: {rooms: 2}}", "work: subscribe"], "nothing says which one is meant"),
            (
                ["work: publish", "url: ws://h/, work: {subscribe: {}}", "work: idle"],
                "{room} is for groups that publish"
            ),
            (["url: ws://h/, work: rate"], "rate: per-second is missing; write {rate: {per-second: 100}}"),
            (["url: ws://h/, work: {idle: {size: 1}}"], "idle is a section; write `work: idle`"),
            (["url: ws://h/, work: churn, reconnect: 1s"], "reconnect is '1s'; remove it: clients that churn"),
            (["url: ws://h/, work: {churn: {ending: rst}}"], "ending is 'rst'; use one of handshake, reset"),
            (["url: ws://h/, work: {churn: {messages: -1}}"], "messages is '-1'; use a whole number in 0"),
            (["url: ws://h/, work: publsh"], "work is 'publsh'; did you mean publish?"),
        ] as [([String], String)])
    func wrong(groups: [String], problem: String) {
        let lines = groups.enumerated().map { index, group in
            "\n  - {name: \(["a", "b", "c"][index]), \(group.hasPrefix("count") ? "" : "count: 2, ")\(group)}"
        }
        let error = #expect(throws: ScenarioError.self) { try ScenarioFile(Self.rooms + lines.joined()) }
        #expect(error?.problems.count == 1, "\(error?.description ?? "")")
        #expect(error?.description.contains("group '") == true, "\(error?.description ?? "")")
        #expect(error?.description.contains(problem) == true, "\(error?.description ?? "")")
    }

    @Test("rooms need their subscribers there first, and a closed loop each room in one worker")
    func wrongRun() {
        for (line, problem) in [
            ("connect-first: false", "test.yaml:1:16: connect-first is 'false', but subscribers must be there before"),
            ("workers: 2", "publish: rooms is 1 with 2 workers"),
        ] {
            let error = #expect(throws: ScenarioError.self) {
                try ScenarioFile(
                    "\(line)\n\(Self.rooms)\n  - {name: a, count: 2, work: publish}"
                        + "\n  - {name: b, count: 2, work: subscribe}")
            }
            #expect(error?.problems.count == 1 && error?.description.contains(problem) == true)
        }
    }
}

extension TrafficTests {
    @Suite struct ScenarioWorkRunTests {
        @Test("rooms, churn, a flow and idle clients run together, and each group has its own figures")
        func mixed() async throws {
            let rooms = TestRooms()
            let server = try await TestServer.start([
                Route("/rooms/*") { RoomHandler(rooms, $0) }, Route("/echo") { _ in EchoHandler() },
            ])
            let plan = try ScenarioFile(
                """
                url: \(server.url("/echo"))
                groups:
                  - name: speakers
                    count: 4
                    url: \(server.url("/rooms/{room}"))
                    work: {publish: {rooms: 2, per-second: 400, settle: 20ms, await: 30s}}
                  - {name: fans, count: 6, url: "\(server.url("/rooms/{room}"))", work: {subscribe: {to: speakers}}}
                  - {name: visitors, count: 2, work: {churn: {messages: 2, pause: 1ms}}}
                  - {name: watchers, count: 3, work: idle}
                  - name: chatters
                    count: 2
                    flow: [repeat: {flow: [send: "{{seq}}", expect: echo, think: 1ms]}]
                """
            ).plan.hurried(seconds: 0.5)
            let record = try await plan.run()
            await server.stop()
            #expect(record.errors == [])
            let counters = record.whole.map(\.counters)
            #expect(rooms.messageCount > 0 && counters[0].sent == rooms.messageCount)
            #expect(counters[1].completed == 3 * rooms.messageCount && counters[1].lost == 0)
            #expect(counters[2].opened > 2 && counters[2].completed == counters[2].sent)
            #expect(counters[3].opened == 3 && counters[3].completed == 0)
            #expect(counters[4].completed == counters[4].sent && counters[4].sent > 2)
            let text = RunText.text(RunFigures(record))
            for row in ["round trips", "published", "deliveries", "lost", "ended"] { #expect(text.contains(row)) }
        }

        @Test("a delivery that does not come is lost, to the group that was to get it")
        func lossy() async throws {
            let rooms = TestRooms(.lostForOne(number: 10))
            let server = try await TestServer.start([Route("/rooms/*") { RoomHandler(rooms, $0) }])
            let plan = try ScenarioFile(
                """
                url: \(server.url("/rooms/a"))
                groups:
                  - {name: speaker, count: 1, work: {publish: {per-second: 500, settle: 20ms, await: 1s}}}
                  - {name: fans, count: 4, work: subscribe}
                """
            ).plan.hurried(seconds: 0.3)
            let record = try await plan.run()
            await server.stop()
            #expect(record.whole.map(\.counters.lost) == [0, 1])
        }
    }
}
