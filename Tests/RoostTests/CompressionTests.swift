// SPDX-License-Identifier: Apache-2.0

import Roost
import RoostTestHandlers
import Testing

private func policy(_ mode: CompressionPolicy.Mode) -> CompressionPolicy { CompressionPolicy(mode) }

/// Sizes around every border that a message's bytes may meet: the threshold, one piece of a compressor or an inflater,
/// the read and the gather buffer, reads into place, and room that is doubled.
private let borders = [256, 4_096, 16_384, 32_768, 65_536, 131_072, 262_144, 1_048_576]
private let sizes = [0, 1, 125, 126, 1_000] + borders.flatMap { [$0 - 1, $0, $0 + 1] }

extension ServerTests {
    @Suite struct Compression {
        @Test(
            "compressed messages of every size are echoed as they were",
            arguments: [CompressionPolicy.Mode.noTakeover, .takeover], [true, false])
        func echoes(mode: CompressionPolicy.Mode, isSmall: Bool) async throws {
            var limits = ConnectionLimits()
            limits.messageByteCountMax = 2 << 20
            limits.outboundByteCountMax = 4 << 20
            let echo = Route("/", limits: limits, compression: policy(mode)) { _ in EchoHandler() }
            try await withServer([echo]) { server in
                let client = try DeflateClient(server)
                var generator = SeededGenerator(seed: 7)
                for size in sizes {
                    let text = Frame.text(prose(size, seed: UInt64(size)))
                    let message = isSmall ? text : .binary(generator.noise(size))
                    try client.send(message)
                    let answer = try client.receive()
                    #expect(answer.opcode == message.opcode && answer.payload == message.payload, "\(size) bytes")
                    // Noise leaves as it is, unless the client's context must go on as ours.
                    let isWorthIt = size >= 256 && (isSmall || mode == .takeover)
                    #expect(answer.isCompressed == isWorthIt, "\(size) bytes")
                }
                #expect(server.statistics.messagesInflated == sizes.count)
                #expect(server.statistics.messagesCompressed == sizes.count { $0 >= 256 })
            }
        }

        @Test("messages in one segment, plain ones, compressed ones and control frames among them, are echoed in order")
        func mixed() async throws {
            for mode in [CompressionPolicy.Mode.noTakeover, .takeover] {
                try await withServer([Route("/", compression: policy(mode)) { _ in EchoHandler() }]) { server in
                    let client = try DeflateClient(server)
                    var bytes: [UInt8] = []
                    for index in 0..<200 {
                        let frame = Frame.text(prose(index * 13, seed: UInt64(index)))
                        bytes += (index % 3 == 0 ? frame : client.compressed(frame)).encoded
                        if index == 100 { bytes += Frame.ping("between").encoded }
                    }
                    try client.raw.send(bytes)
                    // The pong may come later: it gives way to what the client has not read yet.
                    let frames = try (0..<201).map { _ in try client.receive() }
                    #expect(frames.filter { $0.opcode == 10 } == [.pong("between")])
                    let texts = frames.filter { $0.opcode == 1 }.map(\.string)
                    #expect(texts == (0..<200).map { prose($0 * 13, seed: UInt64($0)) })
                }
            }
        }

        @Test("RFC 7692 §6.1: RSV1 stands on a message's first frame alone; a ping may come between its fragments")
        func fragments() async throws {
            try await withServer([Route("/") { _ in EchoHandler() }]) { server in
                let client = try DeflateClient(server)
                let text = prose(100_000)
                let whole = client.compressed(.text(text)).payload
                let cuts = [0, 1, 5_000, 5_000, whole.count - 1, whole.count]
                for index in 0..<(cuts.count - 1) {
                    let isLast = index == cuts.count - 2
                    try client.raw.send(
                        Frame(
                            opcode: index == 0 ? 1 : 0, payload: Array(whole[cuts[index]..<cuts[index + 1]]),
                            isCompressed: index == 0, isLast: isLast))
                    guard !isLast else { break }
                    try client.raw.send(.ping("between"))
                    #expect(try client.receive() == .pong("between"))
                }
                #expect(try client.receive().string == text)
                try client.raw.send(
                    Frame(opcode: 1, payload: Array(whole[..<10]), isCompressed: true, isLast: false),
                    Frame(opcode: 0, payload: Array(whole[10...]), isCompressed: true))
                #expect(try client.raw.closeCode() == 1002)
            }
        }

        @Test("takeover: what comes again costs next to nothing, in both directions; without it each costs the same")
        func context() async throws {
            for mode in [CompressionPolicy.Mode.noTakeover, .takeover] {
                try await withServer([Route("/", compression: policy(mode)) { _ in EchoHandler() }]) { server in
                    let client = try DeflateClient(server)
                    var sizes: [Int] = []
                    for index in 0..<1_000 {
                        let text = "\(index) " + prose(2_000)
                        let frame = client.compressed(.text(text))
                        try client.raw.send(frame)
                        let answer = try client.receive()
                        guard answer.string == text else {
                            Issue.record("message \(index) came back as another")
                            return
                        }
                        if mode == .takeover, index > 0 { #expect(frame.payload.count < 100) }
                        sizes.append(frame.payload.count)
                    }
                    #expect(mode == .takeover ? sizes[1] < sizes[0] / 5 : sizes[1] > sizes[0] / 2)
                }
            }
        }

        @Test(
            "the windows that are agreed on are kept to, in both modes", arguments: 8...15,
            [CompressionPolicy.Mode.noTakeover, .takeover])
        func windows(bits: Int, mode: CompressionPolicy.Mode) async throws {
            try await withServer([Route("/", compression: policy(mode)) { _ in EchoHandler() }]) { server in
                let client = try DeflateClient(server, offer: "permessage-deflate; server_max_window_bits=\(bits)")
                #expect(client.raw.header("Sec-WebSocket-Extensions")!.contains("server_max_window_bits=\(bits)"))
                for seed in 0..<5 as Range<UInt64> {
                    let text = prose(100_000, seed: seed / 2)
                    try client.send(.text(text))
                    #expect(try client.receive().string == text)
                }
            }
        }

        @Test("a client that offers nothing is sent nothing compressed, and may send nothing so")
        func notOffered() async throws {
            try await withServer([Route("/") { _ in EchoHandler() }]) { server in
                let client = try RawClient(server)
                #expect(client.header("Sec-WebSocket-Extensions") == nil)
                try client.send(prose(10_000))
                #expect(try client.receive() == .text(prose(10_000)))
                try client.send(Frame(opcode: 1, payload: [0], isCompressed: true))
                #expect(try client.closeCode() == 1002)
                #expect(server.statistics.messagesCompressed == 0)
            }
        }

        @Test(
            "a crash while a compressed message is handled: those behind it are right, context or not",
            arguments: ["throw", "trap", "hoard"], [CompressionPolicy.Mode.noTakeover, .takeover])
        func crashes(how: String, mode: CompressionPolicy.Mode) async throws {
            let probe = Probe()
            let routes = script(probe, restart: .restart(intensity: 10), compression: policy(mode)) {
                $0.heapByteCountMax = 4 << 20
            }
            try await withServer(routes) { server in
                let client = try DeflateClient(server)
                #expect(try client.ask("count") == "count 1")
                let long = prose(50_000)
                for round in 0..<3 {
                    // Long enough for their context to matter, and in one segment.
                    try client.send(
                        .text(long), .text(how + " " + prose(300)), .text("count"), .text(long + "!"), .text(how),
                        .text(long))
                    #expect(try client.texts(4) == [long, "count 1", long + "!", long], "round \(round)")
                }
                #expect(server.statistics.handlerCrashes == 6)
                #expect(try client.ask("count") == "count 1")
            }
        }

        @Test(
            "while a callback waits, compressed messages are put by, and delivered in order when it returns",
            arguments: ["wait", "sleep 200"], [CompressionPolicy.Mode.noTakeover, .takeover])
        func waits(how: String, mode: CompressionPolicy.Mode) async throws {
            let probe = Probe()
            try await withServer(script(probe, compression: policy(mode)), schedulers: 1) { server in
                let client = try DeflateClient(server)
                #expect(try client.ask("register") == "registered")
                let command = how + " " + prose(1_000)
                try client.send(command)
                #expect(try client.receive().string == (how == "wait" ? "waiting" : "sleeping"))
                let texts = (0..<300).map { prose($0 * 20, seed: UInt64($0)) }
                // More than may wait: the rest stays in the socket.
                try client.send(texts.map { .text($0) })
                try client.send(.ping("deaf?"))
                if how == "wait" { probe.addresses[0].send("go") }
                #expect(try client.receive().string == (how == "wait" ? "done \(command)" : "slept"))
                var received: [String] = []
                while received.count < texts.count {
                    let frame = try client.receive()
                    if frame.opcode == 1 { received.append(frame.string) }
                }
                #expect(received == texts)
            }
        }

        @Test("a crash between messages that were put by: those behind it are still inflated in order")
        func crashAmongWaiting() async throws {
            for mode in [CompressionPolicy.Mode.noTakeover, .takeover] {
                let probe = Probe()
                try await withServer(script(probe, compression: policy(mode)), schedulers: 1) { server in
                    let client = try DeflateClient(server)
                    #expect(try client.ask("register") == "registered")
                    #expect(try client.ask("wait") == "waiting")
                    let long = prose(5_000)
                    try client.send(.text(long), .text("trap"), .text(long + "!"), .ping("all there"))
                    #expect(try client.receive() == .pong("all there"))
                    probe.addresses[0].send("go")
                    #expect(try client.texts(3) == ["done wait", long, long + "!"])
                    #expect(server.statistics.trapsContained == 1)
                }
            }
        }
    }
}
