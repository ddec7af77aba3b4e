import RoostWebSocket
import Testing

/// RFC 6455 §7: every event in every state.
@Suite struct CloseHandshakeTests {
    static let start: UInt64 = 1_000_000_000_000
    static let timeout: UInt64 = 5_000_000_000
    static let ours = ClosePayload(code: .goingAway, reason: "restart")
    static let theirs = ClosePayload(code: CloseCode(rawValue: 4_000), reason: "bye")

    enum State: Equatable, CaseIterable { case open, closeSent, closeReceived, closed }

    enum Event: CaseIterable {
        case close, receivedClose, fail, flushed, earlyTimer, dueTimer, transportEnded
    }

    static func machine(_ state: State) -> CloseHandshake {
        switch state {
        case .open: .open
        case .closeSent: .closeSent(deadline: start + timeout)
        case .closeReceived: .closeReceived(deadline: start + timeout)
        case .closed: .closed
        }
    }

    static func state(_ machine: borrowing CloseHandshake) -> State {
        switch machine {
        case .open: .open
        case .closeSent: .closeSent
        case .closeReceived: .closeReceived
        case .closed: .closed
        }
    }

    static func apply(
        _ event: Event, as role: FrameRole, to machine: inout CloseHandshake
    ) -> CloseHandshake.Action {
        switch event {
        case .close: machine.close(with: ours, at: start, timeout: timeout)
        case .receivedClose: machine.receivedClose(theirs, as: role, at: start, timeout: timeout)
        case .fail:
            machine.fail(with: ClosePayload(code: .protocolError), at: start, timeout: timeout)
        case .flushed: machine.flushed(as: role)
        case .earlyTimer: machine.deadlinePassed(at: start + timeout - 1)
        case .dueTimer: machine.deadlinePassed(at: start + timeout)
        case .transportEnded: machine.transportEnded()
        }
    }

    /// Where each event leads and what it asks for; what is missing changes nothing and asks for nothing.
    static func expected(_ state: State, _ event: Event, _ role: FrameRole) -> (State, CloseHandshake.Action) {
        switch (state, event) {
        case (.open, .close): (.closeSent, .send(ours))
        case (.open, .receivedClose): (.closeReceived, .send(ClosePayload(code: CloseCode(rawValue: 4_000))))
        case (.open, .fail): (.closeReceived, .send(ClosePayload(code: .protocolError)))
        case (.closeSent, .receivedClose): role == .server ? (.closed, .closeTransport) : (.closeReceived, .none)
        case (.closeSent, .fail): (.closed, .closeTransport)
        case (.closeReceived, .flushed): role == .server ? (.closed, .closeTransport) : (.closeReceived, .none)
        case (.closeSent, .dueTimer), (.closeReceived, .dueTimer): (.closed, .closeTransport)
        case (.open, .transportEnded), (.closeSent, .transportEnded), (.closeReceived, .transportEnded):
            (.closed, .closeTransport)
        default: (state, .none)
        }
    }

    @Test("every event in every state", arguments: State.allCases, Event.allCases)
    func transitions(state: State, event: Event) {
        for role in [FrameRole.server, .client] {
            var machine = Self.machine(state)
            let action = Self.apply(event, as: role, to: &machine)
            let (expectedState, expectedAction) = Self.expected(state, event, role)
            #expect(action == expectedAction)
            #expect(Self.state(machine) == expectedState)
        }
    }

    @Test("after any two events at most one close frame was asked for, and nothing after the transport closed")
    func sendsOneCloseFrame() {
        for first in Event.allCases {
            for second in Event.allCases {
                for third in Event.allCases {
                    var machine = CloseHandshake.open
                    var actions: [CloseHandshake.Action] = []
                    for event in [first, second, third] {
                        actions.append(Self.apply(event, as: .server, to: &machine))
                    }
                    let sendCount = actions.count { if case .send = $0 { true } else { false } }
                    #expect(sendCount <= 1)
                    if let end = actions.firstIndex(of: .closeTransport) {
                        #expect(actions[(end + 1)...].allSatisfy { $0 == .none })
                    }
                }
            }
        }
    }

    @Test("the first deadline stands")
    func keepsTheFirstDeadline() {
        var machine = CloseHandshake.open
        let none = machine.deadline
        #expect(none == nil)
        _ = machine.close(with: Self.ours, at: Self.start, timeout: Self.timeout)
        _ = machine.close(with: Self.theirs, at: Self.start + 3_000_000_000, timeout: Self.timeout)
        let deadline = machine.deadline
        #expect(deadline == Self.start + Self.timeout)
        let reply = machine.receivedClose(
            Self.theirs, as: .client, at: Self.start + 4_000_000_000, timeout: Self.timeout)
        #expect(reply == .none)
        let after = machine.deadline
        #expect(after == Self.start + Self.timeout)
    }

    @Test("a close frame without a code is answered without a code")
    func answersEmptyWithEmpty() {
        var machine = CloseHandshake.open
        let action = machine.receivedClose(.empty, as: .server, at: Self.start, timeout: Self.timeout)
        #expect(action == .send(.empty))
    }

    @Test("data may be sent until our close frame was, received until the peer's was", arguments: State.allCases)
    func permissions(state: State) {
        let machine = Self.machine(state)
        let maySend = machine.maySendMessages
        let mayReceive = machine.mayReceive
        #expect(maySend == (state == .open))
        #expect(mayReceive == (state == .open || state == .closeSent))
    }
}
