// SPDX-License-Identifier: Apache-2.0

import Glibc
import Histogram
import LoadTesting
import RoostIO
import Testing

/// One end is a channel, the other plain bytes.
struct ChannelPair: ~Copyable {
    let channel: Channel
    let other: OwnedDescriptor

    init(byteCountMax: Int = Channel.byteCountMax) {
        let (first, second) = ChannelPair.sockets()
        channel = Channel(OwnedDescriptor(adopting: first), byteCountMax: byteCountMax)
        other = OwnedDescriptor(adopting: second)
    }

    static func sockets() -> (CInt, CInt) {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        // Safe: the kernel fills the array, which has room for two.
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else { preconditionFailure("socketpair: \(errno)") }
        return (ends[0], ends[1])
    }

    func write(_ bytes: some Collection<UInt8>) {
        let bytes = Array(bytes)
        // Safe: the array's own bytes, with their count.
        unsafe bytes.withUnsafeBytes { unsafe _ = SystemCalls.send(other.number, $0) }
    }
}

@Suite struct ChannelTests {
    private static var plan: LoadPlan { .echo("ws://127.0.0.1:1/é\u{0}\"") }

    private static let requests: [WorkerRequest] = [
        .hello(version: 7, nonce: "n"), .proof("p"), .clock, .prepare(plan, WorkerPlace(index: 2, count: 5)), .connect,
        .status, .tell(.begin), .tell(.end), .tell(.drop), .snapshot, .stop(timeoutSeconds: 0.5),
    ]

    @Test("what is asked arrives as it was asked")
    func requests() async throws {
        let (first, second) = ChannelPair.sockets()
        let asking = Channel(OwnedDescriptor(adopting: first))
        let asked = Channel(OwnedDescriptor(adopting: second))
        for request in Self.requests {
            try await asking.send(request, timeoutSeconds: 60)
            #expect(try await asked.receive(WorkerRequest.self, timeoutSeconds: 60) == request)
        }
    }

    @Test("an answer is read wherever the stream is split")
    func splits() async throws {
        let frame = FrameReader.frame(WireCodec.encode(WorkerAnswer.clock(123_456_789)))
        for split in 0...frame.count {
            let pair = ChannelPair()
            async let answer = pair.channel.exchange(.clock, timeoutSeconds: 60)
            pair.write(frame[..<split])
            pair.write(frame[split...])
            guard case .clock(123_456_789) = try await answer else {
                Issue.record("split at \(split)")
                return
            }
        }
    }

    @Test("an end, a length beyond the limit and bytes that mean nothing are told apart")
    func failures() async {
        let frame = FrameReader.frame(WireCodec.encode(WorkerAnswer.done))
        for count in 0..<frame.count {
            let pair = ChannelPair()
            pair.write(frame[..<count])
            SystemCalls.shutdownWriting(pair.other.number)
            await #expect(throws: WireError.ended) { try await pair.channel.exchange(.status, timeoutSeconds: 60) }
        }
        let long = ChannelPair(byteCountMax: 10)
        long.write([0, 0, 0, 11])
        await #expect(throws: WireError.tooLong(byteCount: 11, limit: 10)) {
            try await long.channel.receive(WorkerAnswer.self, timeoutSeconds: 60)
        }
        let http = ChannelPair()
        http.write(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
        await #expect(throws: WireError.tooLong(byteCount: 0x4854_5450, limit: Channel.byteCountMax)) {
            try await http.channel.receive(WorkerAnswer.self, timeoutSeconds: 60)
        }
        let strange = ChannelPair()
        strange.write(FrameReader.frame(Array("{\"done\":".utf8)))
        await #expect(throws: WireError.unreadable) {
            try await strange.channel.receive(WorkerAnswer.self, timeoutSeconds: 60)
        }
    }

    @Test("who does not answer is given up")
    func timeout() async {
        let pair = ChannelPair()
        await #expect(throws: WireError.timedOut(seconds: 0.01)) {
            try await pair.channel.exchange(.status, timeoutSeconds: 0.01)
        }
    }

    @Test("a message larger than the socket holds arrives whole")
    func large() async throws {
        let (first, second) = ChannelPair.sockets()
        let sending = Channel(OwnedDescriptor(adopting: first))
        let receiving = Channel(OwnedDescriptor(adopting: second))
        let text = String(repeating: "0123456789abcdef", count: 200_000)
        async let sent: Void = sending.send(WorkerRequest.proof(text), timeoutSeconds: 60)
        #expect(try await receiving.receive(WorkerRequest.self, timeoutSeconds: 60) == .proof(text))
        try await sent
    }

    @Test("a snapshot arrives as it was taken, histograms to the last count")
    func snapshot() throws {
        var snapshot = WorkerSnapshot(groupCount: 2)
        snapshot.groups[0].counters.sent = 5
        snapshot.groups[1].counters.lost = 7
        for value in [0, 1, 2_047, 1_234_567, Distributions.valueMax] {
            snapshot.groups[1].distributions.latency.record(value)
        }
        snapshot.groups[0].distributions.recovery.record(17, count: 1_000_000)
        snapshot.usage = [SchedulerUsage(cpuShare: 0.25, waitShare: 0)]
        snapshot.errors = [TestError(kind: "an \"error\"", count: 3, firstSeconds: 0.125)]
        snapshot.ownByteCount = 4_096
        let bytes = WireCodec.encode(WireSnapshot(snapshot))
        let read = try (WireCodec.decode(bytes) as WireSnapshot).snapshot(groupCount: 2)
        for index in 0..<2 {
            #expect(read.groups[index].counters == snapshot.groups[index].counters)
            for (name, path) in Distributions.all {
                let (ours, theirs) = (
                    snapshot.groups[index].distributions[keyPath: path], read.groups[index].distributions[keyPath: path]
                )
                #expect(HistogramSlots(ours).counts.elementsEqual(HistogramSlots(theirs).counts, by: ==), "\(name)")
                #expect(ours.totalCount == theirs.totalCount && ours.maxRecorded == theirs.maxRecorded, "\(name)")
            }
        }
        #expect(read.usage == snapshot.usage && read.errors == snapshot.errors && read.ownByteCount == 4_096)
        #expect(throws: WireError.unreadable) {
            try (WireCodec.decode(bytes) as WireSnapshot).snapshot(groupCount: 3)
        }
    }
}
