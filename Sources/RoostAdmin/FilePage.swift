// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import Roost
internal import Synchronization

/// Serves one file, from memory.
package final class FilePage: Sendable {
    package let path: String
    private let content: Mutex<[UInt8]?> = Mutex(nil)

    /// Bytes of a page. Larger files are for a file server.
    package static let byteCountMax = 1 << 20

    package init(path: String) { self.path = path }

    /// Reads the file, in place of what was read before. A failure leaves that.
    package func load() throws(FilePageError) {
        let bytes = try Self.contents(of: path)
        content.withLock { $0 = bytes }
    }

    package func respond(_ request: HTTPRequest) -> HTTPResponse {
        // The array is shared, not copied.
        guard let bytes = withoutPreemption({ content.withLock { $0 } }) else {
            return .uncached(.serviceUnavailable, text: "not read yet\n")
        }
        return HTTPResponse(.ok, fields: [HeaderField(known: "Content-Type", Self.type(of: path))], body: bytes)
    }

    /// Of what browsers load; anything else is bytes.
    static func type(of path: String) -> String {
        let name = path.split(separator: "/").last ?? ""
        guard let dot = name.lastIndex(of: "."), dot > name.startIndex else { return "application/octet-stream" }
        return switch name[name.index(after: dot)...].lowercased() {
        case "html", "htm": "text/html; charset=utf-8"
        case "txt": "text/plain; charset=utf-8"
        case "css": "text/css; charset=utf-8"
        case "js", "mjs": "text/javascript; charset=utf-8"
        case "json": "application/json"
        case "xml": "application/xml"
        case "svg": "image/svg+xml"
        case "png": "image/png"
        case "jpg", "jpeg": "image/jpeg"
        case "gif": "image/gif"
        case "webp": "image/webp"
        case "ico": "image/x-icon"
        case "wasm": "application/wasm"
        case "pdf": "application/pdf"
        default: "application/octet-stream"
        }
    }

    private static func contents(of path: String) throws(FilePageError) -> [UInt8] {
        // Without waiting: a pipe has nobody at its other end.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else { throw .cannotBeOpened(path, code: errno) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw .cannotBeRead(path, code: errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .noFile(path) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = unsafe read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw .cannotBeRead(path, code: errno) }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
            if bytes.count > byteCountMax { throw .tooLarge(path) }
        }
    }
}

/// Why a page could not be read.
package enum FilePageError: Error, Equatable, CustomStringConvertible {
    case cannotBeOpened(String, code: CInt)
    case cannotBeRead(String, code: CInt)
    case noFile(String)
    case tooLarge(String)

    package var description: String {
        switch self {
        case .cannotBeOpened(let path, let code): "\(path) cannot be opened: \(Self.text(code))"
        case .cannotBeRead(let path, let code): "\(path) cannot be read: \(Self.text(code))"
        case .noFile(let path): "\(path) is no plain file; name one"
        case .tooLarge(let path):
            "\(path) is larger than 1MiB, which is the most that a page may have; use a file server for it"
        }
    }

    private static func text(_ code: CInt) -> String { unsafe String(cString: strerror(code)) }
}
