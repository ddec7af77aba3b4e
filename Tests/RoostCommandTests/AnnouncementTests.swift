// SPDX-License-Identifier: Apache-2.0

import Roost
import Testing

@testable import RoostDaemon

@Suite struct AnnouncementTests {
    @Test(
        "URLs are ones that a client on this machine can use",
        arguments: [
            (
                ["127.0.0.1:9001"],
                "listening on 127.0.0.1:9001\nroutes: ws://127.0.0.1:9001/echo ws://127.0.0.1:9001/a\n"
            ),
            (["0.0.0.0:80"], "listening on 0.0.0.0:80\nroutes: ws://127.0.0.1:80/echo ws://127.0.0.1:80/a\n"),
            (["[::]:80"], "listening on [::]:80\nroutes: ws://[::1]:80/echo ws://[::1]:80/a\n"),
            (["unix:/run/x.sock"], "listening on unix:/run/x.sock\nroutes: /echo /a\n"),
            (
                ["unix:/x", "[::1]:9001"],
                "listening on unix:/x\nlistening on [::1]:9001\nroutes: ws://[::1]:9001/echo ws://[::1]:9001/a\n"
            ),
        ])
    func announces(addresses: [String], text: String) throws {
        #expect(Announcement.text(try addresses.map { try SocketAddress($0) }, ["/echo", "/a"]) == text)
    }

    @Test("`roost check` sums the configuration up") func sumsUp() throws {
        let summary = try read("routes: [{path: /a, kind: echo, idle-timeout: 1m}, {path: /b, kind: demo/hog}]").summary
        #expect(summary.hasPrefix("ok\n"))
        #expect(summary.contains("  route              /a (echo, with limits of its own)\n"))
        #expect(summary.contains("  route              /b (demo/hog)\n"))
        #expect(summary.contains("  max-message-bytes  1MiB\n"))
    }
}
