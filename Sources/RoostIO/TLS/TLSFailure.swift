// SPDX-License-Identifier: Apache-2.0

/// Why a TLS session broke.
package struct TLSFailure: Error, Equatable, Sendable, CustomStringConvertible {
    /// The causes that are counted apart.
    package enum Cause: String, Sendable, CaseIterable {
        /// An HTTP request in the clear where TLS was expected.
        case plainHTTP
        /// Neither TLS nor HTTP.
        case notTLS
        /// No version in common (RFC 8446 §4.2.1).
        case unsupportedVersion
        /// No cipher suite, group or signature algorithm in common.
        case noSharedCipher
        /// The client showed no certificate and must (RFC 8446 §4.4.2.4).
        case certificateRequired
        /// The peer's certificate did not pass.
        case certificateRejected
        /// The client asks for a name that is not served (RFC 6066 §3).
        case unrecognizedName
        /// The client does not offer http/1.1 (RFC 7301 §3.2).
        case noApplicationProtocol
        /// The peer gave up and said why.
        case peerAlert
        /// The peer ended the connection in the middle.
        case peerClosed
        /// The socket broke: ECONNRESET and its kin.
        case inputOutput
        case other
    }

    package let cause: Cause
    /// In plain words.
    package let description: String

    package init(_ cause: Cause, _ description: String) {
        self.cause = cause
        self.description = description
    }
}
