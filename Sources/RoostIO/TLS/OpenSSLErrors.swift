// SPDX-License-Identifier: Apache-2.0

internal import CSSL
internal import Glibc

/// What OpenSSL says on this thread about its last call.
enum OpenSSLErrors {
    /// One entry of the thread's queue.
    struct Entry {
        let library: Int32
        let reason: Int32
        let text: String
    }

    /// Empties the queue, oldest first: the cause before its consequences.
    static func take() -> [Entry] {
        var entries: [Entry] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { return entries }
            let reason = ERR_GET_REASON(code)
            let text =
                if ERR_GET_LIB(code) == ERR_LIB_SYS {
                    errnoText(reason)
                } else {
                    unsafe ERR_reason_error_string(code).map { unsafe String(cString: $0) } ?? "error \(code)"
                }
            entries.append(Entry(library: ERR_GET_LIB(code), reason: reason, text: text))
        }
    }

    /// The queue's own words, for what is not known better; empties it.
    static func text() -> String {
        let entries = take()
        return entries.isEmpty ? "no reason given" : entries.map(\.text).joined(separator: "; ")
    }

    static func errnoText(_ code: Int32) -> String {
        // Safe: glibc's text of a known code is a constant; of an unknown one it is this thread's own.
        unsafe String(cString: strerror(code))
    }
}
