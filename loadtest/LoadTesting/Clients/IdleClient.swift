// SPDX-License-Identifier: Apache-2.0

internal import Roost
internal import RoostRuntime

/// A connection that is opened and held. There may be very many: it holds next to nothing.
struct IdleClient: LoadClient {
    private let share: ClientShare
    private let slot: UInt32
    private var isOpen = false

    init(_ share: ClientShare, _ seat: Seat) {
        self.share = share
        slot = UInt32(seat.slot)
        share.keep(seat)
    }

    mutating func opened(_ connection: borrowing Connection<ClientCommand>) {
        isOpen = true
        if let missed = share.opened(slot: Int(slot), connection.address) { receive(missed, connection) }
    }

    mutating func receive(_ command: ClientCommand, _ connection: borrowing Connection<ClientCommand>) {
        switch command {
        case .begin, .next: break
        case .end: connection.close()
        case .drop: connection.abort()
        }
    }

    mutating func text(_ text: UTF8Span, _ connection: borrowing Connection<ClientCommand>) {
        share.noteReceived(byteCount: text.span.count)
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<ClientCommand>) {
        share.noteReceived(byteCount: bytes.byteCount)
    }

    mutating func terminated(_ reason: CloseReason, _ connection: borrowing Connection<ClientCommand>) {
        share.ended(slot: Int(slot), reason, wasOpen: isOpen, isExpected: false)
    }
}
