// SPDX-License-Identifier: Apache-2.0

package import Roost
internal import RoostHTTP

/// The section `tls`.
package struct TLSSettings: Sendable, Equatable {
    package var configuration = TLSConfiguration(certificates: [])
    /// Somebody asked for TLS, by any key of the section, and nobody stronger for `off`.
    package var isWanted = false

    package init() {}

    /// `configuration.minimumVersion` as the file names it.
    var minimumVersion: TLSVersionName {
        switch configuration.minimumVersion {
        case .tls12: .tls12
        case .tls13: .tls13
        }
    }

    /// `configuration.clientCertificates` as the file names it.
    var clientCertificates: ClientCertificatesName {
        switch configuration.clientCertificates {
        case .none: .none
        case .optional: .optional
        case .required: .required
        }
    }

    /// For a listener: an inherited `client-ca` is left out where clients are not asked for certificates.
    var listenerConfiguration: TLSConfiguration {
        var configuration = configuration
        if clientCertificates == .none { configuration.clientCAFile = nil }
        return configuration
    }
}

/// What `tls.min-version` may be.
enum TLSVersionName: String, CaseIterable {
    case tls12 = "1.2"
    case tls13 = "1.3"
}

/// What `tls.client-certificates` may be.
enum ClientCertificatesName: String, CaseIterable {
    case none, optional, required
}

/// What may differ from listener to listener.
package struct ListenerSettings: Sendable, Equatable {
    package var connectionCountMax: Int
    package var handshakeTimeout: Duration
    package var headByteCountMax: Int
    package var http: HTTPRequestLimits
    package var addressLimits: AddressLimits
    package var proxy: ProxyPolicy
    package var tls = TLSSettings()

    package init() {
        let standard = ListenerConfiguration(address: "", routes: [])
        connectionCountMax = standard.connectionCountMax
        handshakeTimeout = standard.handshakeTimeout
        headByteCountMax = standard.headByteCountMax
        http = standard.http
        addressLimits = standard.addressLimits
        proxy = standard.proxy
    }

    /// Somebody chose `connectionCountMax`; the default may be lowered to what fits.
    package var isConnectionCountMaxChosen: Bool { connectionCountMax != ListenerSettings().connectionCountMax }

    /// Overrides what the sources name.
    mutating func read(_ reader: inout SettingReader) {
        func integer(_ key: ListenerSettingKey, _ value: inout Int) {
            value = reader.integer(key.rawValue, rule: key.rule, default: value)
        }
        func duration(_ key: ListenerSettingKey, _ value: inout Duration) {
            value = reader.duration(key.rawValue, rule: key.rule, default: value)
        }
        integer(.maxConnections, &connectionCountMax)
        duration(.handshakeTimeout, &handshakeTimeout)
        integer(.maxHeadBytes, &headByteCountMax)
        integer(.maxBodyBytes, &http.bodyByteCountMax)
        duration(.keepAliveTimeout, &http.keepAliveTimeout)
        integer(.maxRequestsPerConnection, &http.requestCountMax)
        integer(.maxConnectionsPerAddress, &addressLimits.connectionCountMax)
        integer(.maxConnectRatePerAddress, &addressLimits.connectsPerSecond)
        integer(.connectBurstPerAddress, &addressLimits.connectBurst)
        readProxy(&reader)
        tls.read(&reader)
    }

    private mutating func readProxy(_ reader: inout SettingReader) {
        let (trusted, header) = (ListenerSettingKey.trustedProxies, ListenerSettingKey.forwardedHeader)
        if let (values, origin) = reader.list(trusted.rawValue) {
            do throws(AddressRangeError) {
                _ = try AddressRanges(values)
            } catch {
                reader.report(origin, trusted.rawValue, ": \(error)")
            }
            proxy.trusted = values
        }
        proxy.requiresProxyProtocol = reader.flag(
            ListenerSettingKey.proxyProtocol.rawValue, default: proxy.requiresProxyProtocol)
        proxy.forwardedHeader = reader.choice(header.rawValue, rule: header.rule, default: proxy.forwardedHeader)
    }

    /// Says which settings lack others that they need. `elsewhere` has what `reader`'s place inherits.
    func checkRelations(_ reader: inout SettingReader, _ elsewhere: SettingReader, _ place: SettingOrigin) {
        func report(_ name: String, _ statement: String) {
            let components = name.split(separator: ".", maxSplits: 1).map(String.init)
            let origin =
                reader.origin(components) ?? reader.origin([components[0]]) ?? elsewhere.origin(components)
                ?? elsewhere.origin([components[0]]) ?? place
            reader.report(origin, name, statement)
        }
        let remedy = " needs trusted-proxies: name the addresses whose word is taken, as in [127.0.0.1, 10.0.0.0/8]"
        if proxy.trusted.isEmpty {
            if proxy.requiresProxyProtocol { report(ListenerSettingKey.proxyProtocol.rawValue, remedy) }
            if proxy.forwardedHeader != .none { report(ListenerSettingKey.forwardedHeader.rawValue, remedy) }
        }
        guard tls.isWanted else { return }
        // What is named and yet not there has been reported.
        if tls.configuration.certificates.isEmpty, ![reader, elsewhere].contains(where: TLSSettings.namesCertificates) {
            report("tls", " has no certificate; add chain and key, or write `tls: off`")
        }
        switch tls.clientCertificates {
        case .none:
            // An inherited one does nothing where clients are not asked.
            if reader.origin(["tls", TLSSettingKey.clientCA.rawValue]) != nil {
                report(
                    "tls.client-ca",
                    " is for clients that show certificates; set tls.client-certificates to optional or required, or "
                        + "remove it")
            }
        case .optional, .required:
            if tls.configuration.clientCAFile == nil {
                report(
                    "tls.client-certificates",
                    " is \(tls.clientCertificates.rawValue) and needs tls.client-ca: name the file with the "
                        + "certificates that clients' are signed with")
            }
        }
    }

    /// What is allowed, but hardly meant; each a sentence.
    func warnings(address: String) -> [String] {
        var warnings: [String] = []
        let knowsClients = proxy.requiresProxyProtocol || proxy.forwardedHeader != .none
        let isLimited = addressLimits.connectionCountMax > 0 || addressLimits.connectsPerSecond > 0
        if !proxy.trusted.isEmpty, !knowsClients {
            warnings.append(
                isLimited
                    ? "\(address): the limits per address take each trusted proxy for one client; set proxy-protocol "
                        + "or forwarded-header, by which the proxies tell their clients"
                    : "\(address): trusted-proxies changes nothing by itself; set proxy-protocol or forwarded-header")
        }
        if address.hasPrefix("unix:"), isLimited, !knowsClients {
            warnings.append(
                "\(address): the limits per address hold for nobody, as clients of a unix socket have no address; set "
                    + "proxy-protocol or forwarded-header, with unix among trusted-proxies")
        }
        if addressLimits.connectBurst > 0, addressLimits.connectsPerSecond == 0 {
            warnings.append(
                "\(address): connect-burst-per-address changes nothing without max-connect-rate-per-address")
        }
        return warnings
    }

    func listener(_ address: String, _ routes: [Route]) -> ListenerConfiguration {
        var listener = ListenerConfiguration(address: address, routes: routes)
        listener.tls = tls.isWanted ? tls.listenerConfiguration : nil
        listener.proxy = proxy
        listener.addressLimits = addressLimits
        listener.http = http
        listener.connectionCountMax = connectionCountMax
        listener.handshakeTimeout = handshakeTimeout
        listener.headByteCountMax = headByteCountMax
        return listener
    }
}

extension TLSSettings {
    private static let section = ListenerSettingKey.tls.rawValue

    fileprivate static func namesCertificates(_ reader: SettingReader) -> Bool {
        [TLSSettingKey.certificates, .chain, .key].contains { reader.origin([section, $0.rawValue]) != nil }
    }

    /// Overrides what the sources name.
    mutating func read(_ reader: inout SettingReader) {
        readSwitch(&reader)
        readCertificates(&reader)
        let (version, client) = (TLSSettingKey.minVersion, TLSSettingKey.clientCertificates)
        switch reader.choice(Self.section, version.rawValue, rule: version.rule, default: minimumVersion) {
        case .tls12: configuration.minimumVersion = .tls12
        case .tls13: configuration.minimumVersion = .tls13
        }
        switch reader.choice(Self.section, client.rawValue, rule: client.rule, default: clientCertificates) {
        case .none: configuration.clientCertificates = .none
        case .optional: configuration.clientCertificates = .optional
        case .required: configuration.clientCertificates = .required
        }
        if let (path, _) = reader.file([Self.section, TLSSettingKey.clientCA.rawValue]) {
            configuration.clientCAFile = path
        }
        configuration.requiresServerName = reader.flag(
            Self.section, TLSSettingKey.requireServerName.rawValue, default: configuration.requiresServerName)
        if let (text, _) = reader.text([Self.section, TLSSettingKey.ciphers.rawValue]) {
            configuration.cipherSuites = text
        }
        if let (text, _) = reader.text([Self.section, TLSSettingKey.ciphers13.rawValue]) {
            configuration.cipherSuites13 = text
        }
    }

    /// `tls: off` against the keys of the section: the stronger source has its way.
    private mutating func readSwitch(_ reader: inout SettingReader) {
        let ranks = TLSSettingKey.allCases.compactMap { reader.origin([Self.section, $0.rawValue])?.rank }
        if let (word, origin) = reader.word(Self.section) {
            if word.lowercased() != "off" {
                let (chain, key) = (Self.name("tls.chain", like: origin), Self.name("tls.key", like: origin))
                reader.report(origin, Self.section, " is '\(word)'; use off, or set \(chain) and \(key)")
            }
            if origin.rank <= ranks.min() ?? .max { return isWanted = false }
        }
        if !ranks.isEmpty { isWanted = true }
    }

    private mutating func readCertificates(_ reader: inout SettingReader) {
        let (chainKey, keyKey) = (TLSSettingKey.chain.rawValue, TLSSettingKey.key.rawValue)
        let chain = reader.file([Self.section, chainKey])
        let key = reader.file([Self.section, keyKey])
        let list = reader.origin([Self.section, TLSSettingKey.certificates.rawValue])
        if let list, let short = chain?.origin ?? key?.origin {
            if short.rank == list.rank {
                return reader.report(
                    short, "tls", " has certificates and a \(chain == nil ? keyKey : chainKey) besides; move it there")
            }
        } else if let list {
            return readList(&reader, list)
        }
        switch (chain, key) {
        case (let chain?, let key?):
            if (chain.origin.rank == 0) != (key.origin.rank == 0) {
                return reportHalf(&reader, chain.origin.rank == 0 ? chain.origin : key.origin, chain.origin.rank == 0)
            }
            configuration.certificates = [TLSCertificate(chainFile: chain.path, keyFile: key.path)]
        case (let chain?, nil): reportHalf(&reader, chain.origin, true)
        case (nil, let key?): reportHalf(&reader, key.origin, false)
        case (nil, nil): break
        }
    }

    private func reportHalf(_ reader: inout SettingReader, _ origin: SettingOrigin, _ isChain: Bool) {
        let (chain, key) = ("tls.\(TLSSettingKey.chain.rawValue)", "tls.\(TLSSettingKey.key.rawValue)")
        let missing = Self.name(isChain ? key : chain, like: origin)
        reader.report(
            origin, isChain ? chain : key,
            isChain
                ? " needs \(missing): name the file with the private key"
                : " needs \(missing): name the file with the certificate and those that it is signed with")
    }

    /// What the setting `name` is called where `origin` is.
    private static func name(_ name: String, like origin: SettingOrigin) -> String {
        switch origin {
        case .commandLine: CommandLineSettings.options[name] ?? name
        case .environment: SettingCatalog.environmentVariable(name)
        case .file: name
        }
    }

    private mutating func readList(_ reader: inout SettingReader, _ origin: SettingOrigin) {
        let path = [Self.section, TLSSettingKey.certificates.rawValue]
        let name = path.joined(separator: ".")
        guard let elements = reader.lookup.elements(reader.prefix + path) else {
            return reader.report(origin, name, " is no list; write `- chain: FILE` and `key: FILE` under it")
        }
        if elements.isEmpty {
            return reader.report(origin, name, " is empty; name a certificate, or write `tls: off`")
        }
        var certificates: [TLSCertificate] = []
        for (index, element) in elements.enumerated() {
            // What is no section has been reported with the names.
            guard case .section = element else { continue }
            let files = CertificateKey.allCases.map { reader.file(path + ["\(index)", $0.rawValue])?.path }
            for (key, file) in zip(CertificateKey.allCases, files) where file == nil {
                if reader.origin(path + ["\(index)", key.rawValue]) != nil { continue }
                let place = origin.at(line: element.line)
                reader.report(place, "\(name) \(index + 1)", " has no \(key.rawValue); add one, as in `\(key.example)`")
            }
            if let chain = files[0], let key = files[1] {
                certificates.append(TLSCertificate(chainFile: chain, keyFile: key))
            }
        }
        configuration.certificates = certificates
    }
}

extension CertificateKey {
    fileprivate var example: String {
        switch self {
        case .chain: "chain: example.pem"
        case .key: "key: example.key"
        }
    }
}
