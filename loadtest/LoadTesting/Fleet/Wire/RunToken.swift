// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The secret that a coordinator and its agents share. It is never sent: each side proves that it has it, with an
/// HMAC-SHA-256 (RFC 2104) of who it is and a random text of each side, and has keys for what follows from the same.
package struct RunToken: Sendable {
    package static let variable = "ROOST_LOADTEST_TOKEN"
    /// Shorter ones are guessed from one overheard proof.
    static let byteCountMin = 16
    private static let byteCountMax = 1_024

    package enum Role: String, Sendable { case coordinator, agent }

    private let bytes: [UInt8]

    package init(_ text: String) throws(LoadTestError) {
        let bytes = Array(text.utf8.reversed().drop { $0 <= UInt8(ascii: " ") }.reversed())
        guard (Self.byteCountMin...Self.byteCountMax).contains(bytes.count) else {
            throw LoadTestError(
                "the agents' token has \(bytes.count) bytes; use \(Self.byteCountMin)...\(Self.byteCountMax), "
                    + "as `openssl rand -hex 32` makes it")
        }
        self.bytes = bytes
    }

    /// Of the file where one is named, else of the environment. `warn` is told of a file that everybody may read.
    package static func find(file: String?, warn: (String) -> Void) throws(LoadTestError) -> RunToken {
        if let file {
            var status = stat()
            if unsafe stat(file, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_mode & S_IROTH != 0 {
                warn("every user of this machine may read the token file '\(file)'; use `chmod 600 \(file)`")
            }
            guard let text = ProcessMeter.read(file) else {
                throw LoadTestError("the token file '\(file)' cannot be read or is empty; check --token-file")
            }
            return try RunToken(text)
        }
        // Safe: the program never changes its environment.
        guard let text = unsafe getenv(variable) else {
            throw LoadTestError("agents need a secret that both sides have: give --token-file FILE or set \(variable)")
        }
        return try RunToken(unsafe String(cString: text))
    }

    // MARK: Greeting

    private static let nonceByteCount = 64

    /// A text that nobody has used before: 256 bits of the kernel's (`SystemRandomNumberGenerator`), in hexadecimal.
    package static func nonce() -> String {
        hexadecimal((0..<nonceByteCount / 2).map { _ in UInt8.random(in: 0...255) })
    }

    /// Of one form, so that no two greetings are one text.
    static func isNonce(_ text: String) -> Bool {
        text.utf8.count == nonceByteCount && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    package func proof(of role: Role, _ coordinatorNonce: String, _ agentNonce: String) -> String {
        Self.hexadecimal(digest(role.rawValue, coordinatorNonce, agentNonce))
    }

    /// Takes as long whatever is wrong with the proof.
    package func accepts(_ proof: String, of role: Role, _ coordinatorNonce: String, _ agentNonce: String) -> Bool {
        let expected = self.proof(of: role, coordinatorNonce, agentNonce)
        return SecretDigest.isEqual(Array(expected.utf8), Array(proof.utf8))
    }

    /// For what `role` sends and receives once both have proved themselves. Who has only passed their greeting on does
    /// not have the keys.
    package func seals(of role: Role, _ coordinatorNonce: String, _ agentNonce: String) -> SessionSeals {
        func seal(_ sender: Role) -> FrameSeal {
            FrameSeal(key: digest("messages of \(sender.rawValue)", coordinatorNonce, agentNonce))
        }
        switch role {
        case .coordinator: return SessionSeals(sending: seal(.coordinator), receiving: seal(.agent))
        case .agent: return SessionSeals(sending: seal(.agent), receiving: seal(.coordinator))
        }
    }

    private func digest(_ purpose: String, _ coordinatorNonce: String, _ agentNonce: String) -> [UInt8] {
        let text = "roost loadtest\n\(purpose)\n\(coordinatorNonce)\n\(agentNonce)"
        return SecretDigest.of(Array(text.utf8), key: bytes)
    }

    private static func hexadecimal(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
