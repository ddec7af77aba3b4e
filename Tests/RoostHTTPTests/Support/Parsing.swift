import RoostHTTP

/// What a parser makes of a head, in a form that can be compared.
enum Parsed: Equatable {
    case needsMoreBytes
    case head(Fields, consumedByteCount: Int)
    case failure(HTTPError)

    /// Everything that a request head tells.
    struct Fields: Equatable {
        var method = ""
        var path = ""
        var query: String?
        var version = HTTPVersion.http11
        var host: String?
        var headers: [String] = []
        var bodyFraming = RequestHead.BodyFraming.none
    }

    init(_ outcome: RequestHeadParser.Outcome) {
        switch outcome {
        case .needsMoreBytes: self = .needsMoreBytes
        case .failure(let error): self = .failure(error)
        case .head(let head, let consumedByteCount):
            let fields = Fields(
                method: head.method, path: head.path, query: head.query, version: head.version, host: head.host,
                headers: head.headers.map { "\($0.name)=\($0.value)" }, bodyFraming: head.bodyFraming)
            self = .head(fields, consumedByteCount: consumedByteCount)
        }
    }

    var error: HTTPError? { if case .failure(let error) = self { error } else { nil } }
    var isHead: Bool { if case .head = self { true } else { false } }
}

/// What a new parser makes of `bytes`, all at once.
func parse(_ bytes: [UInt8], limits: HTTPLimits = HTTPLimits()) -> Parsed {
    var parser = RequestHeadParser(limits: limits)
    return Parsed(parser.parse(bytes.span))
}

func parse(_ text: String, limits: HTTPLimits = HTTPLimits()) -> Parsed { parse(Array(text.utf8), limits: limits) }

/// What a parser makes of `bytes` that arrive in pieces which end at `ends`.
func parse(_ bytes: [UInt8], pieceEnds ends: [Int], limits: HTTPLimits = HTTPLimits()) -> Parsed {
    var parser = RequestHeadParser(limits: limits)
    var last = Parsed.needsMoreBytes
    for end in ends {
        last = Parsed(parser.parse(bytes.span.extracting(0..<end)))
        guard last == .needsMoreBytes else { break }
    }
    return last
}

/// The head of a valid request, or a trap: for tests about what a head tells.
func head(_ text: String) -> RequestHead {
    let bytes = Array(text.utf8)
    var parser = RequestHeadParser()
    guard case .head(let head, bytes.count) = parser.parse(bytes.span) else {
        preconditionFailure("not a whole, valid head: \(text)")
    }
    return head
}

/// A request for `target` with what HTTP/1.1 requires.
func request(_ target: String, headers: String = "Host: a\r\n") -> String {
    "GET \(target) HTTP/1.1\r\n\(headers)\r\n"
}
