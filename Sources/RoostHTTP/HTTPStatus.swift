/// A status code of a response (RFC 9110 §15).
public struct HTTPStatus: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt16

    /// Nil unless `rawValue` has three digits and a first digit of 1 to 5.
    public init?(rawValue: UInt16) {
        guard (100...599).contains(rawValue) else { return nil }
        self.rawValue = rawValue
    }

    private init(known rawValue: UInt16) { self.rawValue = rawValue }

    public static let `continue` = HTTPStatus(known: 100)
    public static let switchingProtocols = HTTPStatus(known: 101)
    public static let ok = HTTPStatus(known: 200)
    public static let created = HTTPStatus(known: 201)
    public static let accepted = HTTPStatus(known: 202)
    public static let noContent = HTTPStatus(known: 204)
    public static let movedPermanently = HTTPStatus(known: 301)
    public static let found = HTTPStatus(known: 302)
    public static let seeOther = HTTPStatus(known: 303)
    public static let notModified = HTTPStatus(known: 304)
    public static let temporaryRedirect = HTTPStatus(known: 307)
    public static let permanentRedirect = HTTPStatus(known: 308)
    public static let badRequest = HTTPStatus(known: 400)
    public static let unauthorized = HTTPStatus(known: 401)
    public static let forbidden = HTTPStatus(known: 403)
    public static let notFound = HTTPStatus(known: 404)
    public static let methodNotAllowed = HTTPStatus(known: 405)
    public static let notAcceptable = HTTPStatus(known: 406)
    public static let requestTimeout = HTTPStatus(known: 408)
    public static let conflict = HTTPStatus(known: 409)
    public static let lengthRequired = HTTPStatus(known: 411)
    public static let preconditionFailed = HTTPStatus(known: 412)
    public static let contentTooLarge = HTTPStatus(known: 413)
    public static let uriTooLong = HTTPStatus(known: 414)
    public static let unsupportedMediaType = HTTPStatus(known: 415)
    public static let expectationFailed = HTTPStatus(known: 417)
    public static let misdirectedRequest = HTTPStatus(known: 421)
    public static let unprocessableContent = HTTPStatus(known: 422)
    public static let upgradeRequired = HTTPStatus(known: 426)
    public static let tooManyRequests = HTTPStatus(known: 429)
    public static let requestHeaderFieldsTooLarge = HTTPStatus(known: 431)
    public static let internalServerError = HTTPStatus(known: 500)
    public static let notImplemented = HTTPStatus(known: 501)
    public static let badGateway = HTTPStatus(known: 502)
    public static let serviceUnavailable = HTTPStatus(known: 503)
    public static let gatewayTimeout = HTTPStatus(known: 504)
    public static let httpVersionNotSupported = HTTPStatus(known: 505)

    /// False for statuses whose responses end with the head (RFC 9112 §6.3).
    package var mayHaveBody: Bool { rawValue >= 200 && rawValue != 204 && rawValue != 304 }

    /// The phrase that follows the code in a status line; empty for codes without a name here.
    public var reasonPhrase: String {
        switch rawValue {
        case 100: "Continue"
        case 101: "Switching Protocols"
        case 200: "OK"
        case 201: "Created"
        case 202: "Accepted"
        case 204: "No Content"
        case 301: "Moved Permanently"
        case 302: "Found"
        case 303: "See Other"
        case 304: "Not Modified"
        case 307: "Temporary Redirect"
        case 308: "Permanent Redirect"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 406: "Not Acceptable"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 414: "URI Too Long"
        case 415: "Unsupported Media Type"
        case 417: "Expectation Failed"
        case 421: "Misdirected Request"
        case 422: "Unprocessable Content"
        case 426: "Upgrade Required"
        case 429: "Too Many Requests"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 502: "Bad Gateway"
        case 503: "Service Unavailable"
        case 504: "Gateway Timeout"
        case 505: "HTTP Version Not Supported"
        default: ""
        }
    }

    public var description: String { reasonPhrase.isEmpty ? "\(rawValue)" : "\(rawValue) \(reasonPhrase)" }
}
