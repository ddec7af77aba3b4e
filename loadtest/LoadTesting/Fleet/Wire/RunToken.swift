// SPDX-License-Identifier: Apache-2.0

internal import CSSL
internal import Glibc

/// The secret that a coordinator and its agents share. It is never sent: each side proves that it has it, with an
/// HMAC-SHA-256 (RFC 2104) of who it is and a random text of each side.
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

    /// Of the file where one is named, else of the environment.
    package static func find(file: String?) throws(LoadTestError) -> RunToken {
        if let file {
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

    /// A text that nobody has used before.
    package static func nonce() -> String {
        (0..<4).map { _ in String(UInt64.random(in: 0 ... .max), radix: 16) }.joined(separator: "-")
    }

    package func proof(of role: Role, _ coordinatorNonce: String, _ agentNonce: String) -> String {
        let message = Array("roost loadtest\n\(role.rawValue)\n\(coordinatorNonce)\n\(agentNonce)".utf8)
        var digest = [UInt8](repeating: 0, count: 32)
        var byteCount: UInt32 = 0
        // Safe: key and message with their counts; the digest has SHA-256's 32 bytes.
        unsafe _ = HMAC(EVP_sha256(), bytes, CInt(bytes.count), message, message.count, &digest, &byteCount)
        return digest.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
    }

    /// Takes as long whatever is wrong with the proof.
    package func accepts(_ proof: String, of role: Role, _ coordinatorNonce: String, _ agentNonce: String) -> Bool {
        let expected = Array(self.proof(of: role, coordinatorNonce, agentNonce).utf8)
        let given = Array(proof.utf8)
        // Safe: both have so many bytes.
        guard given.count == expected.count else { return false }
        return unsafe CRYPTO_memcmp(expected, given, expected.count) == 0
    }
}
