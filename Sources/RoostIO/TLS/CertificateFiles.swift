// SPDX-License-Identifier: Apache-2.0

internal import CSSL
internal import Glibc

/// Reads PEM files and gathers what is wrong with them, so that an operator hears of everything at once.
struct CertificateFiles {
    private(set) var problems: [String] = []
    private(set) var warnings: [String] = []

    /// A certificate with its chain and its key, which belong together.
    @safe final class Loaded {
        let source: TLSCertificate
        let leaf: X509Certificate
        /// The intermediates in the order of the file.
        let chain: [X509Certificate]
        /// Owned.
        let key: OpaquePointer

        fileprivate init(_ source: TLSCertificate, _ certificates: [X509Certificate], _ key: OpaquePointer) {
            self.source = source
            leaf = certificates[0]
            chain = Array(certificates.dropFirst())
            unsafe self.key = unsafe key
        }

        deinit { unsafe EVP_PKEY_free(key) }

        var names: [String] { unsafe X509Certificate.hostNames(leaf.pointer) }
    }

    mutating func report(_ problem: String) { problems.append(problem) }
    mutating func warn(_ warning: String) { warnings.append(warning) }

    /// Nil when something is wrong, which is in `problems` then.
    mutating func load(_ certificate: TLSCertificate) -> Loaded? {
        let certificates = readCertificates(certificate.chainFile, "certificate")
        if let leaf = certificates.first { checkValidity(leaf, certificate.chainFile) }
        let key = unsafe readKey(certificate.keyFile)
        guard let key = unsafe key else { return nil }
        guard !certificates.isEmpty else {
            unsafe EVP_PKEY_free(key)
            return nil
        }
        let loaded = unsafe Loaded(certificate, certificates, key)
        defer { ERR_clear_error() }
        if unsafe X509_check_private_key(loaded.leaf.pointer, key) != 1 {
            report(
                "\(certificate.keyFile): this key does not belong to the certificate in \(certificate.chainFile); "
                    + "give the key that the certificate was made with, and have the server's own certificate come "
                    + "first in its file")
            return nil
        }
        return loaded
    }

    /// The certificates in a PEM file; none when there is none, or one that is broken, which is a problem.
    mutating func readCertificates(_ path: String, _ purpose: String) -> [X509Certificate] {
        guard let bytes = read(path), let bio = unsafe bytes.withUnsafeBytes({ unsafe Self.copyToBIO($0) }) else {
            return []
        }
        defer { unsafe _ = BIO_free(bio) }
        ERR_clear_error()
        var certificates: [X509Certificate] = []
        while let certificate = unsafe PEM_read_bio_X509(bio, nil, nil, nil) {
            unsafe certificates.append(X509Certificate(adopting: certificate))
        }
        let entries = OpenSSLErrors.take()
        // The end of the file shows as one more error.
        if let last = entries.last, last.library == ERR_LIB_PEM, last.reason == PEM_R_NO_START_LINE {
            if certificates.isEmpty { report(noCertificate(path, purpose, bytes)) }
            return certificates
        }
        let reason = entries.map(\.text).joined(separator: "; ")
        report(
            "\(path): certificate \(certificates.count + 1) in it is damaged (\(reason)); "
                + "copy it anew from where it was issued")
        return []
    }

    private func noCertificate(_ path: String, _ purpose: String, _ bytes: [UInt8]) -> String {
        if bytes.isEmpty { return "\(path): the file is empty; it must hold a \(purpose) in PEM" }
        if bytes.first == 0x30 {
            return "\(path): this is DER, not PEM; convert it: openssl x509 -inform der -in \(path) -out FILE"
        }
        return "\(path): there is no \(purpose) in PEM in it (-----BEGIN CERTIFICATE-----); give a file that has one"
    }

    /// The caller's to free.
    private mutating func readKey(_ path: String) -> OpaquePointer? {
        guard let bytes = read(path) else { return nil }
        warnIfReadable(path)
        guard let bio = unsafe bytes.withUnsafeBytes({ unsafe Self.copyToBIO($0) }) else { return nil }
        defer { unsafe _ = BIO_free(bio) }
        var isEncrypted = false
        ERR_clear_error()
        let key = unsafe withUnsafeMutablePointer(to: &isEncrypted) { flag in
            unsafe PEM_read_bio_PrivateKey(
                bio, nil,
                { _, _, _, flag in
                    // Safe: `flag` is the one given below.
                    unsafe flag!.assumingMemoryBound(to: Bool.self).pointee = true
                    return -1
                }, flag)
        }
        let reason = OpenSSLErrors.text()
        if let key = unsafe key { return unsafe key }
        if isEncrypted {
            report(
                "\(path): the key is encrypted, which is not supported; decrypt it: "
                    + "openssl pkey -in \(path) -out FILE, and let nobody but the server read FILE")
        } else if bytes.first == 0x30 {
            report("\(path): this is DER, not PEM; convert it: openssl pkey -inform der -in \(path) -out FILE")
        } else {
            report(
                "\(path): there is no private key in PEM in it (\(reason)); give the file that begins with "
                    + "-----BEGIN PRIVATE KEY-----")
        }
        return nil
    }

    private mutating func read(_ path: String) -> [UInt8]? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            report("\(path): cannot be opened: \(OpenSSLErrors.errnoText(errno)); check the path and who may read it")
            return nil
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = unsafe Glibc.read(descriptor, &piece, piece.count)
            if count == 0 { return bytes }
            if count < 0 {
                if errno == EINTR { continue }
                report("\(path): cannot be read: \(OpenSSLErrors.errnoText(errno)); give a file")
                return nil
            }
            bytes += piece[..<count]
            guard bytes.count <= Self.fileByteCountMax else {
                report("\(path): longer than \(Self.fileByteCountMax) bytes; give a PEM file")
                return nil
            }
        }
    }

    /// Every authority of the world is 250 kB.
    private static let fileByteCountMax = 4 << 20

    /// A BIO over a copy of `bytes`.
    private static func copyToBIO(_ bytes: UnsafeRawBufferPointer) -> OpaquePointer? {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { return nil }
        if bytes.count > 0 { unsafe _ = BIO_write(bio, bytes.baseAddress, CInt(bytes.count)) }
        return unsafe bio
    }

    private mutating func warnIfReadable(_ path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0, status.st_mode & S_IROTH != 0 else { return }
        warn("\(path): everybody on this machine can read this private key; run chmod o= \(path)")
    }

    private mutating func checkValidity(_ certificate: X509Certificate, _ path: String) {
        if unsafe X509_cmp_current_time(X509_get0_notAfter(certificate.pointer)) < 0 {
            warn("\(path): the certificate has expired: clients will refuse it; renew it")
        }
        if unsafe X509_cmp_current_time(X509_get0_notBefore(certificate.pointer)) > 0 {
            warn("\(path): the certificate is not yet valid: clients will refuse it; check this machine's clock")
        }
    }
}
