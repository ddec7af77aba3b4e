// SPDX-License-Identifier: Apache-2.0

import Roost
import Testing

@testable import RoostDaemon

@Suite struct AnnouncementTests {
    static func listener(
        _ address: String, isSecure: Bool = false, _ routes: [(path: String, kind: RouteKind)]
    ) throws -> Announcement.Listener {
        Announcement.Listener(
            address: try SocketAddress(address), isSecure: isSecure,
            routes: routes.map { RouteEntry(path: $0.path, kind: $0.kind, settings: RouteSettings()) })
    }

    @Test(
        "URLs are ones that a client on this machine can use",
        arguments: [
            (
                ["127.0.0.1:9001"],
                "listening on 127.0.0.1:9001\nroutes: ws://127.0.0.1:9001/echo http://127.0.0.1:9001/a\n"
            ),
            (["0.0.0.0:80"], "listening on 0.0.0.0:80\nroutes: ws://127.0.0.1:80/echo http://127.0.0.1:80/a\n"),
            (["[::]:80"], "listening on [::]:80\nroutes: ws://[::1]:80/echo http://[::1]:80/a\n"),
            (["unix:/run/x.sock"], "listening on unix:/run/x.sock\nroutes: /echo /a\n"),
            (
                ["unix:/x", "[::1]:9001"],
                "listening on unix:/x\nlistening on [::1]:9001\nroutes: ws://[::1]:9001/echo http://[::1]:9001/a\n"
            ),
        ])
    func announces(addresses: [String], text: String) throws {
        let listeners = try addresses.map { try Self.listener($0, [("/echo", .echo), ("/a", .health)]) }
        #expect(Announcement.text(listeners) == text)
    }

    @Test("listeners that differ have lines of their own, and TLS its schemes") func announcesListeners() throws {
        let listeners = [
            try Self.listener("0.0.0.0:443", isSecure: true, [("/echo", .echo), ("/", .page)]),
            try Self.listener("[::]:443", isSecure: true, [("/echo", .echo), ("/", .page)]),
            try Self.listener("127.0.0.1:9100", [("/metrics", .metrics), ("/rooms", .broadcast), ("/", .broadcast)]),
        ]
        #expect(
            Announcement.text(listeners) == """
                listening on 0.0.0.0:443
                listening on [::]:443
                listening on 127.0.0.1:9100
                routes: wss://127.0.0.1:443/echo https://127.0.0.1:443/
                routes: http://127.0.0.1:9100/metrics ws://127.0.0.1:9100/rooms/ROOM ws://127.0.0.1:9100/ROOM

                """)
    }

    @Test("`roost check` tells listeners apart") func sumsListenersUp() throws {
        let summary = try read(
            """
            listeners:
              - {address: "127.0.0.1:1", max-connections: 7, tls: {chain: c.pem, key: k.pem}}
              - address: 127.0.0.1:2
                trusted-proxies: [10.0.0.1]
                proxy-protocol: yes
                max-connect-rate-per-address: 5
                routes: [{path: /, kind: page, file: a.html}]
            """
        ).summary
        let lines = summary.split(separator: "\n").map { $0.split(separator: " ").joined(separator: " ") }
        #expect(
            lines[6...] == [
                "listen 127.0.0.1:1", "tls c.pem, key k.pem", "max-connections 7", "route /echo (echo)",
                "route /broadcast (broadcast)", "route /health (health)", "route /metrics (metrics)",
                "listen 127.0.0.1:2", "max-connections 1000000",
                "max-connect-rate-per-address 5 a second, 5 at once", "trusted-proxies 10.0.0.1, by the PROXY protocol",
                "route / (page, a.html)",
            ])
    }

    @Test(
        "`roost check` warns of what is hardly meant",
        arguments: [
            (
                "trusted-proxies: [10.0.0.1]",
                "127.0.0.1:9001: trusted-proxies changes nothing by itself; set proxy-protocol or forwarded-header"
            ),
            (
                "trusted-proxies: [10.0.0.1]\nmax-connections-per-address: 5",
                "127.0.0.1:9001: the limits per address take each trusted proxy for one client; set proxy-protocol or "
                    + "forwarded-header, by which the proxies tell their clients"
            ),
            (
                "listen: unix:/run/x\nmax-connect-rate-per-address: 5",
                "unix:/run/x: the limits per address hold for nobody, as clients of a unix socket have no address; set "
                    + "proxy-protocol or forwarded-header, with unix among trusted-proxies"
            ),
            (
                "connect-burst-per-address: 5",
                "127.0.0.1:9001: connect-burst-per-address changes nothing without max-connect-rate-per-address"
            ),
        ])
    func warns(yaml: String, warning: String) throws {
        #expect(try read(yaml).warnings == [warning])
        #expect(try read(yaml).summary.hasSuffix("\nwarning: \(warning)\n"))
    }

    @Test("`roost check` sums the configuration up") func sumsUp() throws {
        let summary = try read("routes: [{path: /a, kind: echo, idle-timeout: 1m}, {path: /b, kind: demo/hog}]").summary
        #expect(summary.hasPrefix("ok\n"))
        #expect(summary.contains("  route              /a (echo, with settings of its own)\n"))
        #expect(summary.contains("  route              /b (demo/hog)\n"))
        #expect(summary.contains("  max-message-bytes  1MiB\n"))
    }
}
