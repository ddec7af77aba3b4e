// SPDX-License-Identifier: Apache-2.0

import Glibc
import Roost
import Testing

@testable import RoostAdmin

/// The text exposition format, version 0.0.4.
@Suite struct PrometheusTextTests {
    static var statistics: ServerStatistics {
        var first = ListenerStatistics(address: "127.0.0.1:9001")
        first.accepted = 10
        first.opened = 9
        first.current = 8
        first.ended = [.clientClosed: 7, .slowConsumer: 1]
        first.handlerCrashes = 6
        first.acceptFailures = 5
        first.surplusRefused = 4
        first.droppedMessages = 3
        first.slowConsumerEpisodes = 2
        first.tlsHandshakes = 21
        first.tlsResumptions = 22
        first.requests = 23
        first.messagesCompressed = 24
        first.messagesInflated = 25
        first.throttled = 26
        var second = ListenerStatistics(address: "unix:/run/\"a\\b\nc\".sock")
        second.accepted = 1
        second.ended = [.clientClosed: 1]
        var statistics = ServerStatistics(listeners: [first, second])
        statistics.trapsContained = 11
        statistics.processesAbandoned = 12
        statistics.leakedByteCount = 13
        statistics.processes = 14
        statistics.rooms.rooms = 31
        statistics.rooms.members = 32
        statistics.rooms.published = 33
        statistics.rooms.delivered = 34
        statistics.rooms.dropped = 35
        statistics.rooms.publishersHeld = 36
        var scheduler = SchedulerStatistics.zero
        scheduler.turns = 15
        scheduler.runningNanoseconds = 1_500_000_000
        scheduler.idleNanoseconds = 2_000_000_000
        statistics.schedulers = [scheduler, .zero]
        return statistics
    }

    static var process: ProcessFigures {
        var process = ProcessFigures()
        process.residentByteCount = 4_096
        process.startSeconds = 1_700_000_000.25
        return process
    }

    static func lines(version: String = "1.2.3") -> [String] {
        PrometheusText.render(statistics, process, version: version).split(
            separator: "\n", omittingEmptySubsequences: false
        ).map(String.init)
    }

    @Test(
        "figures have their names, labels and values",
        arguments: [
            "roost_build_info{version=\"1.2.3\"} 1",
            "roost_connections_accepted_total{listener=\"127.0.0.1:9001\"} 10",
            "roost_connections_opened_total{listener=\"127.0.0.1:9001\"} 9",
            "roost_connections{listener=\"127.0.0.1:9001\"} 8",
            "roost_connections_ended_total{listener=\"127.0.0.1:9001\",cause=\"client_closed\"} 7",
            "roost_connections_ended_total{listener=\"127.0.0.1:9001\",cause=\"slow_consumer\"} 1",
            "roost_connections_ended_total{listener=\"127.0.0.1:9001\",cause=\"draining\"} 0",
            "roost_handler_crashes_total{listener=\"127.0.0.1:9001\"} 6",
            "roost_accept_failures_total{listener=\"127.0.0.1:9001\"} 5",
            "roost_connections_surplus_total{listener=\"127.0.0.1:9001\"} 4",
            "roost_tls_handshakes_total{listener=\"127.0.0.1:9001\"} 21",
            "roost_tls_resumptions_total{listener=\"127.0.0.1:9001\"} 22",
            "roost_http_requests_total{listener=\"127.0.0.1:9001\"} 23",
            "roost_messages_compressed_total{listener=\"127.0.0.1:9001\"} 24",
            "roost_messages_inflated_total{listener=\"127.0.0.1:9001\"} 25",
            "roost_throttled_total{listener=\"127.0.0.1:9001\"} 26",
            "roost_messages_dropped_total{listener=\"127.0.0.1:9001\"} 3",
            "roost_slow_consumer_episodes_total{listener=\"127.0.0.1:9001\"} 2",
            "roost_rooms 31",
            "roost_room_members 32",
            "roost_room_messages_published_total 33",
            "roost_room_messages_delivered_total 34",
            "roost_room_messages_dropped_total 35",
            "roost_room_publishers_held_total 36",
            #"roost_connections_accepted_total{listener="unix:/run/\"a\\b\nc\".sock"} 1"#,
            "roost_traps_contained_total 11", "roost_processes_abandoned_total 12", "roost_leaked_bytes 13",
            "roost_processes 14", "roost_scheduler_turns_total{scheduler=\"0\"} 15",
            "roost_scheduler_turns_total{scheduler=\"1\"} 0",
            "roost_scheduler_seconds_total{scheduler=\"0\",state=\"running\"} 1.5",
            "roost_scheduler_seconds_total{scheduler=\"0\",state=\"polling\"} 0",
            "roost_scheduler_seconds_total{scheduler=\"0\",state=\"idle\"} 2",
            "process_resident_memory_bytes 4096", "process_start_time_seconds 1700000000.25",
        ])
    func rendersFigures(line: String) { #expect(Self.lines().filter { $0 == line }.count == 1) }

    @Test("every cause of every listener is there, 0 included") func hasEveryCause() {
        let lines = Self.lines().filter { $0.hasPrefix("roost_connections_ended_total{") }
        #expect(lines.count == 2 * CloseReason.Cause.allCases.count)
        for cause in CloseReason.Cause.allCases {
            #expect(lines.filter { $0.contains("cause=\"\(cause.rawValue)\"}") }.count == 2)
        }
    }

    @Test("what the kernel does not tell is left out") func leavesOut() {
        #expect(!Self.lines().contains { $0.contains("process_open_fds") })
    }

    @Test("version 0.0.4: HELP, TYPE, then all samples of that name, once; no line is doubled; it ends in a newline")
    func isWellFormed() throws {
        let lines = Self.lines()
        #expect(lines.last == "")
        var families: Set<String> = []
        var family = ""
        var samples: Set<String> = []
        for (index, line) in lines.dropLast().enumerated() {
            if line.hasPrefix("# HELP ") {
                family = String(line.split(separator: " ")[2])
                #expect(families.insert(family).inserted, "\(family) comes twice")
                let type = lines[index + 1].split(separator: " ")
                #expect(type.count == 4 && type[..<2] == ["#", "TYPE"] && type[2] == family)
                #expect(type[3] == (family.hasSuffix("_total") ? "counter" : "gauge"))
            } else if !line.hasPrefix("# TYPE ") {
                let name = line.prefix { $0 != "{" && $0 != " " }
                #expect(name == family)
                #expect(name.utf8.allSatisfy { $0 == UInt8(ascii: "_") || (0x61...0x7A).contains($0) })
                let sample = line[..<(try #require(line.lastIndex(of: " ")))]
                #expect(samples.insert(String(sample)).inserted, "\(sample) comes twice")
                #expect(Double(line[sample.endIndex...].dropFirst()) != nil)
            }
        }
        #expect(families.count > 25)
    }

    @Test(
        "backslash, quote and line feed are escaped in labels",
        arguments: [
            ("plain", "plain"), ("\\", "\\\\"), ("\"", "\\\""), ("a\nb", "a\\nb"), ("\\n", "\\\\n"), ("é{}=,", "é{}=,"),
        ])
    func escapes(value: String, escaped: String) { #expect(PrometheusText.escaped(value) == escaped) }
}

@Suite struct ProcessFiguresTests {
    @Test("proc(5): fields are found behind a name with blanks and parentheses") func readsStat() {
        let fields = (3...52).map { "\($0)" }.joined(separator: " ")
        var figures = ProcessFigures()
        figures.read(stat: "1 (a) (b) 9) \(fields)\n", bootSeconds: 1_000)
        #expect(figures.virtualByteCount == 23)
        #expect(figures.residentByteCount == 24 * sysconf(CInt(_SC_PAGESIZE)))
        let ticks = Double(sysconf(CInt(_SC_CLK_TCK)))
        #expect(figures.cpuSeconds == 29 / ticks && figures.startSeconds == 1_000 + 22 / ticks)
    }

    @Test("a line that is cut short, or none at all, tells nothing", arguments: ["", "1 (x", "1 (x)", "1 (x) S 1 2"])
    func survivesShortLines(line: String) {
        var figures = ProcessFigures()
        figures.read(stat: line, bootSeconds: 0)
        #expect(figures == ProcessFigures())
    }

    @Test("this process has memory, a start and a limit of descriptors") func readsItself() throws {
        let figures = ProcessFigures.current()
        #expect(try #require(figures.residentByteCount) > 1 << 20)
        #expect(try #require(figures.virtualByteCount) >= figures.residentByteCount!)
        #expect(try #require(figures.descriptorCountMax) > 3)
        #expect(try #require(figures.startSeconds) > 1_000_000_000)
        #expect(figures.startSeconds == ProcessFigures.current().startSeconds)
        if let count = figures.openDescriptorCount { #expect(count >= 3) }
    }
}
