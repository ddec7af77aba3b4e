import RoostHTTP
import Testing

@Suite struct HTTPErrorTests {
    static let errors: [(HTTPError, UInt16)] = [
        (.bareLineFeed, 400), (.bareCarriageReturn, 400), (.controlCharacter(0), 400), (.headTooLarge(limit: 9), 431),
        (.malformedRequestLine, 400), (.malformedStatusLine, 400), (.malformedVersion, 400),
        (.unsupportedVersion(major: 2, minor: 0), 505), (.targetTooLong(limit: 9), 414), (.absoluteTarget, 400),
        (.authorityTarget, 400), (.asteriskTarget, 400), (.targetWithoutSlash, 400),
        (.invalidTargetCharacter(0x0A), 400), (.invalidPercentEncoding, 400), (.controlCharacterInPath(0), 400),
        (.pathNotUTF8, 400), (.dotSegmentInPath, 400), (.tooManyHeaders(limit: 9), 431), (.foldedHeader, 400),
        (.headerWithoutColon, 400), (.emptyHeaderName, 400), (.whitespaceBeforeColon, 400),
        (.invalidHeaderNameCharacter(0x28), 400), (.missingHost, 400), (.repeatedHost, 400), (.invalidHost, 400),
        (.repeatedContentLength, 400), (.invalidContentLength, 400), (.contentLengthWithTransferEncoding, 400),
        (.transferEncodingInHTTP10, 400), (.unsupportedTransferEncoding, 501), (.contentTooLarge(limit: 9), 413),
        (.malformedChunkSize, 400), (.invalidChunkExtension(0), 400), (.chunkExtensionsTooLong(limit: 9), 400),
        (.chunkWithoutLineEnd, 400), (.trailersTooLarge(limit: 9), 431), (.forbiddenTrailer, 400),
    ]

    @Test("every refusal has a status and a text that says what to do", arguments: errors)
    func answers(error: HTTPError, status: UInt16) {
        #expect(error.status.rawValue == status)
        #expect(!error.status.reasonPhrase.isEmpty)
        #expect(error.description.contains("RFC") || error.description.contains(";"))
        #expect(error.description.utf8.allSatisfy { $0 >= 0x20 })
    }

    @Test("a refusal is a whole response that ends the connection")
    func response() {
        let response = ResponseTests.text(HTTPError.missingHost.response())
        #expect(response.hasPrefix("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"))
        #expect(response.hasSuffix("\r\n\r\n\(HTTPError.missingHost.description)\n"))
    }

    @Test("bytes are told in hexadecimal, limits in bytes")
    func details() {
        #expect(
            HTTPError.controlCharacter(0x0B).description
                == "control character 0x0b in a line of the head (RFC 9110 §5.5)")
        #expect(HTTPError.headTooLarge(limit: 9).description.contains("9 bytes"))
        #expect(HTTPError.contentTooLarge(limit: 9).description.contains("9 bytes"))
    }
}
