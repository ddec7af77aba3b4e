// SPDX-License-Identifier: Apache-2.0

import Foundation
import Roost
import Testing

@testable import RoostDaemon

/// config/roost.yaml, which people start from.
@Suite struct DefaultFileTests {
    static let path = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../config/roost.yaml").standardizedFileURL.path(percentEncoded: false)

    @Test("it says exactly what is built in") func equalsTheDefaults() throws {
        let configuration = try DaemonConfiguration.read(
            file: Self.path, commandLine: CommandLineSettings(), environment: [:])
        #expect(configuration == DaemonConfiguration())
        #expect(!configuration.listenerDefaults.isConnectionCountMaxChosen)
    }

    /// `listeners` stands for `listen`, and `tls` is off.
    static let inCommentsAlone = [SettingCatalog.listeners]

    @Test("it has every key there is") func hasEveryKey() throws {
        let file = try YAMLDocument(path: Self.path)
        for key in SettingCatalog.topLevel where !Self.inCommentsAlone.contains(key) {
            #expect(file.find([key]) != nil, "\(key) is missing")
        }
        for section in SettingCatalog.sections where section.name != "tls" {
            for key in section.keys {
                #expect(file.find([section.name, key]) != nil, "\(section.name).\(key) is missing")
            }
        }
    }

    @Test("what it has in comments is right too: every key of tls, listeners") func commentsAreRight() throws {
        let lines = try String(contentsOfFile: Self.path, encoding: .utf8).split(separator: "\n")
        let tls = lines.drop { $0 != "#   tls:" }.prefix { $0.hasPrefix("#   ") }.map { $0.dropFirst(4) }
        for key in TLSSettingKey.allCases {
            #expect(tls.contains { $0.hasPrefix("  \(key.rawValue):") }, "tls.\(key.rawValue) is missing")
        }
        // The long way to name certificates stands beside the short one.
        let short = tls.filter { !$0.hasPrefix("  certificates:") && !$0.hasPrefix("    - ") }.map {
            $0.replacing("client-certificates: none", with: "client-certificates: optional")  // what client-ca is for
        }
        var expected = ListenerSettings().tls
        expected.isWanted = true
        expected.configuration.certificates = [TLSCertificate(chainFile: "example.pem", keyFile: "example.key")]
        expected.configuration.clientCertificates = .optional
        expected.configuration.clientCAFile = "ca.pem"
        expected.configuration.cipherSuites = "ECDHE+AESGCM:ECDHE+CHACHA20"
        expected.configuration.cipherSuites13 = "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"
        #expect(try read(short.joined(separator: "\n")).listenerDefaults.tls == expected)
        let listeners = lines.drop { $0 != "#   listeners:" }.prefix { $0.hasPrefix("#   ") }.map { $0.dropFirst(4) }
        let configuration = try read(listeners.joined(separator: "\n"))
        #expect(configuration.addresses == ["0.0.0.0:443", "127.0.0.1:9100"])
        #expect(configuration.listeners.map(\.settings.tls.isWanted) == [true, false])
        #expect(configuration.listeners.map(\.routes.count) == [4, 1])
    }

    @Test("config/tls.yaml parses, whatever its files are") func readsTheExample() throws {
        let path = Self.path.replacing("roost.yaml", with: "tls.yaml")
        let configuration = try DaemonConfiguration.read(
            file: path, commandLine: CommandLineSettings(), environment: [:])
        #expect(configuration.addresses == ["127.0.0.1:9443", "127.0.0.1:9100"])
        #expect(configuration.listeners.map(\.settings.tls.isWanted) == [true, false])
        let certificate = try #require(configuration.listeners[0].settings.tls.configuration.certificates.first)
        #expect(certificate.chainFile.hasSuffix("config/../.build/dev-cert/localhost.pem"))
        #expect(certificate.keyFile.hasSuffix("config/../.build/dev-cert/localhost.key"))
        #expect(configuration.listeners[0].routes.allSatisfy { $0.kind != .metrics })
        #expect(configuration.warnings == [])
    }

    @Test("what config/tls.yaml has in comments may be uncommented") func readsTheExampleUncommented() throws {
        let path = Self.path.replacing("roost.yaml", with: "tls.yaml")
        let text = try String(contentsOfFile: path, encoding: .utf8)
        var uncommented = text
        for key in ["client-certificates", "client-ca", "proxy-protocol", "trusted-proxies"] {
            uncommented = uncommented.replacing("# \(key):", with: "\(key):")
        }
        let settings = try read(uncommented).listeners[0].settings
        #expect(settings.proxy.requiresProxyProtocol && settings.proxy.trusted == ["10.0.0.0/8"])
        #expect(settings.tls.configuration.clientCertificates == .required)
    }

    @Test("every key has a comment above it") func explainsEveryKey() throws {
        let lines = try String(contentsOfFile: Self.path, encoding: .utf8).split(
            separator: "\n", omittingEmptySubsequences: false)
        for key in SettingCatalog.topLevel where !Self.inCommentsAlone.contains(key) {
            let index = try #require(lines.firstIndex { $0.hasPrefix("\(key):") })
            #expect(lines[index - 1].hasPrefix("# "), "\(key) has no comment")
        }
    }

    @Test("every kind of route is named in it") func namesEveryKind() throws {
        let text = try String(contentsOfFile: Self.path, encoding: .utf8)
        for kind in RouteKind.all { #expect(text.contains("\(kind)"), "\(kind) is missing") }
    }
}
