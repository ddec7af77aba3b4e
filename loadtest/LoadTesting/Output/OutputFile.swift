// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials
internal import Glibc

/// Files that reports are read from and written to.
package enum OutputFile {
    /// Throws where nothing can be written there, before a run that would be lost.
    package static func check(_ path: String, for option: String) throws(LoadTestError) {
        let directory = URL(filePath: path).deletingLastPathComponent().path
        let manager = FileManager.default
        var isDirectory = false
        guard manager.fileExists(atPath: directory, isDirectory: &isDirectory), isDirectory else {
            throw LoadTestError("\(option) \(path): there is no directory \(directory); make it, or name another file")
        }
        if manager.fileExists(atPath: path, isDirectory: &isDirectory), isDirectory {
            throw LoadTestError("\(option) \(path) is a directory; name a file in it")
        }
        guard manager.isWritableFile(atPath: manager.fileExists(atPath: path) ? path : directory) else {
            throw LoadTestError("\(option) \(path) may not be written; name another file")
        }
    }

    /// Replaces the file in one step: whoever reads it meanwhile finds the old one, whole.
    package static func write(_ text: String, to path: String, for option: String) throws(LoadTestError) {
        let fresh = "\(path).\(getpid()).new"
        let descriptor = unsafe open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure(option, path) }
        var isWritten = true
        var bytes = Array(text.utf8)[...]
        while isWritten, !bytes.isEmpty {
            // Safe: the slice's own bytes, with their count.
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { bytes = bytes.dropFirst(count) } else if errno != EINTR { isWritten = false }
        }
        guard isWritten, close(descriptor) == 0, unsafe rename(fresh, path) == 0 else {
            let failure = failure(option, path)
            unsafe _ = unlink(fresh)
            throw failure
        }
    }

    private static func failure(_ option: String, _ path: String) -> LoadTestError {
        LoadTestError("\(option) \(path) could not be written: \(unsafe String(cString: strerror(errno)))")
    }

    package static func read(_ path: String) throws(LoadTestError) -> String {
        do {
            return String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        } catch {
            throw LoadTestError("\(path) could not be read: \(error)")
        }
    }
}
