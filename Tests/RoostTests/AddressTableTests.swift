// SPDX-License-Identifier: Apache-2.0

import RoostHTTP
import Synchronization
import Testing

@testable import Roost

private let second: UInt64 = 1_000_000_000
private let client = IPAddress("192.0.2.1")!

private func limits(count: Int = 0, rate: Int = 0, burst: Int = 0) -> AddressLimits {
    var limits = AddressLimits()
    limits.connectionCountMax = count
    limits.connectsPerSecond = rate
    limits.connectBurst = burst
    return limits
}

/// The `index`th of many addresses.
private func address(_ index: Int) -> IPAddress { IPAddress(ipv4NetworkOrder: UInt32(index + 1)) }

@Suite struct AddressTableTests {
    @Test("an address has as many connections as the limit, and no more; others have theirs", arguments: [1, 2, 100])
    func limit(count: Int) {
        let table = AddressTable(limits(count: count))
        for _ in 0..<count { #expect(table.admit(client, at: 0) == .admitted) }
        #expect(table.admit(client, at: 0) == .tooMany)
        #expect(table.admit(client, at: 1_000 * second) == .tooMany)
        #expect(table.admit(address(7), at: 0) == .admitted)
    }

    @Test("a connection that ends makes room for one; those that were refused did not count")
    func release() {
        let table = AddressTable(limits(count: 2))
        #expect([0, 1, 2, 3].map { table.admit(client, at: $0) } == [.admitted, .admitted, .tooMany, .tooMany])
        table.release(client)
        #expect([4, 5].map { table.admit(client, at: $0) } == [.admitted, .tooMany])
        table.release(client)
        table.release(client)
        #expect(table.count == 0)
        #expect([6, 7, 8].map { table.admit(client, at: $0) } == [.admitted, .admitted, .tooMany])
    }

    @Test(
        "the burst is admitted at once, then one for each interval",
        arguments: [(1, 1), (10, 1), (10, 3), (1, 5), (1_000, 1_000), (1_000_000, 2)])
    func rate(perSecond: Int, burst: Int) {
        let table = AddressTable(limits(rate: perSecond, burst: burst))
        let interval = second / UInt64(perSecond)
        let now = 10 * second
        for _ in 0..<burst { #expect(table.admit(client, at: now) == .admitted) }
        #expect(table.admit(client, at: now) == .tooOften)
        #expect(table.admit(client, at: now + interval - 1) == .tooOften)
        #expect(table.admit(client, at: now + interval) == .admitted)
        #expect(table.admit(client, at: now + interval) == .tooOften)
        // A long pause refills the burst, and no more than that.
        let later = now + 1_000_000 * second
        for _ in 0..<burst { #expect(table.admit(client, at: later) == .admitted) }
        #expect(table.admit(client, at: later) == .tooOften)
    }

    @Test("without a burst of its own the rate's second is the burst")
    func defaultBurst() {
        let table = AddressTable(limits(rate: 5))
        for _ in 0..<5 { #expect(table.admit(client, at: second) == .admitted) }
        #expect(table.admit(client, at: second) == .tooOften)
    }

    @Test("who is refused for the one bound uses up nothing of the other")
    func bothBounds() {
        let table = AddressTable(limits(count: 1, rate: 1, burst: 2))
        #expect(table.admit(client, at: 0) == .admitted)
        for _ in 0..<10 { #expect(table.admit(client, at: 0) == .tooMany) }
        table.release(client)
        #expect(table.admit(client, at: 0) == .admitted)
        table.release(client)
        for _ in 0..<10 { #expect(table.admit(client, at: 0) == .tooOften) }
        #expect(table.admit(client, at: second) == .admitted)
        #expect(table.admit(client, at: second) == .tooMany)
    }

    @Test("a closed connection does not make its address forget how often it came")
    func rateOutlivesConnections() {
        let table = AddressTable(limits(rate: 1, burst: 1))
        #expect(table.admit(client, at: 0) == .admitted)
        table.release(client)
        #expect(table.admit(client, at: second - 1) == .tooOften)
        #expect(table.count == 1)
    }

    @Test("without a rate an address is forgotten with its last connection")
    func forgets() {
        let table = AddressTable(limits(count: 3))
        for index in 0..<10_000 { #expect(table.admit(address(index), at: 0) == .admitted) }
        #expect(table.count == 10_000)
        for index in 0..<10_000 { table.release(address(index)) }
        #expect(table.count == 0)
    }

    @Test("addresses that came and went are swept: a flood of new ones takes no memory without end")
    func sweeps() {
        let table = AddressTable(limits(rate: 1_000, burst: 1))
        // Those that stay are never swept.
        let staying = (0..<100).map { address(1_000_000 + $0) }
        for address in staying { #expect(table.admit(address, at: 0) == .admitted) }
        for index in 0..<200_000 {
            #expect(table.admit(address(index), at: UInt64(index) * second) == .admitted)
            table.release(address(index))
        }
        #expect(table.count <= 16 * 1_025 + staying.count)
        // They are still counted: released once each, they are gone with the next sweep, not before.
        for address in staying { #expect(table.admit(address, at: 300_000 * second) == .admitted) }
        for address in staying {
            table.release(address)
            table.release(address)
        }
    }

    @Test("a sweep keeps who is not within its rate yet")
    func sweepKeepsDebts() {
        let table = AddressTable(limits(rate: 1, burst: 1))
        for index in 0..<40_000 {
            #expect(table.admit(address(index), at: 5) == .admitted)
            table.release(address(index))
        }
        for index in 0..<40_000 { #expect(table.admit(address(index), at: 6) == .tooOften) }
    }

    @Test("IPv6 clients count by their /64, IPv4-mapped ones as IPv4")
    func keys() throws {
        func key(_ text: String) throws -> IPAddress { try #require(IPAddress(text)).limitKey }
        let table = AddressTable(limits(count: 1))
        #expect(try table.admit(key("2001:db8:1:2::1"), at: 0) == .admitted)
        #expect(try table.admit(key("2001:db8:1:2:ffff:ffff:ffff:ffff"), at: 0) == .tooMany)
        #expect(try table.admit(key("2001:db8:1:3::1"), at: 0) == .admitted)
        #expect(try table.admit(key("192.0.2.1"), at: 0) == .admitted)
        #expect(try table.admit(key("::ffff:192.0.2.1"), at: 0) == .tooMany)
        #expect(try table.admit(key("192.0.2.2"), at: 0) == .admitted)
        try table.release(key("2001:db8:1:2:abcd::"))
        #expect(try table.admit(key("2001:db8:1:2::1"), at: 0) == .admitted)
    }

    @Test("threads that come and go at once never pass the limit, and end at nothing")
    func concurrency() async {
        let limit = 5
        let table = AddressTable(limits(count: limit))
        let held = (0..<8).map { _ in Counter() }
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    var generator = SeededGenerator(seed: UInt64(worker))
                    for _ in 0..<20_000 {
                        let index = Int.random(in: 0..<held.count, using: &generator)
                        guard table.admit(address(index), at: 0) == .admitted else { continue }
                        #expect(held[index].add(1) <= limit)
                        _ = held[index].add(-1)
                        table.release(address(index))
                    }
                }
            }
        }
        #expect(table.count == 0)
        for index in held.indices {
            for _ in 0..<limit { #expect(table.admit(address(index), at: 0) == .admitted) }
            #expect(table.admit(address(index), at: 0) == .tooMany)
        }
    }
}

private final class Counter: Sendable {
    private let value = Atomic<Int>(0)
    /// The value that it has then.
    func add(_ amount: Int) -> Int { value.add(amount, ordering: .sequentiallyConsistent).newValue }
}
