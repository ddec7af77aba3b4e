// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestHandlers
import Testing

/// Counts what comes and does nothing with it.
private struct Sink: ConnectionHandler {
    let probe: Probe

    func text(_ text: UTF8Span, _ connection: borrowing Connection<Never>) { connection.send(text) }
    func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) { probe.note("took \(bytes.byteCount)") }
    func terminated(_ reason: CloseReason, _ connection: borrowing Connection<Never>) {
        probe.note("terminated \(reason.cause.rawValue) \(reason.code?.rawValue ?? 0)")
    }
}

/// A route at `/large` for messages of up to 128 MiB.
private func sink(_ probe: Probe) -> Route {
    var limits = ConnectionLimits()
    limits.messageByteCountMax = 128 << 20
    limits.heapByteCountMax = 1 << 30
    return Route("/large", limits: limits) { _ in Sink(probe: probe) }
}

extension ServerTests {
    @Suite struct CompressionLimits {
        @Test(
            "max-message-bytes bounds what a message inflates to: n-1 and n pass, n+1 is 1009",
            arguments: [16, 1_000, 65_536, 1_000_000], [CompressionPolicy.Mode.noTakeover, .takeover])
        func maxMessage(limit: Int, mode: CompressionPolicy.Mode) async throws {
            var limits = ConnectionLimits()
            limits.messageByteCountMax = limit
            limits.outboundByteCountMax = 4 << 20
            let echo = Route("/", limits: limits, compression: CompressionPolicy(mode)) { _ in EchoHandler() }
            try await withServer([echo]) { server in
                let client = try DeflateClient(server)
                for byteCount in [limit - 1, limit] {
                    try client.send(.binary([UInt8](repeating: 5, count: byteCount)))
                    #expect(try client.receive().payload.count == byteCount)
                }
                try client.send(.binary([UInt8](repeating: 5, count: limit + 1)))
                #expect(try client.raw.closeCode() == 1009)
                client.raw.endWriting()
                try await eventually("it has ended") { server.statistics.ended[.messageTooBig] == 1 }
            }
        }

        @Test("text that is no UTF-8 when it is inflated: 1007, wherever the fault lies")
        func invalidText() async throws {
            let probe = Probe()
            try await withServer(script(probe)) { server in
                let good = Array(prose(200_000).utf8)
                for offset in [0, 1, 65_535, 65_536, 150_000, good.count] {
                    let client = try DeflateClient(server)
                    #expect(try client.ask("before") == "before")
                    // A lead byte without what must follow it.
                    try client.send(Frame(opcode: 1, payload: good[..<offset] + [0xC3] + good[offset...]))
                    #expect(try client.raw.closeCode() == 1007)
                    client.raw.endWriting()
                }
                try await eventually("all have ended") { server.statistics.ended[.invalidPayload] == 6 }
                #expect(probe.events.filter { $0.hasPrefix("did") }.count == 6, "no such text reached the handler")
            }
        }

        @Test("a character of several bytes may lie across the border of two pieces")
        func dividedCharacters() async throws {
            try await withServer([Route("/") { _ in EchoHandler() }]) { server in
                let client = try DeflateClient(server)
                for shift in 0..<4 {
                    let text = String(repeating: "a", count: shift) + String(repeating: "😀", count: 50_000)
                    try client.send(text)
                    #expect(try client.receive().string == text)
                }
            }
        }

        @Test(
            "compressed data that is none: 1007",
            arguments: [
                [0xFF], [0x06], [0x00, 0x01, 0x00, 0x00, 0x00], [UInt8](repeating: 0xAA, count: 1_000),
            ] as [[UInt8]])
        func invalidData(payload: [UInt8]) async throws {
            try await withServer([Route("/") { _ in EchoHandler() }]) { server in
                let client = try DeflateClient(server)
                try client.raw.send(Frame(opcode: 2, payload: payload, isCompressed: true))
                #expect(try client.raw.closeCode() == 1007)
                client.raw.endWriting()
                try await eventually("it has ended") { server.statistics.ended[.invalidPayload] == 1 }
            }
        }

        @Test("a message that inflates beyond max-handler-bytes crashes its handler alone; without context it goes on")
        func heapLimit() async throws {
            let probe = Probe()
            let routes = script(probe) {
                $0.heapByteCountMax = 1 << 20
                $0.messageByteCountMax = 64 << 20
            }
            try await withServer(routes) { server in
                let client = try DeflateClient(server)
                let bystander = try RawClient(server)
                #expect(try client.ask("count") == "count 1")
                for round in 1...3 {
                    try client.send(.binary([UInt8](repeating: 0, count: 48 << 20)), .text("count"))
                    #expect(try client.receive().string == "count 1")
                    #expect(server.statistics.handlerCrashes == round)
                    #expect(try bystander.ask("still here") == "still here")
                }
                #expect(server.statistics.processesAbandoned == 0, "nothing was left behind")
            }
        }

        @Test("with context it is closed with 1011, as no later message can be inflated")
        func heapLimitWithContext() async throws {
            let probe = Probe()
            let routes = script(probe, compression: CompressionPolicy(.takeover)) {
                $0.heapByteCountMax = 1 << 20
                $0.messageByteCountMax = 64 << 20
            }
            try await withServer(routes) { server in
                let client = try DeflateClient(server)
                #expect(try client.ask("count") == "count 1")
                try client.send(.binary([UInt8](repeating: 0, count: 48 << 20)), .text("count"))
                #expect(try client.raw.closeCode() == 1011)
                try client.send(.close(1011))
                try await eventually("it has ended") { server.statistics.ended[.handlerCrashed] == 1 }
                #expect(server.statistics.handlerCrashes == 1)
                #expect(server.statistics.processesAbandoned == 0)
            }
        }

        @Test("a drain does not wait for a message to be inflated, nor leave anything behind")
        func drained() async throws {
            let probe = Probe()
            try await withDrainedServer([sink(probe)]) { server in
                let client = try DeflateClient(server, "/large")
                #expect(try client.ask("ready") == "ready")
                try client.send(.binary([UInt8](repeating: 0, count: 128 << 20)))
                async let left = server.drain()
                #expect(try client.raw.closeCode() == 1001)
                try client.send(.close(1001))
                #expect(await left == 0)
                #expect(server.statistics.processesAbandoned == 0)
                #expect(probe.terminations == ["terminated draining 1001"])
            }
        }

        @Test("others are served while messages of 32 MiB are inflated on their scheduler")
        func othersGoOn() async throws {
            let probe = Probe()
            try await withServer(script(probe) + [sink(probe)], schedulers: 1) { server in
                let large = try DeflateClient(server, "/large")
                let small = try RawClient(server)
                let byteCount = 32 << 20
                let zeros = large.compressed(.binary([UInt8](repeating: 0, count: byteCount)))
                for _ in 0..<4 { try large.raw.send(zeros) }
                func isDone() -> Bool { probe.events.count { $0 == "took \(byteCount)" } == 4 }
                while !isDone() { #expect(try small.ask("tick") == "tick") }
                // A client that asks when it was answered is answered once between two messages that hold others up.
                let runs = probe.events.split(separator: "took \(byteCount)").map { $0.count { $0 == "did tick" } }
                #expect((runs.max() ?? 0) > 3, "\(runs)")
            }
        }

        @Test("drop-oldest without context drops whole messages: every frame that comes is whole and can be inflated")
        func dropOldest() async throws {
            let probe = Probe()
            let routes = script(probe) {
                $0.outboundByteCountMax = 100_000
                $0.slowConsumer = .dropOldest
            }
            try await withServer(routes) { server in
                let client = try DeflateClient(server, receiveBuffer: 4_096)
                try client.send(.text("blend 3000"), .text("end"))
                try await probe.waitFor("did end")
                var next = 0
                var count = 0
                while true {
                    let frame = try client.receive()
                    if frame.opcode == 1 {
                        #expect(frame == .text("end"))
                        break
                    }
                    #expect(frame.isCompressed)
                    while next < 3_000, blend(next) != frame.payload { next += 1 }
                    guard next < 3_000 else {
                        Issue.record("frame \(count) is none that was sent, or comes again")
                        return
                    }
                    next += 1
                    count += 1
                }
                #expect(count < 3_000)
                #expect(server.statistics.droppedMessages == 3_000 - count)
                #expect(server.statistics.slowConsumerEpisodes >= 1)
                #expect(try client.ask("and on") == "and on")
            }
        }
    }
}
