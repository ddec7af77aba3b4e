// SPDX-License-Identifier: Apache-2.0

import Foundation
import Roost
import Testing

@testable import LoadTesting

extension TrafficTests {
    @Suite struct ScenarioExampleTests {
        static func path(_ name: String) -> String {
            let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            return tests.appendingPathComponent("../../config/\(name)").path
        }

        @Test("the example file runs as it stands against an echo server")
        func example() async throws {
            let server = try await TestServer.start([Route("/echo") { _ in EchoHandler() }])
            let file = try ScenarioFile(
                path: Self.path("loadtest-example.yaml"),
                settings: [("host", "\(server.server.addresses[0])"), ("clients", "20"), ("duration", "300ms")])
            #expect(file.options.workerCount == 1 && file.options.failIf == ["p99 > 500ms", "errors > 0"])
            #expect(file.plan.groups.map(\.name) == ["chatters", "senders", "probe", "watchers", "chatters/hello"])
            #expect(file.plan.groups.map(\.clientCount) == [11, 6, 1, 2, 0])
            let record = try await file.plan.hurried(seconds: 0.3).run()
            await server.stop()
            #expect(record.errors == [])
            let completed = record.whole.map(\.counters.completed)
            #expect(completed[4] == 11)
            #expect(completed[0] > 0 && completed[1] > 0 && completed[2] > 0 && completed[3] == 0, "\(completed)")
            #expect(record.whole.map(\.counters.opened) == [11, 6, 1, 2, 0])
        }

        @Test("the Phoenix file joins, pushes, and keeps its heartbeat with a channel's server")
        func phoenix() async throws {
            let server = try await TestServer.start([Route("/socket/websocket") { _ in PhoenixServer() }])
            let file = try ScenarioFile(
                path: Self.path("loadtest-phoenix.yaml"),
                settings: [
                    ("host", "\(server.server.addresses[0])"), ("clients", "5"), ("pause", "1ms"), ("pushes", "3"),
                ])
            #expect(file.plan.groups.map(\.name) == ["members", "members/join", "members/push", "members/heartbeat"])
            let record = try await file.plan.hurried(seconds: 0.5).run()
            await server.stop()
            #expect(record.errors == [])
            let completed = record.whole.map(\.counters.completed)
            #expect(completed[0] == 0 && completed[1] == 5 && completed[2] >= 15 && completed[3] >= 5, "\(completed)")
        }

        @Test("the rooms' file runs against a server with rooms and an echo")
        func rooms() async throws {
            let rooms = TestRooms()
            let server = try await TestServer.start([
                Route("/broadcast/*") { RoomHandler(rooms, $0) }, Route("/echo") { _ in EchoHandler() },
            ])
            let settings = [
                ("host", "\(server.server.addresses[0])"), ("rooms", "2"), ("speakers", "4"), ("listeners", "6"),
                ("members", "3"), ("visitors", "2"), ("heartbeat", "1ms"),
            ]
            let file = try ScenarioFile(path: Self.path("loadtest-rooms.yaml"), settings: settings)
            #expect(
                file.plan.groups.map(\.name) == ["speakers", "listeners", "members", "visitors", "members/heartbeat"])
            #expect(file.plan.groups.map(\.clientCount) == [4, 6, 3, 2, 0])
            for expression in file.options.failIf { try Threshold(expression).check(file.plan) }
            let record = try await file.plan.hurried(seconds: 0.5).run()
            await server.stop()
            #expect(record.errors == [])
            let counters = record.whole.map(\.counters)
            #expect(rooms.messageCount > 0 && counters[1].completed == 3 * rooms.messageCount && counters[1].lost == 0)
            #expect(counters[3].completed >= 2 && counters[4].completed >= 3, "\(counters)")
        }

        @Test("a Phoenix client that pushes into a room it is not in is told apart")
        func phoenixRefusal() async throws {
            let server = try await TestServer.start([Route("/socket/websocket") { _ in PhoenixServer() }])
            let plan = try ScenarioFile.flow(
                server.url("/socket/websocket"),
                """
                - send: '["9","{{seq}}","room:1","new_msg",{}]'
                - expect: {json: {"[1]": "{{seq}}", "[4].status": ok}}
                """)
            let record = try await plan.run()
            await server.stop()
            let kind = record.errors.first?.kind ?? ""
            #expect(kind.contains("the answer's [4].status is not the expected one"), "\(record.errors)")
            #expect(kind.contains("unmatched topic"), "\(record.errors)")
        }

        @Test("the words of a file name its run, its groups and each of their steps")
        func words() throws {
            let words = try ScenarioFile(path: Self.path("loadtest-example.yaml")).words
            for part in [
                "100 clients in 4 groups", "measured: 10 s, after 1 s of warm-up, once all are connected",
                "fails if p99 > 500ms",
                "group chatters: 65 clients to ws://127.0.0.1:9001/echo; 1 headers; 1000 arrive each second; ",
                "they come back (as Phoenix's clients do)", "  live for 300 s to 600 s",
                "keep .token as token; measured as hello",
                "  wait until the work begins for all", "  repeat until the end:",
                "    think 20 ms on average (exponential), at most 1 s",
                "    send binary, 120 bytes in the median (lognormal, sigma 1), at most 16384",
                "  echo: 64 bytes, 1 in flight, binary", "  hold their connections",
            ] { #expect(words.contains(part), "\(part) is not in\n\(words)") }
            #expect(words.split(separator: "\n").count { $0.hasPrefix("group ") } == 4)
        }

        @Test("a file that is changed at random is read or refused, and never ends the program", arguments: 0..<40)
        func mutations(batch: Int) throws {
            let files = try ["loadtest-example.yaml", "loadtest-phoenix.yaml"].map { name in
                Array(try Data(contentsOf: URL(fileURLWithPath: Self.path(name))))
            }
            for seed in 50 * batch..<50 * (batch + 1) {
                var random = SplitMix(state: UInt64(seed))
                var bytes = files[seed % 2]
                for _ in 0..<Int.random(in: 1...12, using: &random) { Self.mutate(&bytes, &random) }
                do throws(ScenarioError) {
                    let file = try ScenarioFile(String(decoding: bytes, as: UTF8.self))
                    #expect(!file.words.isEmpty && file.plan.clientCount > 0, "seed \(seed)")
                } catch {
                    #expect(!error.problems.isEmpty, "seed \(seed)")
                    #expect(error.problems.allSatisfy { !$0.description.contains("\n") }, "seed \(seed)")
                }
            }
        }

        private static let parts = [
            "{{", "}}", "[", "{", ": ", "\n- ", "forever", "-1", "1e300", "\"", "&a ", "*a", "\u{0}", "{{random 1 2}}",
            "\n",
            "99999999999999999999", "<<: ", "? ", "!!binary ", "|\n",
        ]

        private static func mutate(_ bytes: inout [UInt8], _ random: inout SplitMix) {
            let at = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<4, using: &random) {
            case 0: bytes[at] = UInt8.random(in: 9...126, using: &random)
            case 1: bytes.insert(contentsOf: (parts.randomElement(using: &random) ?? "").utf8, at: at)
            case 2: bytes.removeSubrange(at..<min(at + Int.random(in: 1...40, using: &random), bytes.count))
            default:
                let end = min(at + Int.random(in: 1...80, using: &random), bytes.count)
                bytes.insert(contentsOf: Array(bytes[at..<end]), at: Int.random(in: 0...bytes.count, using: &random))
            }
            if bytes.isEmpty { bytes = [10] }
        }
    }
}
