// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime

/// A connection that follows a script: the flow of a group of a scenario file.
struct ScriptClient: LoadClient {
    private let share: ClientShare
    private let program: ScriptProgram
    private var seat: Seat
    private var random: SplitMix
    private var state = State.idle
    /// The step that is next, or that is under way.
    private var position = 0
    /// Turns left, by loop; `Int.max`: for ever.
    private var turns: [Int]
    private var values: ScriptTemplate.Values
    private var sent = Sent.nothing
    private var sentIsText = false
    private var sentAt: UInt64 = 0
    /// The message last made from a template that is not always the same.
    private var made: [UInt8] = []
    /// Of the messages that were passed over in the wait that is under way, the first that met the most conditions, and
    /// the one that it did not meet.
    private var near: (condition: Int, sample: String)?
    /// Messages that came while none was awaited.
    private var held: [Held] = []
    /// When the wait that is under way is over, and when the timer goes off: not later.
    private var wakeAt = UInt64.max
    private var armedAt = UInt64.max
    private var hasBegun = false
    private var isOpen = false
    private var isEnding = false

    private enum State {
        /// Not begun, or waiting for the work to begin.
        case idle
        case running, thinking, expecting, expectingClose
        /// The flow is over, or a failure was counted: nothing that comes counts.
        case over
    }

    /// The message last sent.
    private enum Sent {
        case nothing
        case literal([UInt8])
        case made
        case generated(number: UInt64, byteCount: Int)
    }

    private struct Held {
        var bytes: [UInt8]
        var isText: Bool
        var at: UInt64
    }

    private enum TimerID {
        static let wait = 0
        static let lifetime = 1
    }

    private static let heldCountMax = 16
    private static let heldByteCountMax = 1 << 20

    init(_ share: ClientShare, _ seat: Seat) {
        guard let program = share.script else { preconditionFailure("a script's client without a script") }
        self.share = share
        self.program = program
        self.seat = seat
        random = SplitMix(
            state: UInt64(truncatingIfNeeded: seat.client) << 20 ^ UInt64(truncatingIfNeeded: seat.attempt))
        turns = Array(repeating: 0, count: program.plan.loopDepth)
        values = ScriptTemplate.Values(
            client: seat.client, attempt: seat.attempt, sequence: 0,
            captured: Array(repeating: nil, count: program.plan.captureNames.count))
    }

    // MARK: Callbacks

    mutating func opened(_ connection: borrowing Connection<ClientCommand>) {
        isOpen = true
        sentAt = MonotonicTime.now().nanoseconds
        let missed = share.opened(&seat, connection.address)
        if let lifetime = program.plan.lifetime {
            connection.setTimer(TimerID.lifetime, after: .seconds(lifetime.seconds(&random)))
        }
        if let missed { receive(missed, connection) }
        if state == .idle, program.plan.hasPreparation { advance(connection) }
    }

    mutating func receive(_ command: ClientCommand, _ connection: borrowing Connection<ClientCommand>) {
        switch command {
        case .begin:
            hasBegun = true
            if state == .idle { advance(connection) }
        case .end: end(connection)
        case .drop: share.cut(connection, isAwaiting: isEnding && state == .expecting)
        case .next: break
        }
    }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<ClientCommand>) {
        came(text.span, isText: true, connection)
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<ClientCommand>) {
        // Safe: looked at within the call only.
        unsafe bytes.withUnsafeBytes { unsafe came(Span(_unsafeBytes: $0), isText: false, connection) }
    }

    mutating func timer(_ id: Int, _ connection: borrowing Connection<ClientCommand>) {
        guard id == TimerID.wait else { return end(connection) }
        armedAt = .max
        guard wakeAt != .max else { return }
        let now = MonotonicTime.now().nanoseconds
        guard now >= wakeAt else { return arm(at: wakeAt, now, connection) }
        switch state {
        case .thinking:
            share.noteLag(from: wakeAt, to: now)
            position += 1
            advance(connection)
        case .expecting:
            guard case .expect(let step) = program.plan.steps[position] else { return }
            failForTime(step, connection)
        case .expectingClose:
            guard case .expectClose(let step) = program.plan.steps[position] else { return }
            fail(step.line, "the server did not close within \(Quantity.duration(step.timeoutSeconds))", connection)
        case .idle, .running, .over: break
        }
    }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<ClientCommand>) {
        if let step = awaitedClose, isPeers(reason) {
            note(reason, step)
            state = .over
        }
        share.ended(seat, reason, wasOpen: isOpen, isExpected: state == .over, at: place)
    }

    /// Where the flow is, for an error.
    private var place: String {
        guard state == .expecting, case .expect(let step) = program.plan.steps[position] else {
            return "\(share.group.name): "
        }
        return "\(share.group.name), line \(step.line): "
    }

    // MARK: The flow

    /// Runs steps until one waits.
    private mutating func advance(_ connection: borrowing Connection<ClientCommand>) {
        state = .running
        wakeAt = .max
        while state == .running {
            guard position < program.plan.steps.count else { return finish(1000, "", connection) }
            let step = program.plan.steps[position]
            switch step {
            case .expect(let step): awaitMessage(step, connection)
            case .expectClose(let step): awaitClose(step, connection)
            case .send, .think, .loop, .loopEnd, .close, .waitForBegin:
                // What is awaited is still awaited after the end; nothing new is begun.
                if isEnding { return finish(1000, "", connection) }
                perform(step, connection)
            }
        }
    }

    private mutating func perform(_ step: ScriptStep, _ connection: borrowing Connection<ClientCommand>) {
        switch step {
        case .send(let step):
            position += 1
            send(step, connection)
        case .expect(let step): awaitMessage(step, connection)
        case .expectClose(let step): awaitClose(step, connection)
        case .think(let time):
            state = .thinking
            let now = MonotonicTime.now().nanoseconds
            wait(until: now + UInt64(time.seconds(&random) * 1e9), now, connection)
        case .loop(let loop, let count, let end):
            turns[loop] = count ?? .max
            position = count == 0 ? end : position + 1
        case .loopEnd(let loop, let start):
            if turns[loop] != .max { turns[loop] -= 1 }
            position = turns[loop] > 0 ? start : position + 1
        case .close(let code, let reason): finish(code, reason, connection)
        case .waitForBegin:
            position += 1
            if !hasBegun { state = .idle }
        }
    }

    private mutating func end(_ connection: borrowing Connection<ClientCommand>) {
        isEnding = true
        switch state {
        case .idle, .thinking: finish(1000, "", connection)
        case .expecting, .expectingClose, .running, .over: break
        }
    }

    private mutating func finish(_ code: UInt16, _ reason: String, _ connection: borrowing Connection<ClientCommand>) {
        if let first = held.first, program.hasExpectations, !program.plan.ignoresUnexpected, !isEnding {
            let sample = Self.sample(first.bytes.span)
            share.noteFailure(at: 0, "a message came that no step expected", sample: sample)
        }
        state = .over
        wakeAt = .max
        held = []
        connection.close(CloseCode(rawValue: code), reason: reason)
    }

    private mutating func fail(
        _ line: Int, _ what: String, sample: String? = nil, _ connection: borrowing Connection<ClientCommand>
    ) {
        state = .over
        wakeAt = .max
        held = []
        share.noteFailure(at: line, what, sample: sample)
        connection.close(.policyViolation, reason: "unexpected")
    }

    // MARK: Waiting

    /// The connection has one timer for all waits. One that goes off too early is set again; so an answer that comes in
    /// time costs no change of the timer.
    private mutating func wait(until end: UInt64, _ now: UInt64, _ connection: borrowing Connection<ClientCommand>) {
        wakeAt = end
        if end < armedAt { arm(at: end, now, connection) }
    }

    private mutating func arm(at end: UInt64, _ now: UInt64, _ connection: borrowing Connection<ClientCommand>) {
        armedAt = end
        connection.setTimer(TimerID.wait, after: .nanoseconds(Int64(end &- min(now, end))))
    }

    private mutating func awaitMessage(_ step: ExpectStep, _ connection: borrowing Connection<ClientCommand>) {
        while !held.isEmpty {
            let message = held.removeFirst()
            if accept(message.bytes.span, message.isText, at: message.at, step, connection) {
                position += 1
                return
            }
            if state == .over { return }
        }
        near = nil
        state = .expecting
        let now = MonotonicTime.now().nanoseconds
        wait(until: now + UInt64(step.timeoutSeconds * 1e9), now, connection)
    }

    private mutating func failForTime(_ step: ExpectStep, _ connection: borrowing Connection<ClientCommand>) {
        let what = "no answer within \(Quantity.duration(step.timeoutSeconds))"
        guard let near else { return fail(step.line, what, connection) }
        // Which of the messages that were passed over was to be the answer, and why it is none.
        let unmet = step.conditions[near.condition].unmet(program.plan)
        fail(step.line, "\(what), but one near it: \(unmet)", sample: near.sample, connection)
    }

    // MARK: The server's close

    private mutating func awaitClose(_ step: ExpectCloseStep, _ connection: borrowing Connection<ClientCommand>) {
        if let first = held.first, !program.plan.ignoresUnexpected {
            return failForClose(step, Self.sample(first.bytes.span), connection)
        }
        held = []
        state = .expectingClose
        let now = MonotonicTime.now().nanoseconds
        wait(until: now + UInt64(step.timeoutSeconds * 1e9), now, connection)
    }

    private mutating func failForClose(
        _ step: ExpectCloseStep, _ sample: String, _ connection: borrowing Connection<ClientCommand>
    ) {
        fail(step.line, "a message came where the server was to close", sample: sample, connection)
    }

    /// The close that is waited for, or would be after the think time that is under way: it may come early, as messages
    /// may.
    private var awaitedClose: ExpectCloseStep? {
        var next = position
        switch state {
        case .expectingClose: break
        case .thinking: next += 1
        case .idle, .running, .expecting, .over: return nil
        }
        while next < program.plan.steps.count {
            switch program.plan.steps[next] {
            case .expectClose(let step): return step
            case .think: next += 1
            case .send, .expect, .loop, .loopEnd, .close, .waitForBegin: return nil
            }
        }
        return nil
    }

    /// Not ours: of the run's end, say.
    private func isPeers(_ reason: CloseReason) -> Bool {
        reason.cause == .serverClosed || reason.cause == .connectionLost
    }

    /// Counts the close that came, or what is wrong with it.
    private mutating func note(_ reason: CloseReason, _ step: ExpectCloseStep) {
        if let first = held.first, !program.plan.ignoresUnexpected {
            let sample = Self.sample(first.bytes.span)
            return share.noteFailure(at: step.line, "a message came where the server was to close", sample: sample)
        }
        let hasClosed = reason.cause == .serverClosed
        let code = hasClosed ? reason.code?.rawValue ?? 1005 : 1006
        guard step.code == code || step.code == nil && hasClosed else {
            let what = hasClosed ? "the server closed with another code" : "the connection ended without a close"
            let text = reason.message.isEmpty ? "\(code)" : "\(code) \(reason.message)"
            return share.noteFailure(at: step.line, what, sample: Self.sample(Array(text.utf8).span))
        }
        let message = Array(reason.message.utf8)
        if hasClosed, let template = step.reason, !withText(template, { ByteText.areEqual(message.span, $0) }) {
            return share.noteFailure(
                at: step.line, "the server closed with another reason", sample: Self.sample(message.span))
        }
        noteCompleted(step.measure, at: MonotonicTime.now().nanoseconds)
    }

    private func noteCompleted(_ measure: ExpectStep.Measure, at time: UInt64) {
        switch measure {
        case .nothing: break
        case .ofGroup: share.noteCompleted(from: sentAt, to: time)
        case .named(let index): share.measures[index].noteCompleted(from: sentAt, to: time)
        }
    }

    // MARK: Sending

    private mutating func send(_ step: SendStep, _ connection: borrowing Connection<ClientCommand>) {
        values.sequence += 1
        sentIsText = step.isText
        sentAt = MonotonicTime.now().nanoseconds
        switch step.payload {
        case .template(let template):
            if let literal = template.literal {
                sent = .literal(literal)
                deliver(literal.span, step, connection)
            } else {
                sent = .made
                guard let message = fill(template, step, connection) else { return }
                made = message
                deliver(message.span, step, connection)
            }
        case .generated(let size):
            // Room for 16 million messages before two connections use the same numbers.
            let number = UInt64(truncatingIfNeeded: seat.client &* 31 &+ seat.attempt) << 24 &+ UInt64(values.sequence)
            sent = .generated(number: number, byteCount: deliver(size, number, step, connection))
        }
    }

    /// A message from a template, in the memory of the one before it; nil where it cannot be made.
    private mutating func fill(
        _ template: ScriptTemplate, _ step: SendStep, _ connection: borrowing Connection<ClientCommand>
    ) -> [UInt8]? {
        var message: [UInt8] = []
        swap(&message, &made)
        message.removeAll(keepingCapacity: true)
        guard template.append(to: &message, values, &random) else {
            fail(step.line, "a value to send was not captured before", connection)
            return nil
        }
        if step.isText, template.hasCaptures, !Self.isText(message.span) {
            fail(step.line, "a captured value is not UTF-8, and cannot be sent as text", connection)
            return nil
        }
        return message
    }

    /// Generates message `number`; returns how many bytes it has.
    private mutating func deliver(
        _ size: SizeDistribution, _ number: UInt64, _ step: SendStep, _ connection: borrowing Connection<ClientCommand>
    ) -> Int {
        var sampler = SizeSampler(size, seed: random.next())
        let byteCount = sampler.next()
        unsafe share.pattern.withMessage(number, byteCount: byteCount) { bytes in
            // Safe: the bytes are lent for the call, which copies them.
            unsafe deliver(Span(_unsafeBytes: bytes), step, connection)
        }
        return byteCount
    }

    private mutating func deliver(
        _ bytes: Span<UInt8>, _ step: SendStep, _ connection: borrowing Connection<ClientCommand>
    ) {
        guard Self.send(bytes, isText: step.isText, connection) else {
            return fail(step.line, "a message was not sent: the server closes, or reads too slowly", connection)
        }
        share.noteSent(byteCount: bytes.count)
    }

    /// Answers what is answered at any time; false where it is nothing of the kind. The flow does not notice.
    private mutating func reply(
        to bytes: Span<UInt8>, _ isText: Bool, _ connection: borrowing Connection<ClientCommand>
    ) -> Bool {
        for reply in program.plan.replies {
            var fits = true
            for condition in reply.conditions where fits { fits = isMet(condition, bytes, isText) }
            guard fits else { continue }
            switch reply.send.payload {
            case .template(let template):
                if let literal = template.literal {
                    deliver(literal.span, reply.send, connection)
                } else {
                    let last = made
                    if let message = fill(template, reply.send, connection) {
                        deliver(message.span, reply.send, connection)
                    }
                    made = last
                }
            case .generated(let size): _ = deliver(size, 0, reply.send, connection)
            }
            return true
        }
        return false
    }

    private static func send(
        _ bytes: Span<UInt8>, isText: Bool, _ connection: borrowing Connection<ClientCommand>
    ) -> Bool {
        // Safe: the file is UTF-8, and what was captured has been checked; the calls copy the bytes.
        guard isText else { return unsafe connection.send(binary: bytes.bytes) }
        return unsafe connection.send(UTF8Span(unchecked: bytes))
    }

    private static func isText(_ bytes: Span<UInt8>) -> Bool { (try? UTF8Span(validating: bytes)) != nil }

    // MARK: Messages that come

    private mutating func came(
        _ bytes: Span<UInt8>, isText: Bool, _ connection: borrowing Connection<ClientCommand>
    ) {
        share.noteReceived(byteCount: bytes.count)
        if state != .over, !program.plan.replies.isEmpty, reply(to: bytes, isText, connection) { return }
        switch state {
        case .over: return
        case .expecting:
            guard case .expect(let step) = program.plan.steps[position] else { return }
            guard accept(bytes, isText, at: MonotonicTime.now().nanoseconds, step, connection) else { return }
            position += 1
            advance(connection)
        case .expectingClose:
            guard case .expectClose(let step) = program.plan.steps[position] else { return }
            if !program.plan.ignoresUnexpected { failForClose(step, Self.sample(bytes), connection) }
        case .idle, .running, .thinking: hold(bytes, isText, connection)
        }
    }

    /// For the next step that expects one.
    private mutating func hold(
        _ bytes: Span<UInt8>, _ isText: Bool, _ connection: borrowing Connection<ClientCommand>
    ) {
        guard program.hasExpectations else { return }
        let heldByteCount = held.reduce(bytes.count) { $0 + $1.bytes.count }
        if held.count == Self.heldCountMax || heldByteCount > Self.heldByteCountMax && !held.isEmpty {
            guard program.plan.ignoresUnexpected else {
                let oldest = held[0].bytes
                let sample = Self.sample(oldest.span)
                return fail(0, "messages came that no step expected", sample: sample, connection)
            }
            held.removeFirst()
        }
        // Safe: copied within the call.
        let copy = unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) }
        held.append(Held(bytes: copy, isText: isText, at: MonotonicTime.now().nanoseconds))
    }

    /// Whether it is the message that `step` waits for. One that is not is passed over, or ends the flow.
    private mutating func accept(
        _ bytes: Span<UInt8>, _ isText: Bool, at time: UInt64, _ step: ExpectStep,
        _ connection: borrowing Connection<ClientCommand>
    ) -> Bool {
        for (index, condition) in step.conditions.enumerated() where !isMet(condition, bytes, isText) {
            if !program.plan.ignoresUnexpected {
                fail(step.line, condition.unmet(program.plan), sample: Self.sample(bytes), connection)
            } else if index > near?.condition ?? 0 {
                near = (index, Self.sample(bytes))
            }
            return false
        }
        for capture in step.captures {
            guard let range = JSONText.find(capture.path, in: bytes) else {
                fail(step.line, "nothing to capture at \(capture.path)", sample: Self.sample(bytes), connection)
                return false
            }
            guard range.count <= ScriptTemplate.capturedByteCountMax else {
                fail(step.line, "what is to be captured at \(capture.path) is \(range.count) bytes long", connection)
                return false
            }
            var value: [UInt8] = []
            JSONText.append(range, of: bytes, to: &value)
            values.captured[capture.slot] = value
        }
        noteCompleted(step.measure, at: time)
        return true
    }

    private mutating func isMet(_ condition: ExpectStep.Condition, _ bytes: Span<UInt8>, _ isText: Bool) -> Bool {
        switch condition {
        case .echo: return isText == sentIsText && isEcho(bytes)
        case .contains(let template):
            return withText(template) { ByteText.contains(bytes, $0) }
        case .equals(let template): return withText(template) { ByteText.areEqual(bytes, $0) }
        case .matches(let index): return program.matches(index, bytes)
        case .json(let path, let template):
            guard let range = JSONText.find(path, in: bytes) else { return false }
            return withText(template) { JSONText.equals(range, of: bytes, $0) }
        }
    }

    /// Lends what a template of an expectation comes to; false where a value was not captured before.
    private mutating func withText(_ template: ScriptTemplate, _ body: (Span<UInt8>) -> Bool) -> Bool {
        if let literal = template.literal { return body(literal.span) }
        var text: [UInt8] = []
        return template.append(to: &text, values, &random) && body(text.span)
    }

    private func isEcho(_ bytes: Span<UInt8>) -> Bool {
        switch sent {
        case .nothing: return false
        case .literal(let literal): return ByteText.areEqual(bytes, literal.span)
        case .made: return ByteText.areEqual(bytes, made.span)
        case .generated(let number, let byteCount):
            // Safe: looked at within the call only.
            return unsafe bytes.withUnsafeBytes { unsafe share.pattern.matches($0, number, byteCount: byteCount) }
        }
    }

    /// The beginning of a message, for an error.
    private static func sample(_ bytes: Span<UInt8>) -> String {
        // Safe: copied within the call.
        let text = unsafe bytes.withUnsafeBytes { unsafe String(decoding: $0.prefix(240), as: UTF8.self) }
        return Printable.text(Printable.short(text, 120))
    }
}

extension ExpectStep.Condition {
    /// What is wrong with a message that does not meet it.
    func unmet(_ plan: ScriptPlan) -> String {
        switch self {
        case .echo: "the answer is not what was sent"
        case .contains: "the answer does not contain what was expected"
        case .equals: "the answer is not the expected one"
        case .matches(let index): "the answer does not match \(Printable.short(plan.patterns[index]))"
        case .json(let path, _): "the answer's \(path) is not the expected one"
        }
    }
}
