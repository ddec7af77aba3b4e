// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

@testable import LoadTesting

@Suite struct OutputFileTests {
    /// Runs `body` with a directory that is removed afterwards.
    private func withDirectory(_ body: (String) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: directory) }
        try body(directory.path)
    }

    @Test("a file is replaced, and what a link leads to is, not the link")
    func replaces() throws {
        try withDirectory { directory in
            let (file, link) = (directory + "/file", directory + "/link")
            try OutputFile.write("", to: file, for: "--out")
            try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: file)
            for text in ["one", "two"] {
                try OutputFile.check(link, for: "--out")
                try OutputFile.write(text, to: link, for: "--out")
                #expect(try OutputFile.read(file) == text)
            }
            #expect(try FileManager.default.destinationOfSymbolicLink(atPath: link) == file)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory).sorted() == ["file", "link"])
        }
    }

    @Test("a pipe or a device is written to and stays what it is")
    func pipes() throws {
        try withDirectory { directory in
            let pipe = directory + "/pipe"
            let isMade = unsafe mkfifo(pipe, 0o600) == 0
            try #require(isMade)
            // Open in both directions at once, so that no side waits for the other.
            let end = unsafe open(pipe, O_RDWR | O_CLOEXEC)
            try #require(end >= 0)
            defer { close(end) }
            try OutputFile.check(pipe, for: "--out")
            #expect(!OutputFile.isReplaceable(pipe))
            try OutputFile.write("text", to: pipe, for: "--out")
            var bytes = [UInt8](repeating: 0, count: 16)
            // Safe: the array has as many bytes.
            let count = unsafe read(end, &bytes, 16)
            #expect(count == 4)
            #expect(String(decoding: bytes[..<4], as: UTF8.self) == "text")
            #expect(!OutputFile.isReplaceable(pipe))
        }
    }

    @Test("where nothing can be written is said before the run")
    func refusals() throws {
        try withDirectory { directory in
            for (path, reason) in [
                ("", "--out has no name"), (directory, "is a directory"),
                (directory + "/none/file", "there is no directory \(directory)/none"),
                ("/proc/file", "may not be written"),
            ] {
                let error = #expect(throws: LoadTestError.self) { try OutputFile.check(path, for: "--out") }
                #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
            }
            let left = try FileManager.default.contentsOfDirectory(atPath: directory)
            #expect(left == [])
        }
    }
}
