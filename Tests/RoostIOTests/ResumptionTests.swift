// SPDX-License-Identifier: Apache-2.0

import CRoostTLS
import CSSL
import RoostTestTLS
import Testing

@testable import RoostIO

/// What a client keeps of a session in order to resume it.
final class Ticket {
    let session: OpaquePointer
    init(_ session: OpaquePointer) { self.session = session }
    deinit { SSL_SESSION_free(session) }

    /// What the server is shown.
    var bytes: [UInt8] {
        var start: UnsafePointer<UInt8>?
        var count = 0
        SSL_SESSION_get0_ticket(session, &start, &count)
        return Array(UnsafeBufferPointer(start: start, count: count))
    }
}

extension Pair {
    /// After a handshake.
    func takeTicket() -> Ticket {
        #expect(server.send([0]) == .bytes(1))
        #expect(client.receiveAll().bytes == [0])  // TLS 1.3: the ticket came before it
        // A session that is freed without it may not be resumed (SSL_shutdown(3)).
        SSL_set_shutdown(client.ssl, SSL_SENT_SHUTDOWN)
        return Ticket(SSL_get1_session(client.ssl))
    }

    func resume(_ ticket: Ticket) { #expect(SSL_set_session(client.ssl, ticket.session) == 1) }
}

struct ResumptionTests {
    private func isResumed(_ ticket: Ticket, by server: TLSContext, _ version: TLSVersion) throws -> (Bool, Ticket) {
        let pair = try Pair(server, TLSClientContext(.test))
        pair.limitClient(to: version)
        pair.resume(ticket)
        #expect(pair.handshake().isDone)
        #expect(pair.server.negotiated.isResumed == pair.client.negotiated.isResumed)
        return (pair.server.negotiated.isResumed, pair.takeTicket())
    }

    @Test(
        "RFC 8446 §4.6.1, RFC 5077: a ticket resumes a session, and is followed by another",
        arguments: TLSVersion.allCases)
    func resumes(version: TLSVersion) throws {
        let first = try Pair.established(version: version)
        let (isResumed, next) = try isResumed(first.takeTicket(), by: first.serverContext, version)
        #expect(isResumed)
        #expect(try self.isResumed(next, by: first.serverContext, version).0)
    }

    @Test("RFC 8446 §C.4: every resumption brings a ticket of its own, since a client uses one once")
    func renews() throws {
        let first = try Pair.established(version: .tls13)
        var ticket = first.takeTicket()
        for round in 1...3 {
            let (isResumed, next) = try isResumed(ticket, by: first.serverContext, .tls13)
            #expect(isResumed, "round \(round)")
            #expect(next.bytes != ticket.bytes, "round \(round)")
            ticket = next
        }
    }

    @Test("A ticket outlives a reload that keeps the keys, and no other", arguments: TLSVersion.allCases)
    func survivesReload(version: TLSVersion) throws {
        let first = try Pair.established(version: version)
        let ticket = first.takeTicket()
        let reloaded = try TLSContext(.test, keepingTicketsOf: first.serverContext)
        #expect(try isResumed(ticket, by: reloaded, version).0)
        #expect(try !isResumed(ticket, by: TLSContext(.test), version).0)
    }

    @Test("A ticket is worth nothing where clients are verified in another way", arguments: TLSVersion.allCases)
    func endsWithVerification(version: TLSVersion) throws {
        let first = try Pair.established(version: version)
        let stricter = TLSConfiguration.test.with {
            $0.clientCertificates = .optional
            $0.clientCAFile = TestCertificates.authorityFile
        }
        let reloaded = try TLSContext(stricter, keepingTicketsOf: first.serverContext)
        #expect(try !isResumed(first.takeTicket(), by: reloaded, version).0)
    }

    @Test(
        "A key that has been replaced is accepted for as long again, and then no more", arguments: TLSVersion.allCases)
    func rotatesKeys(version: TLSVersion) throws {
        let first = try Pair.established(version: version)
        let ticket = first.takeTicket()
        let tickets = first.serverContext.tickets.pointer
        roost_tls_tickets_advance(tickets, TLSTickets.secondsMax / 2)
        let (isResumed, renewed) = try isResumed(ticket, by: first.serverContext, version)
        #expect(isResumed)
        roost_tls_tickets_advance(tickets, TLSTickets.secondsMax / 2 - 60)
        #expect(try self.isResumed(renewed, by: first.serverContext, version).0)
        roost_tls_tickets_advance(tickets, 60)
        #expect(try !self.isResumed(ticket, by: first.serverContext, version).0)
    }

    @Test("No chain of resumptions goes further than a day", arguments: TLSVersion.allCases)
    func endsWithinADay(version: TLSVersion) throws {
        let first = try Pair.established(version: version)
        var ticket = first.takeTicket()
        let hours = Int(TLSTickets.secondsMax / 3600)
        for hour in 1...hours {
            roost_tls_tickets_advance(first.serverContext.tickets.pointer, 3600)
            let (isResumed, next) = try isResumed(ticket, by: first.serverContext, version)
            #expect(isResumed == (hour < hours), "hour \(hour)")
            ticket = next
        }
        // That was a full handshake: a new day begins.
        #expect(try isResumed(ticket, by: first.serverContext, version).0)
    }

    @Test("A ticket that somebody has changed is passed over", arguments: TLSVersion.allCases)
    func ignoresDamage(version: TLSVersion) throws {
        let first = try Pair.established(version: version)
        let ticket = first.takeTicket()
        var bytes: UnsafePointer<UInt8>?
        var count = 0
        SSL_SESSION_get0_ticket(ticket.session, &bytes, &count)
        #expect(count > 64)
        // Safe: the session's own memory, which nobody else reads meanwhile.
        for index in [0, 20, 40, count - 1] {
            UnsafeMutablePointer(mutating: bytes!)[index] ^= 1
            #expect(try !isResumed(ticket, by: first.serverContext, version).0, "byte \(index)")
            UnsafeMutablePointer(mutating: bytes!)[index] ^= 1
        }
    }
}
