// SPDX-License-Identifier: Apache-2.0

internal import CRoostTLS

/// The keys that tickets for resumption are protected with. They outlive the context that they were made for where the
/// next one goes on with them.
///
/// The object behind the pointer has its own lock.
@safe final class TLSTickets: @unchecked Sendable {
    let pointer: OpaquePointer

    /// No session is resumed later than this after its full handshake (RFC 8446 §4.6.1 allows seven days).
    static let secondsMax: Int64 = 24 * 3600

    init?() {
        guard let made = unsafe roost_tls_tickets_create(Self.secondsMax) else { return nil }
        unsafe pointer = unsafe made
    }

    deinit { unsafe roost_tls_tickets_destroy(pointer) }
}
