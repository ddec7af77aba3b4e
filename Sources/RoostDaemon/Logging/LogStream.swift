// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Roost
internal import Synchronization

/// Where lines of the log go: a descriptor that may be slow, though no scheduler waits for it.
///
/// A pipe whose reader has stopped would otherwise stop every connection. What does not fit is dropped, and the next
/// line that fits says how many were.
final class LogStream: Sendable {
    static let standardError = LogStream(2)

    private struct State {
        var droppedCount = 0
        /// The end of a long line did not fit.
        var isTorn = false
    }
    private let descriptor: CInt
    private let state = Mutex(State())

    /// A pipe that is ready takes so many bytes without waiting (pipe(7), PIPE_BUF).
    private static let pieceByteCount = 4_096

    init(_ descriptor: CInt) { self.descriptor = descriptor }

    /// Writes `line`, which ends in a newline.
    func write(_ line: String) {
        withoutPreemption {
            state.withLock { state in
                var text = line
                if state.isTorn || state.droppedCount > 0 { text = Self.gap(state) + line }
                let writtenCount = text.withUTF8 { bytes in unsafe writePieces(bytes) }
                if writtenCount == 0 {
                    state.droppedCount += 1
                } else {
                    state = State(droppedCount: 0, isTorn: writtenCount < text.utf8.count)
                }
            }
        }
    }

    private static func gap(_ state: State) -> String {
        let end = state.isTorn ? "\n" : ""
        if state.droppedCount == 0 { return end }
        return end + "time=\(Timestamp.now) level=warning message=\"log lines dropped: their reader is too slow\" "
            + "log.dropped=\(state.droppedCount)\n"
    }

    /// Returns how many bytes were taken without waiting.
    private func writePieces(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var offset = 0
        while offset < bytes.count, isReady() {
            let count = min(Self.pieceByteCount, bytes.count - offset)
            // Safe: `bytes` is lent for this call, and the piece lies within it.
            let written = unsafe Glibc.write(descriptor, bytes.baseAddress! + offset, count)
            if written < 0, errno == EINTR { continue }
            if written <= 0 { break }
            offset += written
        }
        return offset
    }

    private func isReady() -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return unsafe poll(&entry, 1, 0) == 1 && entry.revents & Int16(POLLOUT) != 0
    }
}
