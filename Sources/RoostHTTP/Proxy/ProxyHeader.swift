/// The header that a proxy sends ahead of a connection to tell where it comes from: PROXY protocol 1 and 2
/// (proxy-protocol.txt of HAProxy).
///
/// To be read only where the configuration says so and the peer is a trusted proxy: whoever may send the header may
/// claim any address.
package enum ProxyHeader {
    package enum Outcome: Equatable, Sendable {
        /// Call again with the same bytes and more behind them.
        case needsMoreBytes
        case header(ProxiedAddress, consumedByteCount: Int)
        /// The connection is to be closed.
        case failure(ProxyHeaderError)
    }

    /// Bytes of a header, signature included: the largest address, of unix sockets, and TLVs beside it. The limit of
    /// a version 1 line is 107 bytes.
    package static let byteCountMax = 4_096

    /// Looks at all bytes received so far, from the first of the connection on.
    ///
    /// Keeps no state, as a header comes in one piece in practice. Refuses at the first byte that no header has there,
    /// so that a client without a proxy is not left waiting. Never looks at what follows the header.
    package static func parse(_ bytes: Span<UInt8>) -> Outcome {
        guard bytes.count > 0 else { return .needsMoreBytes }
        do throws(ProxyHeaderError) {
            switch bytes[0] {
            case ProxyLine.start[0]: return try ProxyLine.parse(bytes)
            case BinaryProxyHeader.signature[0]: return try BinaryProxyHeader.parse(bytes)
            default: throw .missing
            }
        } catch {
            return .failure(error)
        }
    }

    /// As `parse(_: Span<UInt8>)`.
    package static func parse(_ bytes: UnsafeRawBufferPointer) -> Outcome {
        // Safe: the caller's buffer outlives the call, and the span does not escape it.
        unsafe bytes.withMemoryRebound(to: UInt8.self) { unsafe parse($0.span) }
    }

    /// Throws unless `bytes` starts as `expected` does, as far as both go.
    static func requireStart(_ expected: [UInt8], of bytes: Span<UInt8>) throws(ProxyHeaderError) {
        for index in 0..<min(expected.count, bytes.count) {
            guard bytes[index] == expected[index] else { throw .missing }
        }
    }
}
