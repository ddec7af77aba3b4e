import RoostHTTP
import Testing

@Suite struct AddressRangesTests {
    @Test(
        "ranges hold what their prefix says (RFC 4632)",
        arguments: [
            (
                "10.0.0.0/8", ["10.0.0.0", "10.255.255.255", "::ffff:10.1.1.1"],
                ["9.255.255.255", "11.0.0.0", "::10.0.0.1"]
            ),
            ("192.0.2.1", ["192.0.2.1", "::ffff:192.0.2.1"], ["192.0.2.0", "192.0.2.2"]),
            ("192.0.2.1/32", ["192.0.2.1"], ["192.0.2.0", "192.0.2.2"]),
            ("192.0.2.2/31", ["192.0.2.2", "192.0.2.3"], ["192.0.2.1", "192.0.2.4"]),
            ("128.0.0.0/1", ["128.0.0.0", "255.255.255.255"], ["127.255.255.255", "8000::"]),
            ("0.0.0.0/0", ["0.0.0.0", "255.255.255.255", "::ffff:1.1.1.1"], ["::", "::1", "::fffe:1.1.1.1"]),
            ("::1", ["::1"], ["::", "::2", "127.0.0.1", "0.0.0.1"]),
            ("fd00::/8", ["fd00::", "fdff:ffff::1"], ["fc00::", "fe00::"]),
            ("2001:db8::/33", ["2001:db8::", "2001:db8:7fff::"], ["2001:db8:8000::"]),
            ("2001:db8::/64", ["2001:db8::ffff:ffff:ffff:ffff"], ["2001:db8:0:1::"]),
            ("2001:db8::8000:0:0:0/65", ["2001:db8::ffff:0:0:0"], ["2001:db8::7fff:0:0:0"]),
            ("2001:db8::2/127", ["2001:db8::2", "2001:db8::3"], ["2001:db8::1", "2001:db8::4"]),
            ("2001:db8::1/128", ["2001:db8::1"], ["2001:db8::"]),
            ("::/0", ["::", "ffff::"], ["0.0.0.0", "::ffff:10.0.0.1"]),
            ("::ffff:10.0.0.0/104", ["10.1.1.1"], ["11.0.0.0"]), ("::ffff:10.0.0.1", ["10.0.0.1"], ["10.0.0.2"]),
        ])
    func holds(text: String, inside: [String], outside: [String]) throws {
        let ranges = try AddressRanges([text])
        for address in inside { #expect(ranges.contains(try #require(IPAddress(address))), "\(address)") }
        for address in outside { #expect(!ranges.contains(try #require(IPAddress(address))), "\(address)") }
        #expect(!ranges.includesUnixPeers)
        #expect(!ranges.isEmpty)
    }

    @Test("a list holds what any of its members holds")
    func lists() throws {
        let ranges = try AddressRanges(["10.0.0.0/8", "unix", "::1"])
        #expect(ranges.includesUnixPeers)
        for text in ["10.1.1.1", "::1"] { #expect(ranges.contains(try #require(IPAddress(text)))) }
        #expect(!ranges.contains(try #require(IPAddress("11.1.1.1"))))
    }

    @Test("unix is a member like another, and an empty list holds nothing")
    func unix() throws {
        let unix = try AddressRanges(["unix"])
        let empty = try AddressRanges([])
        #expect(unix.includesUnixPeers && !unix.isEmpty)
        #expect(!empty.includesUnixPeers && empty.isEmpty)
        for text in ["127.0.0.1", "::1", "0.0.0.0", "::"] {
            let address = try #require(IPAddress(text))
            #expect(!unix.contains(address) && !empty.contains(address))
        }
    }

    @Test(
        "what is no range is refused by its text and with the remedy",
        arguments: [
            ("", AddressRangeError.invalidAddress("")), ("localhost", .invalidAddress("localhost")),
            ("10.0.0/8", .invalidAddress("10.0.0/8")), ("/8", .invalidAddress("/8")), (" ::1", .invalidAddress(" ::1")),
            ("10.0.0.1:80", .invalidAddress("10.0.0.1:80")), ("[::1]", .invalidAddress("[::1]")),
            ("Unix", .invalidAddress("Unix")), ("unix:/a", .invalidAddress("unix:/a")),
            ("10.0.0.0/33", .invalidPrefix("10.0.0.0/33", bitCountMax: 32)),
            ("10.0.0.0/", .invalidPrefix("10.0.0.0/", bitCountMax: 32)),
            ("10.0.0.0/+8", .invalidPrefix("10.0.0.0/+8", bitCountMax: 32)),
            ("10.0.0.0/-8", .invalidPrefix("10.0.0.0/-8", bitCountMax: 32)),
            ("10.0.0.0/8/8", .invalidPrefix("10.0.0.0/8/8", bitCountMax: 32)),
            ("10.0.0.0/255.0.0.0", .invalidPrefix("10.0.0.0/255.0.0.0", bitCountMax: 32)),
            ("10.0.0.0/99999999999999999999", .invalidPrefix("10.0.0.0/99999999999999999999", bitCountMax: 32)),
            ("::/129", .invalidPrefix("::/129", bitCountMax: 128)),
            ("10.0.0.1/8", .bitsBehindPrefix("10.0.0.1/8", suggestion: "10.0.0.0/8")),
            ("10.0.0.1/0", .bitsBehindPrefix("10.0.0.1/0", suggestion: "0.0.0.0/0")),
            ("fd00::1/8", .bitsBehindPrefix("fd00::1/8", suggestion: "fd00::/8")),
            ("::ffff:10.0.0.1/104", .bitsBehindPrefix("::ffff:10.0.0.1/104", suggestion: "::ffff:10.0.0.0/104")),
            ("::ffff:10.0.0.0/90", .bitsBehindPrefix("::ffff:10.0.0.0/90", suggestion: "::ffc0:0:0/90")),
        ])
    func refuses(text: String, error: AddressRangeError) {
        #expect(throws: error) { try AddressRanges(["10.0.0.0/8", text]) }
        #expect(error.description.hasPrefix("'\(text)' "))
        #expect(error.description.contains("write "))
    }

    @Test(
        "what a refusal suggests is accepted",
        arguments: ["10.0.0.0/8", "0.0.0.0/0", "fd00::/8", "::ffff:10.0.0.0/104", "::ffc0:0:0/90"])
    func acceptsSuggestions(text: String) throws {
        #expect(try !AddressRanges([text]).isEmpty)
    }
}
