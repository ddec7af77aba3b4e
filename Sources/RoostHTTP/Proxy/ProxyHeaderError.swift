/// Why a connection's PROXY header was refused. There is nobody to answer: the connection is closed.
package enum ProxyHeaderError: Error, Equatable, Sendable, CustomStringConvertible {
    case missing
    // Version 1.
    case lineTooLong
    case malformedLine
    case invalidAddress
    case invalidPort
    // Version 2.
    case unsupportedVersion(UInt8)
    case unknownCommand(UInt8)
    case unknownFamily(UInt8)
    case unknownTransport(UInt8)
    case addressTooShort(byteCount: Int, required: Int)
    case headerTooLarge(limit: Int)
    case malformedExtension
    case wrongChecksum

    package var description: String {
        switch self {
        case .missing:
            "connection does not start with a PROXY header; let the proxy send one, or turn it off for this listener"
        case .lineTooLong: "PROXY line is longer than 107 bytes (proxy-protocol 2.1)"
        case .malformedLine:
            "PROXY line is not 'PROXY TCP4|TCP6 source destination port port' or 'PROXY UNKNOWN' (proxy-protocol 2.1)"
        case .invalidAddress: "address in the PROXY line is not of the family it names (proxy-protocol 2.1)"
        case .invalidPort: "port in the PROXY line is not a number from 0 to 65535 (proxy-protocol 2.1)"
        case .unsupportedVersion(let version): "PROXY version \(version) is not supported; use 1 or 2"
        case .unknownCommand(let command): "PROXY command \(command) is not known (proxy-protocol 2.2)"
        case .unknownFamily(let family): "PROXY address family \(family) is not known (proxy-protocol 2.2)"
        case .unknownTransport(let transport): "PROXY transport \(transport) is not known (proxy-protocol 2.2)"
        case .addressTooShort(let byteCount, let required):
            "PROXY addresses have \(byteCount) bytes; their family takes \(required) (proxy-protocol 2.2)"
        case .headerTooLarge(let limit): "PROXY header is larger than \(limit) bytes; let the proxy send fewer TLVs"
        case .malformedExtension: "TLV in the PROXY header does not fit into it (proxy-protocol 2.2)"
        case .wrongChecksum: "CRC32C of the PROXY header is wrong (proxy-protocol 2.2.3)"
        }
    }
}
