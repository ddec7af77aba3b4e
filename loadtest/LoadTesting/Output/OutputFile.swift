// SPDX-License-Identifier: Apache-2.0

internal import FoundationEssentials
internal import Glibc

/// Files that reports are read from and written to.
package enum OutputFile {
    /// Throws where nothing can be written there, before a run that would be lost.
    package static func check(_ path: String, for option: String) throws(LoadTestError) {
        guard !path.isEmpty else { throw LoadTestError("\(option) has no name; name a file") }
        let manager = FileManager.default
        var isDirectory = false
        let exists = manager.fileExists(atPath: path, isDirectory: &isDirectory)
        if exists, isDirectory { throw LoadTestError("\(option) \(path) is a directory; name a file in it") }
        guard !exists || isReplaceable(path) else { return try check(isWritable: manager.isWritableFile(atPath: path)) }
        let directory = URL(filePath: path).deletingLastPathComponent().path
        guard manager.fileExists(atPath: directory, isDirectory: &isDirectory), isDirectory else {
            throw LoadTestError("\(option) \(path): there is no directory \(directory); make it, or name another file")
        }
        let target = target(path)
        let descriptor = unsafe open(target.fresh, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
        close(descriptor)
        unsafe _ = unlink(target.fresh)
        try check(isWritable: descriptor >= 0 && (!exists || manager.isWritableFile(atPath: path)))

        func check(isWritable: Bool) throws(LoadTestError) {
            guard isWritable else { throw LoadTestError("\(option) \(path) may not be written; name another file") }
        }
    }

    /// A file, or nothing yet; no device and no pipe: what is written there comes behind what was.
    package static func isReplaceable(_ path: String) -> Bool {
        var status = stat()
        // Safe: the call fills the structure that it is given.
        return unsafe stat(path, &status) != 0 || status.st_mode & S_IFMT == S_IFREG
    }

    /// Replaces the file in one step: whoever reads it meanwhile finds the old one, whole.
    package static func write(_ text: String, to path: String, for option: String) throws(LoadTestError) {
        guard isReplaceable(path) else { return try writeThrough(text, to: path, for: option) }
        let (path, fresh) = target(path)
        let descriptor = unsafe open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("\(option) \(path)") }
        var problem = write(text, to: descriptor) ? nil : failure("\(option) \(path)")
        if close(descriptor) != 0, problem == nil { problem = failure("\(option) \(path)") }
        if problem == nil, unsafe rename(fresh, path) != 0 { problem = failure("\(option) \(path)") }
        guard let problem else { return }
        unsafe _ = unlink(fresh)
        throw problem
    }

    /// To a device or a pipe, which must stay what it is.
    private static func writeThrough(_ text: String, to path: String, for option: String) throws(LoadTestError) {
        let descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("\(option) \(path)") }
        defer { close(descriptor) }
        guard write(text, to: descriptor) else { throw failure("\(option) \(path)") }
    }

    /// Where links lead to, and the file beside it that takes its place.
    private static func target(_ path: String) -> (path: String, fresh: String) {
        var target = path
        if let resolved = unsafe realpath(path, nil) {
            // Safe: realpath has allocated it, and ended it with a zero.
            target = unsafe String(cString: resolved)
            unsafe free(resolved)
        }
        return (target, "\(target).\(getpid()).new")
    }

    /// Throws where it does not get there: a disk may be full behind a redirection.
    package static func writeToStandardOutput(_ text: String) throws(LoadTestError) {
        guard write(text, to: STDOUT_FILENO) else { throw failure("the report to standard output") }
    }

    /// False where it fails; errno then says why.
    private static func write(_ text: String, to descriptor: CInt) -> Bool {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            // Safe: the slice's own bytes, with their count.
            let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count >= 0 { bytes = bytes.dropFirst(count) } else if errno != EINTR { return false }
        }
        return true
    }

    private static func failure(_ what: String) -> LoadTestError {
        LoadTestError("\(what) could not be written: \(unsafe String(cString: strerror(errno)))")
    }

    package static func read(_ path: String) throws(LoadTestError) -> String {
        func failure() -> LoadTestError {
            LoadTestError("\(path) could not be read: \(unsafe String(cString: strerror(errno)))")
        }
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        while true {
            // Safe: the array's own bytes, with their count.
            let count = unsafe chunk.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure() }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes += chunk[..<count]
        }
    }
}
