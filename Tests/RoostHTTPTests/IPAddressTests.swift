import RoostHTTP
import Testing

@Suite struct IPAddressTests {
    @Test(
        "addresses are read and written canonically (RFC 5952)",
        arguments: [
            ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::", "::"),
            ("::1", "::1"), ("2001:DB8::0:1", "2001:db8::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
            ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("0:0:0:0:0:0:0:1", "::1"), ("::ffff:192.0.2.1", "192.0.2.1"),
            ("::FFFF:c000:201", "192.0.2.1"), ("64:ff9b::192.0.2.1", "64:ff9b::c000:201"),
            ("fe80::ffff:ffff:ffff:ffff", "fe80::ffff:ffff:ffff:ffff"),
        ])
    func reads(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
        #expect(address.isIPv4 == !canonical.contains(":"))
    }

    @Test(
        "what is no address is refused",
        arguments: [
            "", " ", "localhost", "192.0.2", "192.0.2.1.1", "192.0.2.256", "192.0.02.1", "192.0.2.1 ", " 192.0.2.1",
            "192.0.2.1:80", "0x7f.0.0.1", "2130706433", "1.2.3.-4", "[::1]", "::1%eth0", "fe80::1%1", ":::", "1::2::3",
            "12345::", "::g", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "192.0.2.1\0", "::1\0x", "١.١.١.١", "::ffff:1.2.3",
        ])
    func refuses(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("RFC 4291 §2.5.5.2: an IPv4-mapped address is the IPv4 address")
    func mapped() throws {
        let mapped = try #require(IPAddress("::ffff:10.1.2.3"))
        let ipv4 = try #require(IPAddress("10.1.2.3"))
        #expect(mapped == ipv4)
        #expect(mapped.hashValue == ipv4.hashValue)
        #expect(mapped.ipv4NetworkOrder == ipv4.ipv4NetworkOrder)
        #expect(IPAddress("::10.1.2.3") != ipv4, "the deprecated compatible form is another address")
    }

    @Test("numbers are taken and given in network order")
    func networkOrder() throws {
        let ipv4 = IPAddress(ipv4NetworkOrder: UInt32(0xC000_0201).bigEndian)
        #expect(ipv4.description == "192.0.2.1")
        #expect(ipv4.ipv4NetworkOrder == UInt32(0xC000_0201).bigEndian)
        #expect(ipv4.ipv6NetworkOrder.high == 0)
        #expect(ipv4.ipv6NetworkOrder.low == UInt64(0x0000_FFFF_C000_0201).bigEndian)
        let ipv6 = IPAddress(
            ipv6NetworkOrder: UInt64(0x2001_0DB8_0000_0000).bigEndian, UInt64(0x0000_0000_0000_0001).bigEndian)
        #expect(ipv6.description == "2001:db8::1")
        #expect(ipv6.ipv4NetworkOrder == nil)
        #expect(ipv6.ipv6NetworkOrder == (UInt64(0x2001_0DB8_0000_0000).bigEndian, UInt64(1).bigEndian))
    }

    @Test(
        "limits count IPv4 by address, IPv6 by /64",
        arguments: [
            ("192.0.2.1", "192.0.2.1", true), ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true), ("2001:db8::1", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::", "2001:db8:0:0:ffff:ffff:ffff:ffff", true), ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::", "0.0.0.0", false), ("::1", "127.0.0.1", false),
        ])
    func limitKeys(one: String, other: String, isShared: Bool) throws {
        let first = try #require(IPAddress(one)).limitKey
        let second = try #require(IPAddress(other)).limitKey
        #expect((first == second) == isShared)
    }

    @Test("random addresses are read back", arguments: UInt64(0)..<50)
    func readsBack(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        let ipv6 = IPAddress(ipv6NetworkOrder: generator.next(), generator.next() & generator.next())
        #expect(IPAddress(ipv6.description) == ipv6)
        let ipv4 = IPAddress(ipv4NetworkOrder: UInt32.random(in: 0...(.max), using: &generator))
        #expect(IPAddress(ipv4.description) == ipv4)
    }
}
