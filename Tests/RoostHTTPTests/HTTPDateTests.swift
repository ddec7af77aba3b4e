import Glibc
import RoostHTTP
import Testing

/// RFC 9110 §5.6.7: dates as HTTP writes them.
@Suite struct HTTPDateTests {
    @Test(
        "known moments",
        arguments: [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"), (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (951_868_799, "Tue, 29 Feb 2000 23:59:59 GMT"),
            (4_107_542_399, "Sun, 28 Feb 2100 23:59:59 GMT"), (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ])
    func knownMoments(seconds: Int, text: String) {
        #expect(HTTPDate(secondsSince1970: seconds).description == text)
    }

    @Test("what four digits cannot tell becomes the first or last moment")
    func clamps() {
        #expect(HTTPDate(secondsSince1970: -1) == HTTPDate(secondsSince1970: 0))
        #expect(HTTPDate(secondsSince1970: .min) == HTTPDate(secondsSince1970: 0))
        #expect(HTTPDate(secondsSince1970: 253_402_300_800) == HTTPDate(secondsSince1970: 253_402_300_799))
        #expect(HTTPDate(secondsSince1970: .max) == HTTPDate(secondsSince1970: 253_402_300_799))
    }

    @Test("the C library agrees, on the first and last second of many days and on random ones")
    func agreesWithTheLibrary() {
        var generator = SeededGenerator(seed: 1)
        for day in stride(from: 0, to: 2_932_896, by: 89) {
            for second in [0, 86_399, Int.random(in: 0..<86_400, using: &generator)] {
                let seconds = day * 86_400 + second
                let text = Self.libraryText(seconds)
                if HTTPDate(secondsSince1970: seconds).description != text { Issue.record("\(seconds) is \(text)") }
            }
        }
    }

    private static func libraryText(_ seconds: Int) -> String {
        var time = time_t(seconds)
        var parts = unsafe tm()
        var text = [CChar](repeating: 0, count: 40)
        // Safe: all pointers are used during the calls only; strftime is told the size of its buffer.
        let byteCount = unsafe strftime(&text, text.count, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&time, &parts))
        return String(decoding: text[..<byteCount].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
