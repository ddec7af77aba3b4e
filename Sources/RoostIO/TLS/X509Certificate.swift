// SPDX-License-Identifier: Apache-2.0

internal import CRoostTLS
internal import CSSL
internal import Glibc

/// A certificate that OpenSSL has parsed.
@safe final class X509Certificate {
    let pointer: OpaquePointer

    init(adopting pointer: OpaquePointer) { unsafe self.pointer = unsafe pointer }
    deinit { unsafe X509_free(pointer) }

    /// Its subject as RFC 2253 writes it: `CN=client,O=Example`.
    static func subject(_ certificate: OpaquePointer) -> String {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { return "" }
        defer { unsafe _ = BIO_free(bio) }
        unsafe roost_tls_print_name(bio, X509_get_subject_name(certificate))
        return unsafe withUnsafeTemporaryAllocation(byteCount: 1024, alignment: 1) { buffer in
            let count = unsafe BIO_read(bio, buffer.baseAddress, CInt(buffer.count))
            return unsafe String(decoding: buffer.prefix(max(0, Int(count))), as: UTF8.self)
        }
    }

    /// Its subject alternative names: DNS names and IP addresses (RFC 5280 §4.2.1.6); nil where it has none at all.
    static func alternativeNames(_ certificate: OpaquePointer) -> (hosts: [String], addresses: [String])? {
        guard let raw = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return nil }
        let names = OpaquePointer(raw)
        defer { unsafe GENERAL_NAMES_free(names) }
        var hosts: [String] = []
        var addresses: [String] = []
        for index in unsafe 0..<OPENSSL_sk_num(names) {
            // Safe: the stack holds GENERAL_NAMEs, and lives until the end of this function.
            let name = unsafe OPENSSL_sk_value(names, index)!.assumingMemoryBound(to: GENERAL_NAME.self)
            var kind: CInt = 0
            guard let value = unsafe GENERAL_NAME_get0_value(name, &kind), kind == GEN_DNS || kind == GEN_IPADD else {
                continue
            }
            let string = unsafe value.assumingMemoryBound(to: ASN1_STRING.self)
            let bytes = unsafe UnsafeRawBufferPointer(
                start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
            if kind == GEN_DNS {
                hosts.append(unsafe String(decoding: bytes, as: UTF8.self))
            } else if let address = unsafe addressText(bytes) {
                addresses.append(address)
            }
        }
        return (hosts, addresses)
    }

    private static func addressText(_ bytes: UnsafeRawBufferPointer) -> String? {
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        return unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
            let family = bytes.count == 4 ? AF_INET : AF_INET6
            guard unsafe inet_ntop(family, bytes.baseAddress, text.baseAddress, socklen_t(text.count)) != nil else {
                return nil
            }
            return unsafe String(cString: text.baseAddress!)
        }
    }

    /// The host names that it is for: the common name only where there are no alternative names (RFC 6125 §6.4.4).
    static func hostNames(_ certificate: OpaquePointer) -> [String] {
        if let names = unsafe alternativeNames(certificate) { return names.hosts }
        return unsafe commonName(certificate).map { [$0] } ?? []
    }

    private static func commonName(_ certificate: OpaquePointer) -> String? {
        unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
            let count = unsafe X509_NAME_get_text_by_NID(
                X509_get_subject_name(certificate), NID_commonName, text.baseAddress, CInt(text.count))
            return count > 0 ? unsafe String(cString: text.baseAddress!) : nil
        }
    }

    /// All that it is for, for a message: host names, addresses.
    static func namesText(_ certificate: OpaquePointer) -> String {
        let names = unsafe hostNames(certificate) + (alternativeNames(certificate)?.addresses ?? [])
        return names.isEmpty ? "no name" : names.joined(separator: ", ")
    }

    /// EVP_PKEY_RSA, EVP_PKEY_EC and so on; 0 when the key is not understood.
    var keyType: Int32 { unsafe X509_get0_pubkey(pointer).map { unsafe EVP_PKEY_get_base_id($0) } ?? 0 }
}
