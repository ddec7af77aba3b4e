/// Rules about the headers that decide who a request is for and where it ends.
enum HeadRules {
    /// An HTTP/1.1 request has one Host header with a valid value (RFC 9112 §3.2).
    static func checkHost(_ headers: HeaderFields, version: HTTPVersion) throws(HTTPError) {
        let count = headers.count(of: "host")
        guard count <= 1 else { throw .repeatedHost }
        guard let value = headers.only("host") else {
            guard version == .http10 else { throw .missingHost }
            return
        }
        // An empty Host is for URIs that have none, which http URIs do not (RFC 9110 §4.2.1).
        guard Authority(headers.bytes[value]) != nil else { throw .invalidHost }
    }

    /// Where a request ends (RFC 9112 §6.3). Anything two parties could read differently is refused.
    static func bodyFraming(
        _ headers: HeaderFields, version: HTTPVersion
    ) throws(HTTPError) -> RequestHead.BodyFraming {
        let lengthCount = headers.count(of: "content-length")
        if headers.count(of: "transfer-encoding") > 0 {
            guard version == .http11 else { throw .transferEncodingInHTTP10 }
            guard lengthCount == 0 else { throw .contentLengthWithTransferEncoding }
            guard let only = headers.only("transfer-encoding"), headers.equalsIgnoringCase(only, "chunked") else {
                throw .unsupportedTransferEncoding
            }
            return .chunked
        }
        guard lengthCount <= 1 else { throw .repeatedContentLength }
        guard let value = headers.only("content-length") else { return .none }
        return .contentLength(try contentLength(headers.bytes[value]))
    }

    private static func contentLength(_ digits: ArraySlice<UInt8>) throws(HTTPError) -> Int {
        guard !digits.isEmpty else { throw .invalidContentLength }
        var length = 0
        for digit in digits {
            let (product, multiplyOverflow) = length.multipliedReportingOverflow(by: 10)
            let (sum, addOverflow) = product.addingReportingOverflow(Int(digit &- 0x30))
            guard digit &- 0x30 < 10, !multiplyOverflow, !addOverflow else { throw .invalidContentLength }
            length = sum
        }
        return length
    }
}
