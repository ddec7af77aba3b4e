// SPDX-License-Identifier: Apache-2.0

/// One certificate of a server: files in PEM.
public struct TLSCertificate: Sendable, Equatable {
    public var chainFile: String
    public var keyFile: String
    public init(chainFile: String, keyFile: String) {
        self.chainFile = chainFile
        self.keyFile = keyFile
    }
}

/// Placeholder.
public struct TLSConfiguration: Sendable, Equatable {
    public enum ClientCertificates: String, Sendable, CaseIterable { case none, optional, required }
    public enum Version: String, Sendable, CaseIterable { case tls12 = "1.2", tls13 = "1.3" }
    public var certificates: [TLSCertificate]
    public var minimumVersion = Version.tls12
    public var clientCertificates = ClientCertificates.none
    public var clientCAFile: String?
    public var requiresServerName = false
    public var cipherSuites: String?
    public var cipherSuites13: String?
    public init(certificates: [TLSCertificate]) { self.certificates = certificates }
}
