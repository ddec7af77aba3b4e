import RoostHTTP
import Testing

@Suite struct HeaderFieldsTests {
    static let fields = head(
        request("/", headers: "Host: a\r\nX-One: 1\r\nAccept: a, b\r\nx-one: 2\r\nACCEPT: ,c ,,\td\t\r\nEmpty:\r\n")
    ).headers

    @Test("names are found in any case (RFC 9110 §5.1)")
    func findsNames() {
        #expect(Self.fields.first("x-ONE") == "1")
        #expect(Self.fields.all("X-one") == ["1", "2"])
        #expect(Self.fields.count(of: "x-one") == 2)
        #expect(Self.fields.first("empty") == "")
        #expect(Self.fields.first("missing") == nil)
        #expect(Self.fields.all("missing") == [])
        #expect(Self.fields.first("x-on") == nil)
        #expect(Self.fields.first("x_one") == nil)
    }

    @Test("only letters are compared without case")
    func comparesOtherBytesExactly() {
        let fields = head(request("/", headers: "Host: a\r\nX-@: 1\r\n".replacing("@", with: "^"))).headers
        #expect(fields.first("x-^") == "1")
        #expect(fields.first("x-~") == nil, "0x5E and 0x7E differ in the bit that makes a letter small")
    }

    @Test("all headers in the order received")
    func iterates() {
        #expect(Self.fields.count == 6)
        #expect(Self.fields.map(\.name) == ["Host", "X-One", "Accept", "x-one", "ACCEPT", "Empty"])
        #expect(Self.fields.map(\.value) == ["a", "1", "a, b", "2", ",c ,,\td", ""])
    }

    @Test("RFC 9110 §5.6.1: lists over several lines, empty elements ignored")
    func findsListElements() {
        for token in ["a", "B", "c", "D"] { #expect(Self.fields.contains(token: token, in: "accept"), "\(token)") }
        for token in ["", "a, b", "ab", "e", " a"] { #expect(!Self.fields.contains(token: token, in: "accept")) }
        #expect(!Self.fields.contains(token: "a", in: "missing"))
        #expect(Self.fields.listElements(of: "Accept").map(Self.fields.string(in:)) == ["a", "b", "c", "d"])
        #expect(Self.fields.listElements(of: "Empty").isEmpty)
    }

    @Test("the only header of a name, or none")
    func findsTheOnly() {
        #expect(Self.fields.only("host").map(Self.fields.string(in:)) == "a")
        #expect(Self.fields.only("x-one") == nil)
        #expect(Self.fields.only("missing") == nil)
    }

    @Test("bytes that are not UTF-8 are replaced, not trusted")
    func repairsValues() {
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX: ".utf8) + [0xE9] + Array("\r\n\r\n".utf8)
        var parser = RequestHeadParser()
        guard case .head(let head, _) = parser.parse(bytes.span) else {
            Issue.record("not parsed")
            return
        }
        #expect(head.headers.first("X") == "\u{FFFD}")
    }
}
