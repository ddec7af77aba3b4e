// SPDX-License-Identifier: Apache-2.0

/// Why a TLS configuration cannot be used: every problem at once, each with file, reason and remedy.
public struct TLSError: Error, Equatable, CustomStringConvertible {
    public let problems: [String]

    public var description: String { problems.joined(separator: "\n") }
}
