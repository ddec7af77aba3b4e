// SPDX-License-Identifier: Apache-2.0

/// A certificate and its private key, both in PEM files.
public struct TLSCertificate: Sendable, Equatable {
    /// The certificate, followed by the intermediate certificates that lead to its root (RFC 8446 §4.4.2).
    public var chainFile: String
    /// The private key of the first certificate in `chainFile`, not encrypted.
    public var keyFile: String

    public init(chainFile: String, keyFile: String) {
        self.chainFile = chainFile
        self.keyFile = keyFile
    }
}

/// The oldest version that is spoken. Older ones are not there at all (RFC 8996).
public enum TLSVersion: String, Sendable, CaseIterable {
    case tls12 = "1.2"
    case tls13 = "1.3"
}

/// Whether clients show a certificate.
public enum TLSClientCertificates: String, Sendable, CaseIterable {
    /// They are not asked for one.
    case none
    /// They are asked; one that is shown must be valid.
    case optional
    /// Without a valid one the handshake fails.
    case required
}

/// How a listener speaks TLS.
public struct TLSConfiguration: Sendable, Equatable {
    /// At least one. A client is served by those whose names (subject alternative names; the common name where there is
    /// none) hold the name that it asks for: exactly, or else by a wildcard for one label (RFC 6125 §6.4). Where
    /// several do, the first of each key type, so that ECDSA and RSA may stand side by side. A client that asks for no
    /// name, or for an unknown one, gets the first.
    public var certificates: [TLSCertificate]
    /// Whether a client that asks for no name, or for an unknown one, is refused instead, with unrecognized_name
    /// (RFC 6066 §3).
    public var requiresServerName = false
    public var minimumVersion = TLSVersion.tls12
    /// Suites for TLS 1.2 as OpenSSL names them, with colons between them; nil: those with ECDHE and AEAD.
    public var cipherSuites: String?
    /// Suites for TLS 1.3; nil: OpenSSL's.
    public var cipherSuites13: String?
    public var clientCertificates = TLSClientCertificates.none
    /// PEM file of the authorities that sign clients' certificates: with `.optional` and `.required`, and only then.
    public var clientCAFile: String?

    public init(certificates: [TLSCertificate]) { self.certificates = certificates }
}

/// How a client speaks TLS.
public struct TLSClientConfiguration: Sendable, Equatable {
    /// PEM file of the authorities that are trusted; nil: the system's.
    public var caFile: String?
    /// Without it anybody can pose as the server.
    public var verifiesCertificate = true
    /// The name to ask for and to verify; nil: the host that is connected to.
    public var serverName: String?
    /// Shown to a server that asks for one.
    public var certificate: TLSCertificate?

    public init() {}
}
