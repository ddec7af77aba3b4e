// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Testing

/// The program `roost`, running. What it leaves unread fits into a pipe's buffer.
final class Command {
    private let process = Process()
    private let output = Pipe()
    private let errors = Pipe()
    private var read = ""

    /// How it ended.
    struct Run {
        let status: Int32
        let output: String
        let errors: String
    }

    /// `descriptorLimit` is its hard limit on open files.
    init(_ arguments: [String], environment: [String: String] = [:], descriptorLimit: Int? = nil) throws {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let roost = URL(filePath: tests).deletingLastPathComponent().appending(path: "roost").path(
            percentEncoded: false)
        process.executableURL = URL(filePath: "/bin/sh")
        let limit = descriptorLimit.map { "ulimit -n \($0); " } ?? ""
        process.arguments = ["-c", limit + "exec \"$@\"", "sh", roost] + arguments
        process.environment = environment
        process.standardOutput = output
        process.standardError = errors
        try process.run()
    }

    deinit { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    func signal(_ number: CInt) { kill(process.processIdentifier, number) }

    /// Where it says that it listens first.
    func address() throws -> String { try #require(try addresses().first) }

    /// Where it says that it listens.
    func addresses() throws -> [String] {
        while !read.contains("routes:") {
            let data = output.fileHandleForReading.availableData
            if data.isEmpty { break }
            read += String(decoding: data, as: UTF8.self)
        }
        let lines = read.split(separator: "\n").filter { $0.hasPrefix("listening on ") }
        return lines.map { String($0.dropFirst("listening on ".count)) }
    }

    /// Its log up to and with the next line that has `text`.
    func log(through text: String) -> String {
        var log = ""
        while !log.split(separator: "\n", omittingEmptySubsequences: false).dropLast().contains(where: {
            $0.contains(text)
        }) {
            let data = errors.fileHandleForReading.availableData
            if data.isEmpty { break }
            log += String(decoding: data, as: UTF8.self)
        }
        return log
    }

    func finish() -> Run {
        let output = read + String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let errors = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return Run(status: process.terminationStatus, output: output, errors: errors)
    }
}

/// A file that goes away with its owner.
final class TemporaryFile {
    let path = FileManager.default.temporaryDirectory.appending(path: "roost-\(UUID()).yaml").path(
        percentEncoded: false)

    init(_ text: String) throws { try text.write(toFile: path, atomically: true, encoding: .utf8) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}

/// A WebSocket client on a plain blocking socket, upgraded to /echo.
struct Client {
    private let descriptor: CInt

    init(_ address: String) throws {
        let port = try #require(UInt16(address.split(separator: ":").last ?? ""))
        descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var endpoint = sockaddr_in()
        endpoint.sin_family = sa_family_t(AF_INET)
        endpoint.sin_port = port.bigEndian
        endpoint.sin_addr.s_addr = INADDR_LOOPBACK.bigEndian
        let code = unsafe withUnsafeBytes(of: &endpoint) { bytes in
            // Safe: sockaddr_in starts as sockaddr does; the length says which it is.
            unsafe connect(
                descriptor, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
        try #require(code == 0)
        let head = """
            GET /echo HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n
            """
        send(Array(head.utf8))
        var answer: [UInt8] = []
        while !answer.suffix(4).elementsEqual("\r\n\r\n".utf8) {
            let byte = receive(1)
            try #require(!byte.isEmpty)
            answer += byte
        }
        try #require(String(decoding: answer, as: UTF8.self).hasPrefix("HTTP/1.1 101"))
    }

    /// What has come next; waits for it.
    func readAll() -> [UInt8] { receive(1_024) }

    /// Answers a close frame with 1001, masked with zeros.
    func answerClose() {
        send([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE9])
        close()
    }

    func close() { _ = Glibc.close(descriptor) }

    private func send(_ bytes: [UInt8]) {
        let count = unsafe Glibc.send(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL))
        #expect(count == bytes.count)
    }

    private func receive(_ byteCountMax: Int) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: byteCountMax)
        let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
        return Array(buffer.prefix(max(0, count)))
    }
}
