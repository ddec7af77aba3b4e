// SPDX-License-Identifier: Apache-2.0

package import Roost

/// A server's figures in Prometheus's text format, version 0.0.4.
///
/// Names and labels are a promise: dashboards and alarms are made of them.
package struct PrometheusText: Sendable {
    package static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private var text = ""

    enum Kind: String {
        case counter, gauge
    }
    typealias Label = (name: String, value: String)

    package static func render(
        _ statistics: ServerStatistics, _ process: ProcessFigures, version: String
    ) -> String {
        var page = PrometheusText()
        page.append(
            "roost_build_info", .gauge, "The version that runs, as a label.", [([("version", version)], 1)])
        page.appendListeners(statistics.listeners)
        page.appendRooms(statistics.rooms)
        page.appendRuntime(statistics)
        page.appendSchedulers(statistics.schedulers)
        page.appendProcess(process)
        return page.text
    }

    // MARK: Families

    private mutating func appendListeners(_ listeners: [ListenerStatistics]) {
        func family(_ name: String, _ kind: Kind, _ help: String, _ value: (ListenerStatistics) -> Int) {
            append(name, kind, help, listeners.map { ([("listener", $0.address)], value($0)) })
        }
        family("roost_connections", .gauge, "Sockets held, handshakes included.") { $0.current }
        family("roost_connections_accepted_total", .counter, "Sockets accepted.") { $0.accepted }
        family("roost_connections_opened_total", .counter, "WebSockets opened.") { $0.opened }
        append(
            "roost_connections_ended_total", .counter, "Ended connections by cause.",
            listeners.flatMap { listener in
                CloseReason.Cause.allCases.map { cause in
                    ([("listener", listener.address), ("cause", cause.rawValue)], listener.ended[cause] ?? 0)
                }
            })
        family(
            "roost_connections_surplus_total", .counter,
            "Clients refused because the listener was full, or their address past its limits."
        ) { $0.surplusRefused }
        family("roost_tls_handshakes_total", .counter, "TLS handshakes that were completed.") { $0.tlsHandshakes }
        family("roost_tls_resumptions_total", .counter, "TLS handshakes that resumed a session.") {
            $0.tlsResumptions
        }
        family("roost_http_requests_total", .counter, "Plain HTTP requests that a responder was asked to answer.") {
            $0.requests
        }
        family(
            "roost_messages_compressed_total", .counter,
            "Messages that went through a compressor, one for many receivers counted once."
        ) { $0.messagesCompressed }
        family("roost_messages_inflated_total", .counter, "Messages that came compressed.") { $0.messagesInflated }
        family("roost_throttled_total", .counter, "Times a client sent faster than it may and was held up.") {
            $0.throttled
        }
        family("roost_accept_failures_total", .counter, "Failed calls of accept.") { $0.acceptFailures }
        family("roost_handler_crashes_total", .counter, "Handlers that crashed.") { $0.handlerCrashes }
        family("roost_messages_dropped_total", .counter, "Messages dropped for clients that read too slowly.") {
            $0.droppedMessages
        }
        family(
            "roost_slow_consumer_episodes_total", .counter,
            "Times a client fell so far behind that messages were dropped."
        ) { $0.slowConsumerEpisodes }
    }

    private mutating func appendRooms(_ rooms: RoomStatistics) {
        func family(_ name: String, _ kind: Kind, _ help: String, _ value: Int) {
            append("roost_room\(name)", kind, help, [([], value)])
        }
        family("s", .gauge, "Rooms that have members.", rooms.rooms)
        family("_members", .gauge, "Members of rooms.", rooms.members)
        family("_messages_published_total", .counter, "Messages published in rooms.", rooms.published)
        family(
            "_messages_delivered_total", .counter, "Messages handed to members of rooms, each counted.",
            rooms.delivered)
        family(
            "_messages_dropped_total", .counter, "Messages of rooms dropped for members that read too slowly.",
            rooms.dropped)
        family(
            "_publishers_held_total", .counter, "Times a publisher was held up because its room was full.",
            rooms.publishersHeld)
    }

    private mutating func appendRuntime(_ statistics: ServerStatistics) {
        append("roost_processes", .gauge, "Processes of the runtime.", [([], statistics.processes)])
        append(
            "roost_traps_contained_total", .counter, "Traps that ended one process and not the program.",
            [([], statistics.trapsContained)])
        append(
            "roost_processes_abandoned_total", .counter, "Processes that would not end and were left behind.",
            [([], statistics.processesAbandoned)])
        append(
            "roost_leaked_bytes", .gauge, "At most so many bytes were lost to traps and abandoned processes.",
            [([], statistics.leakedByteCount)])
    }

    private mutating func appendSchedulers(_ schedulers: [SchedulerStatistics]) {
        func family(_ name: String, _ help: String, _ value: (SchedulerStatistics) -> UInt64) {
            append(
                "roost_scheduler_\(name)_total", .counter, help,
                schedulers.enumerated().map { ([("scheduler", "\($0)")], value($1)) })
        }
        family("turns", "Turns given to processes.") { $0.turns }
        family("preemptions", "Turns that ended because the reductions were used up.") { $0.preemptions }
        family("reductions", "Reductions, steps of handler code.") { $0.reductions }
        family("spawns", "Processes started.") { $0.spawns }
        family("exits", "Processes ended.") { $0.exits }
        family("migrations", "Processes given to idle schedulers.") { $0.migrations }
        family("arrivals", "Processes that came from other schedulers.") { $0.arrivals }
        family("traps", "Traps contained.") { $0.traps }
        family("long_schedules", "Turns that lasted longer than long-schedule.") { $0.longSchedules }
        family("hand_overs", "Times its thread was stuck in native code and another went on with it.") { $0.handOvers }
        family("polls", "Times it asked the kernel for events.") { $0.polls }
        family("sleeps", "Times it slept.") { $0.sleeps }
        append(
            "roost_scheduler_seconds_total", .counter, "Seconds by what they went to: running, polling, idle.",
            schedulers.enumerated().flatMap { index, scheduler in
                [
                    ("running", scheduler.runningNanoseconds), ("polling", scheduler.pollingNanoseconds),
                    ("idle", scheduler.idleNanoseconds),
                ].map { state, nanoseconds in
                    ([("scheduler", "\(index)"), ("state", state)], Double(nanoseconds) / 1e9)
                }
            })
    }

    /// Under the names that Prometheus's own client libraries give them.
    private mutating func appendProcess(_ process: ProcessFigures) {
        func append(_ name: String, _ kind: Kind, _ help: String, _ value: Double?) {
            if let value { self.append("process_\(name)", kind, help, [([], value)]) }
        }
        append("cpu_seconds_total", .counter, "User and system time.", process.cpuSeconds)
        append("resident_memory_bytes", .gauge, "Memory in RAM.", process.residentByteCount.map { Double($0) })
        append("virtual_memory_bytes", .gauge, "Address space.", process.virtualByteCount.map { Double($0) })
        append("open_fds", .gauge, "Open descriptors.", process.openDescriptorCount.map { Double($0) })
        append("max_fds", .gauge, "Descriptors that may be open.", process.descriptorCountMax.map { Double($0) })
        append("start_time_seconds", .gauge, "When it started, since 1970.", process.startSeconds)
    }

    // MARK: Format

    private mutating func append(
        _ name: String, _ kind: Kind, _ help: String, _ samples: [(labels: [Label], value: some BinaryInteger)]
    ) {
        append(name, kind, help) { page in
            for sample in samples { page.append(name, sample.labels, "\(sample.value)") }
        }
    }

    private mutating func append(
        _ name: String, _ kind: Kind, _ help: String, _ samples: [(labels: [Label], value: Double)]
    ) {
        append(name, kind, help) { page in
            for sample in samples { page.append(name, sample.labels, Self.number(sample.value)) }
        }
    }

    private mutating func append(
        _ name: String, _ kind: Kind, _ help: String, _ samples: (inout PrometheusText) -> Void
    ) {
        text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
        samples(&self)
    }

    private mutating func append(_ name: String, _ labels: [Label], _ value: String) {
        text += name
        if !labels.isEmpty {
            text += "{" + labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// Whole numbers without a fraction, for people.
    private static func number(_ value: Double) -> String {
        value.rounded() == value && value.magnitude < 1e15 ? "\(Int(value))" : "\(value)"
    }

    /// Backslash, quote and line feed are the only ones that the format has escapes for.
    static func escaped(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
