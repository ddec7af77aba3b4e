/// The closing handshake of one connection (RFC 6455 §7).
///
/// Pure: it owns no socket and reads no clock. The caller passes the time, in nanoseconds of a clock of its choice, and
/// performs the returned action. (Plain integers: a state lives in every connection, and an `Instant` takes twice the
/// room.)
package enum CloseHandshake: ~Copyable {
    case open
    /// We sent a close frame and wait for the peer's until `deadline`.
    case closeSent(deadline: UInt64)
    /// Nothing more is read as messages: the peer's close frame came, or it broke a rule. Our last frame is on its
    /// way; the transport ends when that is flushed (server) or when the peer ends it (client), at the latest at
    /// `deadline`.
    case closeReceived(deadline: UInt64)
    /// The transport is closed or to be closed.
    case closed

    package enum Action: Equatable, Sendable {
        /// Queue a close frame with this payload. It is the last frame sent.
        case send(ClosePayload)
        /// Close the transport now, whatever is unsent.
        case closeTransport
        case none
    }

    /// True while data frames may be sent: until our close frame was (RFC 6455 §5.5.1).
    package var maySendMessages: Bool {
        switch self {
        case .open: true
        case .closeSent: false
        case .closeReceived: false
        case .closed: false
        }
    }

    /// True while what the peer sends has to be decoded: its messages, or after our close frame its answer.
    package var mayReceive: Bool {
        switch self {
        case .open: true
        case .closeSent: true
        case .closeReceived: false
        case .closed: false
        }
    }

    /// When `deadlinePassed(at:)` is to be called, or nil.
    package var deadline: UInt64? {
        switch self {
        case .open: nil
        case .closeSent(let deadline): deadline
        case .closeReceived(let deadline): deadline
        case .closed: nil
        }
    }

    /// The application or the server asked to close.
    package mutating func close(
        with payload: ClosePayload, at now: UInt64, timeout: UInt64
    ) -> Action {
        switch consume self {
        case .open:
            self = .closeSent(deadline: now + timeout)
            return .send(payload)
        case .closeSent(let deadline):
            self = .closeSent(deadline: deadline)  // asked twice: the first request stands
            return .none
        case .closeReceived(let deadline):
            self = .closeReceived(deadline: deadline)
            return .none
        case .closed:
            self = .closed
            return .none
        }
    }

    /// The peer's close frame arrived (RFC 6455 §5.5.1, §7.1.1).
    package mutating func receivedClose(
        _ payload: ClosePayload, as role: FrameRole, at now: UInt64, timeout: UInt64
    ) -> Action {
        switch consume self {
        case .open:
            self = .closeReceived(deadline: now + timeout)
            return .send(payload.reply)
        case .closeSent(let deadline):
            switch role {
            case .server:
                self = .closed
                return .closeTransport
            case .client:
                self = .closeReceived(deadline: deadline)  // the server closes the transport first
                return .none
            }
        case .closeReceived(let deadline):
            self = .closeReceived(deadline: deadline)  // nothing after the first close frame counts
            return .none
        case .closed:
            self = .closed
            return .none
        }
    }

    /// The peer broke a rule: tell it, then close without waiting for its answer (RFC 6455 §7.1.7).
    package mutating func fail(
        with payload: ClosePayload, at now: UInt64, timeout: UInt64
    ) -> Action {
        switch consume self {
        case .open:
            self = .closeReceived(deadline: now + timeout)
            return .send(payload)
        case .closeSent:
            self = .closed  // our close frame went out before: there is nothing more to say
            return .closeTransport
        case .closeReceived(let deadline):
            self = .closeReceived(deadline: deadline)
            return .none
        case .closed:
            self = .closed
            return .none
        }
    }

    /// Everything queued, our close frame included, has been handed to the transport.
    package mutating func flushed(as role: FrameRole) -> Action {
        switch consume self {
        case .open:
            self = .open
            return .none
        case .closeSent(let deadline):
            self = .closeSent(deadline: deadline)
            return .none
        case .closeReceived(let deadline):
            switch role {
            case .server:
                self = .closed
                return .closeTransport
            case .client:
                self = .closeReceived(deadline: deadline)
                return .none
            }
        case .closed:
            self = .closed
            return .none
        }
    }

    /// Time has passed. Closes the transport if a deadline has been reached.
    package mutating func deadlinePassed(at now: UInt64) -> Action {
        switch consume self {
        case .open:
            self = .open
            return .none
        case .closeSent(let deadline):
            self = now >= deadline ? .closed : .closeSent(deadline: deadline)
            return now >= deadline ? .closeTransport : .none
        case .closeReceived(let deadline):
            self = now >= deadline ? .closed : .closeReceived(deadline: deadline)
            return now >= deadline ? .closeTransport : .none
        case .closed:
            self = .closed
            return .none
        }
    }

    /// The peer ended the transport, or it broke.
    package mutating func transportEnded() -> Action {
        switch consume self {
        case .open:
            self = .closed
            return .closeTransport
        case .closeSent:
            self = .closed
            return .closeTransport
        case .closeReceived:
            self = .closed
            return .closeTransport
        case .closed:
            self = .closed
            return .none
        }
    }
}
