// SPDX-License-Identifier: Apache-2.0

import Foundation
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
        #expect(!configuration.isConnectionCountMaxChosen)
    }

    @Test("it has every key there is") func hasEveryKey() throws {
        let file = try YAMLDocument(path: Self.path)
        for key in SettingCatalog.topLevel { #expect(file.find([key]) != nil, "\(key) is missing") }
        for key in SettingCatalog.restart { #expect(file.find(["restart", key]) != nil, "restart.\(key) is missing") }
    }

    @Test("every key has a comment above it") func explainsEveryKey() throws {
        let lines = try String(contentsOfFile: Self.path, encoding: .utf8).split(
            separator: "\n", omittingEmptySubsequences: false)
        for key in SettingCatalog.topLevel {
            let index = try #require(lines.firstIndex { $0.hasPrefix("\(key):") })
            #expect(lines[index - 1].hasPrefix("# "), "\(key) has no comment")
        }
    }

    @Test("every kind of route is named in it") func namesEveryKind() throws {
        let text = try String(contentsOfFile: Self.path, encoding: .utf8)
        for kind in RouteKind.all { #expect(text.contains("\(kind)"), "\(kind) is missing") }
    }
}
