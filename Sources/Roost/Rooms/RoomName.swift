// SPDX-License-Identifier: Apache-2.0

/// What a room is found by: the bytes of its name.
///
/// Strings are equal where they are the same to a reader (Unicode, canonical equivalence). Names come from paths, which
/// are the same byte by byte, for proxies that decide who may connect as well.
struct RoomName: Hashable, Sendable {
    let text: String

    init(_ text: String) { self.text = text }

    static func == (a: RoomName, b: RoomName) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { unsafe hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
