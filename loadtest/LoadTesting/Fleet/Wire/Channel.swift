// SPDX-License-Identifier: Apache-2.0

internal import Dispatch
internal import Glibc
package import RoostIO
internal import RoostRuntime
internal import Synchronization

/// A stream to another program of a run, over which whole messages go.
///
/// It waits, encodes and decodes on a thread of its own: neither Swift's pool nor a scheduler is kept by it.
package final class Channel: Sendable {
    /// Of a message before the other side has shown that it may send more, and after.
    package static let strangerByteCountMax = 4 << 10
    package static let byteCountMax = 64 << 20
    private static let chunkByteCount = 64 << 10

    private let descriptor: OwnedDescriptor
    private let queue = DispatchQueue(label: "loadtest channel")
    private let state: Mutex<State>

    private struct State {
        var reader: FrameReader
        /// Nil where the other side needs no proof, or has not given it.
        var seals: SessionSeals?
    }

    /// `descriptor`: of a connected stream socket that does not block.
    package init(_ descriptor: consuming OwnedDescriptor, byteCountMax: Int = Channel.byteCountMax) {
        self.descriptor = descriptor
        state = Mutex(State(reader: FrameReader(byteCountMax: byteCountMax)))
    }

    /// The other side has shown who it is: it may send what a run needs. Every message from now on is sealed.
    package func trust(_ seals: SessionSeals) {
        state.withLock { state in
            state.reader.byteCountMax = Self.byteCountMax
            state.seals = seals
        }
    }

    /// Ends the stream when the other machine has not been heard of for so long: a network may fail without a word
    /// (tcp(7), TCP_USER_TIMEOUT). Does nothing on a unix socket.
    func watchNetwork(seconds: Int) {
        let options = [
            (CInt(SOL_SOCKET), SO_KEEPALIVE, 1), (CInt(IPPROTO_TCP), TCP_KEEPIDLE, max(seconds / 3, 1)),
            (CInt(IPPROTO_TCP), TCP_KEEPINTVL, max(seconds / 6, 1)),
            (CInt(IPPROTO_TCP), TCP_USER_TIMEOUT, seconds * 1_000),
        ]
        for (level, option, value) in options {
            var value = CInt(value)
            // Safe: the kernel reads the integer that it is lent.
            unsafe _ = setsockopt(descriptor.number, level, option, &value, socklen_t(MemoryLayout<CInt>.size))
        }
    }

    /// Ends the stream: the other side, and who waits here, hear of it.
    package func shutdown() { SystemCalls.stopListening(descriptor.number) }

    package func send(_ message: some Encodable & Sendable, timeoutSeconds: Double) async throws(WireError) {
        try await onQueue { () throws(WireError) in
            try self.write(self.frame(message), Deadline(timeoutSeconds))
        }
    }

    /// Bytes that need be no message.
    package func sendRaw(_ bytes: [UInt8], timeoutSeconds: Double) async throws(WireError) {
        try await onQueue { () throws(WireError) in try self.write(bytes, Deadline(timeoutSeconds)) }
    }

    package func receive<Message: Decodable & Sendable>(
        _ type: Message.Type, timeoutSeconds: Double
    ) async throws(WireError) -> Message {
        try await onQueue { () throws(WireError) in
            try WireCodec.decode(self.read(Deadline(timeoutSeconds)))
        }
    }

    /// Asks and waits for the answer; further ones wait until then. The time is of all of it.
    package func exchange(_ request: WorkerRequest, timeoutSeconds: Double) async throws(WireError) -> WorkerAnswer {
        try await onQueue { () throws(WireError) in
            let deadline = Deadline(timeoutSeconds)
            try self.write(self.frame(request), deadline)
            return try WireCodec.decode(self.read(deadline))
        }
    }

    /// As `exchange` of `.clock`, and when it was asked and answered on our monotonic clock.
    func clock(_ timeoutSeconds: Double) async throws(WireError) -> ClockSample {
        try await onQueue { () throws(WireError) in
            let deadline = Deadline(timeoutSeconds)
            let bytes = self.frame(WorkerRequest.clock)
            let asked = MonotonicTime.now().nanoseconds
            try self.write(bytes, deadline)
            let answer = try self.read(deadline)
            let answered = MonotonicTime.now().nanoseconds
            guard case .clock(let theirs) = try WireCodec.decode(answer) as WorkerAnswer else { throw .outOfTurn }
            return ClockSample(asked: asked, theirs: theirs, answered: answered)
        }
    }

    private func onQueue<Value: Sendable>(
        _ body: @escaping @Sendable () throws(WireError) -> Value
    ) async throws(WireError) -> Value {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Value, WireError>, Never>) in
            queue.async {
                do throws(WireError) {
                    continuation.resume(returning: .success(try body()))
                } catch {
                    continuation.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }

    // MARK: On the channel's thread

    private struct Deadline {
        let seconds: Double
        let time: MonotonicTime

        init(_ seconds: Double) {
            self.seconds = seconds
            time = MonotonicTime.now() + .seconds(seconds)
        }
    }

    private func frame(_ message: some Encodable) -> [UInt8] {
        let bytes = WireCodec.encode(message)
        return FrameReader.frame(state.withLock { $0.seals?.sending.seal(bytes) } ?? bytes)
    }

    private func write(_ bytes: [UInt8], _ deadline: Deadline) throws(WireError) {
        var sent = 0
        while sent < bytes.count {
            // Safe: the array's own bytes, within the call.
            let outcome = unsafe bytes.withUnsafeBytes {
                unsafe SystemCalls.send(descriptor.number, UnsafeRawBufferPointer(rebasing: $0[sent...]))
            }
            switch outcome {
            case .bytes(let count): sent += count
            case .wouldBlock: try wait(POLLOUT, deadline)
            case .failed(EPIPE): throw .ended
            case .failed(let code): throw .broken(Self.text(code))
            }
        }
    }

    private func read(_ deadline: Deadline) throws(WireError) -> [UInt8] {
        while true {
            let message = try state.withLock { state throws(WireError) -> [UInt8]? in
                guard let bytes = try state.reader.next() else { return nil }
                return try state.seals?.receiving.open(bytes) ?? bytes
            }
            if let message { return message }
            let isThere = unsafe withUnsafeTemporaryAllocation(
                byteCount: Self.chunkByteCount, alignment: 16
            ) { (chunk) -> Result<Bool, WireError> in
                switch unsafe SystemCalls.receive(descriptor.number, into: chunk) {
                case .bytes(let count):
                    // Safe: the kernel has just written so many bytes of the chunk.
                    state.withLock { state in unsafe state.reader.append(chunk[..<count]) }
                    return .success(true)
                case .wouldBlock: return .success(false)
                case .endOfStream: return .failure(.ended)
                case .failed(let code): return .failure(.broken(Self.text(code)))
                }
            }
            if try !isThere.get() { try wait(POLLIN, deadline) }
        }
    }

    private func wait(_ events: CInt, _ deadline: Deadline) throws(WireError) {
        while true {
            let left = (deadline.time - MonotonicTime.now()).seconds
            guard left > 0 else { throw .timedOut(seconds: deadline.seconds) }
            var entry = pollfd(fd: descriptor.number, events: Int16(events), revents: 0)
            // Safe: one entry, lent for the call.
            let count = unsafe poll(&entry, 1, CInt(min(left * 1_000 + 1, 1_000_000_000)))
            if count > 0 { return }
            if count < 0, errno != EINTR { throw .broken(Self.text(errno)) }
        }
    }

    private static func text(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
}
