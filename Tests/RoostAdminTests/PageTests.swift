// SPDX-License-Identifier: Apache-2.0

import Foundation
import Logging
import Roost
import RoostHTTP
import Testing

@testable import RoostAdmin

/// What plain routes answer.
@Suite struct PageTests {
    static func request(_ path: String = "/") throws -> HTTPRequest {
        var parser = RequestHeadParser()
        let bytes = Array("GET \(path) HTTP/1.1\r\nHost: test\r\n\r\n".utf8)
        guard case .head(let head, _) = parser.parse(bytes.span) else { throw CancellationError() }
        return HTTPRequest(head: head, peer: nil, isSecure: false)
    }

    static func value(_ name: String, _ response: HTTPResponse) -> String? {
        response.fields.first { $0.name == name }?.value
    }

    @Test("health is 200 while the server serves, 503 once it drains") func tellsHealth() throws {
        let page = HealthPage()
        let well = page.respond(try Self.request())
        #expect(well.status == .ok && String(decoding: well.body, as: UTF8.self) == "ok\n")
        #expect(Self.value("Content-Type", well) == "text/plain; charset=utf-8")
        #expect(Self.value("Cache-Control", well) == "no-store")
        page.beginDraining()
        let draining = page.respond(try Self.request())
        #expect(draining.status == .serviceUnavailable)
        #expect(String(decoding: draining.body, as: UTF8.self) == "draining\n")
    }

    @Test("metrics need a server, and do not keep it") func readsTheServer() async throws {
        let page = MetricsPage(version: "1.2.3")
        #expect(page.respond(try Self.request()).status == .serviceUnavailable)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        var configuration = ServerConfiguration(listeners: [
            ListenerConfiguration(address: "127.0.0.1:0", routes: [Route(http: "/metrics", respond: page.respond)])
        ])
        configuration.runtime.schedulerCount = 1
        let server = try await RoostServer.start(configuration, logger: logger)
        page.attach(server)
        let response = page.respond(try Self.request("/metrics"))
        #expect(response.status == .ok)
        #expect(Self.value("Content-Type", response) == "text/plain; version=0.0.4; charset=utf-8")
        let text = String(decoding: response.body, as: UTF8.self)
        let address = try #require(server.addresses.first)
        #expect(text.contains("roost_build_info{version=\"1.2.3\"} 1\n"))
        #expect(text.contains("roost_connections_accepted_total{listener=\"\(address)\"} 0\n"))
        #expect(text.contains("\nroost_processes "))
        await server.drain()
        server.stop()
    }

    @Test(
        "a page's type follows from its name",
        arguments: [
            ("a/index.html", "text/html; charset=utf-8"), ("INDEX.HTM", "text/html; charset=utf-8"),
            ("x.txt", "text/plain; charset=utf-8"), ("x.min.js", "text/javascript; charset=utf-8"),
            ("x.svg", "image/svg+xml"), ("x.css", "text/css; charset=utf-8"), ("x.json", "application/json"),
            ("x", "application/octet-stream"), ("a.html/x", "application/octet-stream"),
            (".html", "application/octet-stream"), ("x.", "application/octet-stream"),
            ("x.unknown", "application/octet-stream"), ("", "application/octet-stream"),
        ])
    func knowsTypes(path: String, type: String) { #expect(FilePage.type(of: path) == type) }

    static func withFile(_ bytes: [UInt8], _ body: (String) throws -> Void) throws {
        let file = FileManager.default.temporaryDirectory.appending(path: "roost-\(UUID()).html")
        try Data(bytes).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        try body(file.path(percentEncoded: false))
    }

    @Test("a page is what the file was when it was read") func servesAFile() throws {
        try Self.withFile(Array("<p>one".utf8)) { path in
            let page = FilePage(path: path)
            #expect(page.respond(try Self.request()).status == .serviceUnavailable)
            try page.load()
            try Data("<p>two".utf8).write(to: URL(filePath: path))
            let response = page.respond(try Self.request())
            #expect(response.status == .ok && response.body == Array("<p>one".utf8))
            #expect(Self.value("Content-Type", response) == "text/html; charset=utf-8")
            try page.load()
            #expect(page.respond(try Self.request()).body == Array("<p>two".utf8))
        }
    }

    @Test("a file that cannot be read leaves what was read before") func keepsTheOldPage() throws {
        try Self.withFile([1, 2, 3]) { path in
            let page = FilePage(path: path)
            try page.load()
            try FileManager.default.removeItem(atPath: path)
            #expect(throws: FilePageError.cannotBeOpened(path, code: ENOENT)) { try page.load() }
            #expect(page.respond(try Self.request()).body == [1, 2, 3])
        }
    }

    @Test("a page has at most 1 MiB", arguments: [(0, true), (1 << 20, true), (1 << 20 + 1, false)])
    func boundsAFile(byteCount: Int, fits: Bool) throws {
        try Self.withFile([UInt8](repeating: 7, count: byteCount)) { path in
            let page = FilePage(path: path)
            if fits {
                try page.load()
                #expect(page.respond(try Self.request()).body.count == byteCount)
            } else {
                #expect(throws: FilePageError.tooLarge(path)) { try page.load() }
            }
        }
    }

    @Test("what is no file is refused, without waiting for it", arguments: ["/dev/zero", "/", "/proc/self/fd"])
    func refusesOthers(path: String) {
        let error = #expect(throws: FilePageError.self) { try FilePage(path: path).load() }
        #expect(error?.description == "\(path) is no plain file; name one")
    }

    @Test("why a page was not read") func namesProblems() {
        #expect(
            FilePageError.cannotBeOpened("/x", code: ENOENT).description
                == "/x cannot be opened: No such file or directory")
        #expect(FilePageError.cannotBeRead("/x", code: EIO).description == "/x cannot be read: Input/output error")
        #expect(
            FilePageError.tooLarge("/x").description
                == "/x is larger than 1MiB, which is the most that a page may have; use a file server for it")
    }
}
