// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A pipe(7) whose reader blocks its thread, as native code that waits for something does.
final class Pipe: Sendable {
    private let reader: CInt
    private let writer: CInt

    init() {
        var ends: [CInt] = [0, 0]
        precondition(pipe(&ends) == 0)
        (reader, writer) = (ends[0], ends[1])
    }

    deinit {
        close(reader)
        close(writer)
    }

    /// Blocks until `write`; true unless the call was interrupted.
    @inline(never)
    func blockingRead() -> Bool {
        var byte: UInt8 = 0
        return read(reader, &byte, 1) == 1
    }

    func write() {
        var byte: UInt8 = 1
        precondition(Glibc.write(writer, &byte, 1) == 1)
    }
}
