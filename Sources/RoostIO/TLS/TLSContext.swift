// SPDX-License-Identifier: Apache-2.0

internal import CRoostTLS
internal import CSSL
internal import RoostRuntime

/// What a listener's TLS sessions have in common. It does not change; a new configuration is a new context, and
/// sessions keep the one that they were made with.
// Nothing is written after `init`; the counts and caches within OpenSSL's contexts are its own, and safe.
@safe package final class TLSContext: @unchecked Sendable {
    /// What an operator should hear of, though it works.
    package let warnings: [String]
    let tickets: TLSTickets
    private let choice: CertificateChoice

    /// Throws every problem at once. With `keepingTicketsOf` what that context's sessions may resume can be resumed
    /// with this one, unless whom clients are verified against has changed.
    package convenience init(
        _ configuration: TLSConfiguration, keepingTicketsOf previous: TLSContext? = nil
    ) throws(TLSError) {
        try self.init(configuration, tickets: previous?.tickets)
    }

    private init(_ configuration: TLSConfiguration, tickets kept: TLSTickets?) throws(TLSError) {
        // It may be a process that reloads.
        (warnings, tickets, choice) = try withoutOwner { () throws(TLSError) in
            _ = OPENSSL_init_ssl(UInt64(OPENSSL_INIT_NO_ATEXIT), nil)  // schedulers run until the very end
            defer { ERR_clear_error() }
            return try Self.make(configuration, kept)
        }
    }

    /// The context that a session begins with.
    var pointer: OpaquePointer { unsafe choice.first }

    private static func make(
        _ configuration: TLSConfiguration, _ kept: TLSTickets?
    ) throws(TLSError) -> ([String], TLSTickets, CertificateChoice) {
        var files = CertificateFiles()
        guard let tickets = kept ?? TLSTickets() else {
            throw TLSError(problems: ["OpenSSL has no randomness for the keys of tickets: check /dev/urandom"])
        }
        if configuration.certificates.isEmpty { files.report("no certificate is given; TLS needs at least one") }
        let loaded = configuration.certificates.map { files.load($0) }
        let authorities = readAuthorities(configuration, &files)
        // Each by itself first: what is wrong with it is then told once.
        for certificate in loaded {
            guard let certificate,
                let context = OpenSSLContext(isServer: true, minimumVersion: configuration.minimumVersion, &files)
            else { continue }
            context.use(certificate, &files)
        }
        if let context = OpenSSLContext(isServer: true, minimumVersion: configuration.minimumVersion, &files) {
            context.setCipherSuites(configuration.cipherSuites, suites13: configuration.cipherSuites13, &files)
        }
        guard files.problems.isEmpty else { throw TLSError(problems: files.problems) }
        let certificates = loaded.map { $0! }
        warnOfTwins(certificates, &files)
        let choice = CertificateChoice(certificates, configuration.requiresServerName) { set in
            guard let context = OpenSSLContext(isServer: true, minimumVersion: configuration.minimumVersion, &files)
            else { return nil }
            context.setCipherSuites(configuration.cipherSuites, suites13: configuration.cipherSuites13, &files)
            for index in set { context.use(certificates[index], &files) }
            unsafe setUp(context.pointer, configuration, authorities, tickets)
            context.trust(authorities, isServer: true)
            return context
        }
        guard let choice, files.problems.isEmpty else { throw TLSError(problems: files.problems) }
        return (files.warnings, tickets, choice)
    }

    private static func readAuthorities(
        _ configuration: TLSConfiguration, _ files: inout CertificateFiles
    ) -> [X509Certificate] {
        switch (configuration.clientCertificates, configuration.clientCAFile) {
        case (.none, nil): return []
        case (.none, let path?):
            files.report(
                "\(path): authorities for clients' certificates are given, but clients are not asked for one; "
                    + "set client certificates to optional or required, or leave the file out")
            return []
        case (.optional, nil), (.required, nil):
            files.report(
                "clients are asked for certificates, but no file of the authorities that sign them is given; "
                    + "give one, or set client certificates to none")
            return []
        case (.optional, let path?), (.required, let path?):
            return files.readCertificates(path, "authority's certificate")
        }
    }

    private static func warnOfTwins(_ certificates: [CertificateFiles.Loaded], _ files: inout CertificateFiles) {
        var seen: [String: String] = [:]
        for certificate in certificates {
            for name in certificate.names.map({ $0.lowercased() }) {
                let key = "\(certificate.leaf.keyType) \(name)"
                if let first = seen[key] {
                    files.warn(
                        "\(certificate.source.chainFile): \(name) is in \(first) already, with a key of the same kind: "
                            + "the first is used")
                } else {
                    seen[key] = certificate.source.chainFile
                }
            }
        }
    }

    private static func setUp(
        _ context: OpaquePointer, _ configuration: TLSConfiguration, _ authorities: [X509Certificate],
        _ tickets: TLSTickets
    ) {
        unsafe roost_tls_accept_http(context)
        unsafe roost_tls_use_tickets(context, tickets.pointer)
        let mode: CInt
        switch configuration.clientCertificates {
        case .none: mode = SSL_VERIFY_NONE
        case .optional: mode = SSL_VERIFY_PEER
        case .required: mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT
        }
        unsafe SSL_CTX_set_verify(context, mode, TLSSession.noteRefusal)
        // A session is resumed only where clients are verified as they were when it was made: a resumed one shows no
        // certificate.
        var identity = [UInt8("\(mode)".utf8.first!)]
        for authority in authorities {
            var digest = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
            var count: CUnsignedInt = 0
            unsafe _ = X509_digest(authority.pointer, EVP_sha256(), &digest, &count)
            identity += digest.prefix(Int(count))
        }
        var hash = [UInt8](repeating: 0, count: Int(SHA256_DIGEST_LENGTH))
        unsafe _ = SHA256(identity, identity.count, &hash)
        unsafe _ = SSL_CTX_set_session_id_context(context, hash, CUnsignedInt(hash.count))
    }
}

/// Which of OpenSSL's contexts serves which name.
@safe final class CertificateChoice: @unchecked Sendable {  // nothing is written after `init`
    private let table: ServerNameTable
    private let requiresServerName: Bool
    /// One per set of certificates that a name leads to.
    private let contexts: [[Int]: OpenSSLContext]
    private let initial: OpenSSLContext

    /// Nil when `make` fails for a set.
    init?(
        _ certificates: [CertificateFiles.Loaded], _ requiresServerName: Bool, _ make: ([Int]) -> OpenSSLContext?
    ) {
        let table = ServerNameTable(certificates.map { (names: $0.names, keyType: $0.leaf.keyType) })
        // The first certificate, with those of other key types that stand beside it.
        let beside = certificates[0].names.lazy.compactMap { table.certificates(for: $0) }.first { $0.contains(0) }
        guard let initial = make(beside ?? [0]) else { return nil }
        var contexts = [beside ?? [0]: initial]
        for set in table.sets where contexts[set] == nil {
            guard let context = make(set) else { return nil }
            contexts[set] = context
        }
        self.table = table
        self.requiresServerName = requiresServerName
        self.initial = initial
        self.contexts = contexts
        for context in contexts.values {
            // Safe: sessions keep the TLSContext that owns this object.
            unsafe roost_tls_choose_by_name(context.pointer, Self.choose, Unmanaged.passUnretained(self).toOpaque())
        }
    }

    var first: OpaquePointer { unsafe initial.pointer }

    private static let choose: roost_tls_choose = { session, alert, argument in
        // Safe: the session and the alert are OpenSSL's for the length of the call, the object as said above.
        let choice = unsafe Unmanaged<CertificateChoice>.fromOpaque(argument!).takeUnretainedValue()
        let name = unsafe SSL_get_servername(session, TLSEXT_NAMETYPE_host_name).map { unsafe String(cString: $0) }
        guard let set = name.flatMap(choice.table.certificates(for:)), let context = choice.contexts[set] else {
            guard choice.requiresServerName else { return SSL_TLSEXT_ERR_OK }
            unsafe alert?.pointee = SSL_AD_UNRECOGNIZED_NAME
            return SSL_TLSEXT_ERR_ALERT_FATAL
        }
        if unsafe context.pointer != SSL_get_SSL_CTX(session), unsafe SSL_set_SSL_CTX(session, context.pointer) == nil {
            unsafe alert?.pointee = SSL_AD_INTERNAL_ERROR
            return SSL_TLSEXT_ERR_ALERT_FATAL
        }
        return SSL_TLSEXT_ERR_OK
    }
}
