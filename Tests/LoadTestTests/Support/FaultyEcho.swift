// SPDX-License-Identifier: Apache-2.0

import Roost

/// An echo that does something wrong, known exactly, with some of a connection's messages.
struct FaultyEcho: ConnectionHandler {
    enum Fault: Sendable, CaseIterable {
        case changedFirstByte, changedLastByte, shorter, longer, otherKind, dropped, twice, swapped
    }

    let fault: Fault
    /// Messages of a connection, from 1, that it happens to; with `swapped` the next leaves before each.
    let places: Set<Int>
    /// Faults of all connections.
    let faultCount: Counter
    private var number = 0
    private var held: [UInt8]?

    init(_ fault: Fault, at places: Set<Int>, _ faultCount: Counter = Counter()) {
        self.fault = fault
        self.places = places
        self.faultCount = faultCount
    }

    mutating func binary(_ bytes: RawSpan, _ connection: borrowing Connection<Never>) {
        // Safe: copied within the call.
        var copy = unsafe bytes.withUnsafeBytes { unsafe Array($0) }
        number += 1
        guard places.contains(number) else {
            connection.send(binary: copy)
            if let held { connection.send(binary: held) }
            held = nil
            return
        }
        faultCount.next()
        switch fault {
        case .dropped: return
        case .swapped:
            held = copy
            return
        case .changedFirstByte: copy[0] ^= 1
        case .changedLastByte: copy[copy.count - 1] ^= 1
        case .shorter: copy.removeLast()
        case .longer: copy.append(0)
        case .otherKind: return connection.send(String(decoding: copy, as: UTF8.self)).ignored
        case .twice: connection.send(binary: copy)
        }
        connection.send(binary: copy)
    }
}
