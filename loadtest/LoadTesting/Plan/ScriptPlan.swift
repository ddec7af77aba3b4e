// SPDX-License-Identifier: Apache-2.0

/// The flow of a group of a scenario file, as a flat program: what its clients do, step by step.
///
/// Made by `FlowReader`, which checks what the interpreter (`ScriptClient`) relies on: positions, slots and indices are
/// in range, and every endless loop waits somewhere.
package struct ScriptPlan: Codable, Sendable, Equatable {
    package var steps: [ScriptStep] = []
    /// Of `Condition.matches`, in the order of their indices.
    package var patterns: [String] = []
    /// Names of captured values, by slot.
    package var captureNames: [String] = []
    /// Loops that may be under way at one time, one in another.
    package var loopDepth = 0
    /// Names of `Measure.named`, by index; and the groups of the plan that they are measured into.
    package var measureNames: [String] = []
    package var measureGroups: [Int] = []
    /// A message that is not the expected one is passed over, and the wait goes on.
    package var ignoresUnexpected = false
    /// What is answered whenever it comes; the first that fits.
    package var replies: [ScriptReply] = []
    /// How long a connection lives at most; nil: until its flow ends.
    package var lifetime: ThinkTime?

    package init() {}

    package var hasExpectations: Bool {
        steps.contains { if case .expect = $0 { true } else { false } }
    }

    /// The server's close is waited for.
    var awaitsClose: Bool {
        steps.contains { if case .expectClose = $0 { true } else { false } }
    }

    /// Something is done before the run's work begins.
    var hasPreparation: Bool { steps.contains(.waitForBegin) }

    private var payloads: [SendStep.Payload] {
        steps.compactMap { if case .send(let send) = $0 { send.payload } else { nil } } + replies.map(\.send.payload)
    }

    /// Of the largest generated message.
    var generatedByteCountMax: Int {
        payloads.reduce(0) { if case .generated(let size) = $1 { max($0, size.byteCountMax) } else { $0 } }
    }

    /// Of the largest message, whatever it is made from.
    var byteCountMax: Int {
        payloads.reduce(0) { most, payload in
            switch payload {
            case .template(let template): max(most, template.byteCountMax)
            case .generated(let size): max(most, size.byteCountMax)
            }
        }
    }
}

package enum ScriptStep: Codable, Sendable, Equatable {
    case send(SendStep)
    case expect(ExpectStep)
    case expectClose(ExpectCloseStep)
    case think(ThinkTime)
    /// Goes on behind the loop's end, at `end`, where there is nothing to repeat. `count` nil: for ever. Loop number
    /// `loop` counts from here.
    case loop(Int, count: Int?, end: Int)
    /// Back to `start`, the first step within, while loop number `loop` has turns left.
    case loopEnd(Int, start: Int)
    case close(code: UInt16, reason: String)
    case waitForBegin
}

package struct SendStep: Codable, Sendable, Equatable {
    /// Of the file.
    package var line: Int
    package var isText: Bool
    package var payload: Payload

    package enum Payload: Codable, Sendable, Equatable {
        case template(ScriptTemplate)
        /// Letters, with a number of their own (`MessagePattern`).
        case generated(SizeDistribution)
    }
}

/// What an awaited message has to be. All conditions hold, or it is not the one.
package struct ExpectStep: Codable, Sendable, Equatable {
    /// Of the file.
    package var line: Int
    package var conditions: [Condition]
    package var captures: [Capture]
    package var timeoutSeconds: Double
    package var measure: Measure

    package enum Condition: Codable, Sendable, Equatable {
        /// The message last sent, of the same kind.
        case echo
        case contains(ScriptTemplate)
        case equals(ScriptTemplate)
        /// The regular expression of this index.
        case matches(Int)
        case json(JSONPath, ScriptTemplate)
    }

    /// Keeps a value of the message in a slot.
    package struct Capture: Codable, Sendable, Equatable {
        package var slot: Int
        package var path: JSONPath
    }

    /// What the time from the last sending to the message counts as.
    package enum Measure: Codable, Sendable, Equatable {
        case nothing
        case ofGroup
        case named(Int)
    }
}

/// How the server is to close. The flow is over with it.
package struct ExpectCloseStep: Codable, Sendable, Equatable {
    /// Of the file.
    package var line: Int
    /// Nil: any that a close frame may have, or none. 1005: a close frame without one; 1006: no close frame (RFC 6455
    /// §7.4.1).
    package var code: UInt16?
    /// Nil: any.
    package var reason: ScriptTemplate?
    package var timeoutSeconds: Double
    package var measure: ExpectStep.Measure
}

/// A message that is answered at any time, beside the flow.
package struct ScriptReply: Codable, Sendable, Equatable {
    /// All hold; `echo` is none of them.
    package var conditions: [ExpectStep.Condition]
    package var send: SendStep
}

/// A wait, in seconds.
package enum ThinkTime: Codable, Sendable, Equatable {
    case constant(Double)
    case uniform(Double, Double)
    case exponential(mean: Double, max: Double)
    case lognormal(median: Double, sigma: Double, max: Double)
    case choice([WeightedTime])

    package struct WeightedTime: Codable, Sendable, Equatable {
        package var seconds: Double
        package var weight: Double
    }
}

/// A message with places that are filled in when it is sent.
package struct ScriptTemplate: Codable, Sendable, Equatable {
    package var pieces: [Piece]

    package enum Piece: Codable, Sendable, Equatable {
        case literal([UInt8])
        /// Number of the client in its group, from 0; of its connection, from 0; of the message on it, from 1.
        case client, attempt, sequence
        /// Milliseconds since 1970.
        case milliseconds
        /// A whole number, both ends included.
        case random(Int, Int)
        /// Version 4 (RFC 9562).
        case uuid
        /// The value in this slot.
        case captured(Int)
    }

    /// Of a captured value: longer ones are a failure.
    static let capturedByteCountMax = 65_536

    init(_ pieces: [Piece]) { self.pieces = pieces }

    /// The bytes, where they are always the same.
    var literal: [UInt8]? {
        if pieces.isEmpty { return [] }
        guard pieces.count == 1, case .literal(let bytes) = pieces[0] else { return nil }
        return bytes
    }

    /// May hold bytes that came from outside, and that are perhaps no UTF-8.
    var hasCaptures: Bool {
        pieces.contains { if case .captured = $0 { true } else { false } }
    }

    var byteCountMax: Int {
        pieces.reduce(0) { sum, piece in
            switch piece {
            case .literal(let bytes): sum + bytes.count
            case .client, .attempt, .sequence, .milliseconds, .random: sum + 20
            case .uuid: sum + 36
            case .captured: sum + Self.capturedByteCountMax
            }
        }
    }
}
