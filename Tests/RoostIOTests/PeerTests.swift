// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import RoostTestTLS
import Testing

@testable import RoostIO

/// Clients that are not ours, as programs of their own, over loopback.
@Suite(.timeLimit(.minutes(1)))
struct PeerTests {
    private static let python = """
        import socket, ssl, sys
        port, authority, version = int(sys.argv[1]), sys.argv[2], sys.argv[3]
        context = ssl.create_default_context(cafile=authority)
        context.set_alpn_protocols(["http/1.1"])
        number = ssl.TLSVersion.TLSv1_2 if version == "1.2" else ssl.TLSVersion.TLSv1_3
        context.minimum_version = context.maximum_version = number
        with socket.create_connection(("127.0.0.1", port)) as plain:
            with context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as stream:
                assert stream.selected_alpn_protocol() == "http/1.1"
                stream.sendall(b"x" * 300_000 + b"\\n")
                received = b""
                while True:
                    piece = stream.recv(65_536)
                    if not piece: break
                    received += piece
                print(stream.version(), len(received), received.count(b"x"))
        """

    enum Client: CaseIterable { case python, openssl }

    private func start(_ client: Client, port: UInt16, _ version: TLSVersion) throws -> (Process, Foundation.Pipe) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let number = version == .tls12 ? "1.2" : "1.3"
        let output = Foundation.Pipe()
        let input = Foundation.Pipe()
        switch client {
        case .python:
            process.arguments = ["python3", "-c", Self.python, "\(port)", TestCertificates.authorityFile, number]
        case .openssl:
            process.arguments = [
                "openssl", "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", TestCertificates.authorityFile,
                "-verify_return_error", "-servername", "localhost", "-verify_hostname", "localhost", "-quiet",
                "-alpn", "http/1.1", version == .tls12 ? "-tls1_2" : "-tls1_3",
            ]
        }
        process.standardInput = input
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        if client == .openssl { input.fileHandleForWriting.write(Data("xxxx\n".utf8)) }
        return (process, output)
    }

    private struct SaysNothing: Error {}

    /// Throws when the other program has died or hangs.
    private func wait(_ descriptor: CInt, for events: Int32) throws {
        var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        while true {
            let count = poll(&entry, 1, 30_000)
            if count > 0 { return }
            if count == 0 || errno != EINTR { throw SaysNothing() }
        }
    }

    /// Sends back the line that comes, then ends the session; what the handshake agreed on.
    private func echoLine(_ session: TLSSession, _ descriptor: CInt) throws -> TLSNegotiated {
        handshake: while true {
            switch session.handshake() {
            case .done: break handshake
            case .wantsRead: try wait(descriptor, for: POLLIN)
            case .wantsWrite: try wait(descriptor, for: POLLOUT)
            case .failed(let failure): throw failure
            }
        }
        var line: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16_384)
        while line.last != UInt8(ascii: "\n") {
            switch piece.withUnsafeMutableBytes({ session.receive(into: $0) }) {
            case .bytes(let count, _): line += piece[..<count]
            case .wouldBlock: try wait(descriptor, for: POLLIN)
            case .wantsWrite: try wait(descriptor, for: POLLOUT)
            case .endOfStream: return session.negotiated
            case .failed(let failure): throw failure
            }
        }
        while !line.isEmpty {
            switch session.send(line) {
            case .bytes(let count): line.removeFirst(count)
            case .wouldBlock: try wait(descriptor, for: POLLOUT)
            case .wantsRead: try wait(descriptor, for: POLLIN)
            case .failed(let failure): throw failure
            }
        }
        #expect(session.closeNotify())
        return session.negotiated
    }

    @Test("OpenSSL's own client and Python's speak with us", arguments: Client.allCases, TLSVersion.allCases)
    func speaks(client: Client, version: TLSVersion) throws {
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #expect(bind(listener, $0, length) == 0 && listen(listener, 1) == 0)
                #expect(getsockname(listener, $0, &length) == 0)
            }
        }
        let (process, output) = try start(client, port: UInt16(bigEndian: address.sin_port), version)
        try wait(listener, for: POLLIN)
        let descriptor = accept(listener, nil, nil)
        #expect(descriptor >= 0 && fcntl(descriptor, F_SETFL, O_NONBLOCK) == 0)
        let session = try TLSSession(server: TLSContext(.test), descriptor: descriptor)!
        let negotiated = try echoLine(session, descriptor)
        session.free()
        close(descriptor)
        let printed = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        let name = version == .tls12 ? "TLSv1.2" : "TLSv1.3"
        #expect(negotiated.version == name && negotiated.applicationProtocol == "http/1.1")
        #expect(negotiated.serverName == "localhost")
        #expect(printed == (client == .python ? "\(name) 300001 300000\n" : "xxxx\n"))
    }
}
