// SPDX-License-Identifier: Apache-2.0

/// Clients that come, say a few things, go, and come back.
package struct ChurnPlan: Codable, Sendable, Equatable {
    /// Messages, each sent when the one before it is answered, that a connection lives for; 0: it only opens.
    package var messageCount: Int
    package var size: SizeDistribution
    package var isText: Bool
    package var ending: Ending

    /// How clients go.
    package enum Ending: String, Codable, Sendable, CaseIterable {
        /// By the closing handshake, after which the server ends the TCP connection first (RFC 6455 §7.1.1): the port
        /// that waits (TIME_WAIT) is the server's.
        case handshake
        /// By a TCP reset: no port waits on either side, and the server sees a connection that broke.
        case reset
    }

    package init(messageCount: Int, size: SizeDistribution, isText: Bool = false, ending: Ending = .handshake) {
        self.messageCount = messageCount
        self.size = size
        self.isText = isText
        self.ending = ending
    }
}
