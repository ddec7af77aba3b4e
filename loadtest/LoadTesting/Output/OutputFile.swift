// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials

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
        do {
            try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
        } catch {
            throw LoadTestError("\(option) \(path) could not be written: \(error)")
        }
    }

    package static func read(_ path: String) throws(LoadTestError) -> String {
        do {
            return String(decoding: try Data(contentsOf: URL(filePath: path)), as: UTF8.self)
        } catch {
            throw LoadTestError("\(path) could not be read: \(error)")
        }
    }
}
