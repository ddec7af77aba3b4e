// SPDX-License-Identifier: Apache-2.0

internal import RoostRuntime

/// What happens when a handler crashes.
public enum RestartPolicy: Sendable, Equatable {
    /// A fresh handler goes on with the same socket, at most `intensity` times within `period`; then close code 1011.
    /// (OTP: restart intensity.)
    case restart(intensity: Int = 3, period: Duration = .seconds(5))
    /// Close code 1011 at once.
    case close
}

/// What happens when a client reads more slowly than it is sent to, and its outbound queue is full.
public enum SlowConsumerPolicy: String, Sendable, CaseIterable {
    /// The connection is closed with code 1008 and the cause `slow_consumer`.
    case close
    /// The oldest messages that have not begun to leave are dropped and counted; `send` of one that can never fit
    /// returns false.
    case dropOldest = "drop-oldest"
}

/// What happens when more messages from other processes wait for a handler than may.
public enum MailboxOverflowPolicy: String, Sendable, CaseIterable {
    /// The process is ended as if it had crashed.
    case restart
    /// What comes is dropped and counted; `send` returns false while the mailbox is seen to be full.
    case dropNewest = "drop-newest"
    /// The messages that have waited longest are dropped and counted.
    case dropOldest = "drop-oldest"

    var policy: MailboxPolicy {
        switch self {
        case .restart: .end
        case .dropNewest: .dropNewest
        case .dropOldest: .dropOldest
        }
    }
}

/// What happens when a client sends faster than it may.
public enum RateLimitPolicy: String, Sendable, CaseIterable {
    /// Its socket is not read until it is within its rate again: TCP holds it up, and nothing is lost.
    case delay
    /// The connection is closed with code 1008 and the cause `rate_limited`.
    case close
}

/// Bounds of one connection. Each says what happens when it is hit.
public struct ConnectionLimits: Sendable, Equatable {
    /// Bytes of one message from the client, its fragments together. Past it: close code 1009, before room is made for
    /// it.
    public var messageByteCountMax = 1 << 20
    /// Frames of one message. Past it: close code 1009, so that empty fragments cannot go on for ever.
    public var fragmentCountMax = 131_072
    /// Bytes sent that the client has not taken; messages of rooms count with some 80 each besides. Past it:
    /// `slowConsumer`.
    public var outboundByteCountMax = 1 << 20
    public var slowConsumer = SlowConsumerPolicy.close
    /// Bytes of messages that wait while a callback waits. Past it the socket is not read.
    public var waitingByteCountMax = 64 << 10
    /// Messages from other processes that may wait. Past it: `mailboxOverflow`.
    public var mailboxCountMax = 100_000
    public var mailboxOverflow = MailboxOverflowPolicy.restart
    /// Bytes the connection's process may hold, its handler's memory included. Past it the process is ended as if it
    /// had crashed.
    public var heapByteCountMax = 64 << 20
    /// A ping is sent when nothing has arrived for so long. Zero: none.
    public var pingInterval = Duration.seconds(30)
    /// Nothing at all has arrived so long after a ping: close code 1001, then the connection is cut.
    public var pongTimeout = Duration.seconds(10)
    /// No message has arrived for so long: close code 1001. Zero: no limit; pings find dead peers.
    public var idleTimeout = Duration.zero
    /// How long the client may take to answer our close frame, or to read what was sent before it.
    public var closeTimeout = Duration.seconds(5)
    /// Messages of a client a second, as many at once after a pause. Past it: `rateLimit`. 0: no limit.
    public var messagesPerSecond = 0
    /// Payload bytes of a client's messages a second, as many at once after a pause. Past it: `rateLimit`. 0: no limit.
    public var bytesPerSecond = 0
    public var rateLimit = RateLimitPolicy.delay

    public init() {}

    func validate(_ name: String, _ problems: inout [String]) {
        func check(_ key: String, _ value: Int, _ range: ClosedRange<Int>) {
            if !range.contains(value) {
                problems.append("\(name).\(key) is \(value); use \(range.lowerBound)...\(range.upperBound)")
            }
        }
        check("max-message-bytes", messageByteCountMax, 1...1 << 30)
        check("max-fragments", fragmentCountMax, 1...Int(UInt32.max))
        check("max-outbound-bytes", outboundByteCountMax, 1_024...1 << 30)
        check("max-waiting-bytes", waitingByteCountMax, 1_024...1 << 30)
        check("max-mailbox-messages", mailboxCountMax, 1...Int(UInt32.max))
        check("max-handler-bytes", heapByteCountMax, 65_536...1 << 40)
        check("max-message-rate", messagesPerSecond, 0...1_000_000_000)
        check("max-byte-rate", bytesPerSecond, 0...1 << 40)
        func check(_ key: String, _ value: Duration, atLeast minimum: Duration, zeroAllowed: Bool) {
            if zeroAllowed && value == .zero { return }
            if value < minimum || value > .seconds(86_400) {
                problems.append(
                    "\(name).\(key) is \(value); use \(minimum) to 1 day\(zeroAllowed ? ", or 0 for none" : "")")
            }
        }
        check("ping-interval", pingInterval, atLeast: .milliseconds(100), zeroAllowed: true)
        check("pong-timeout", pongTimeout, atLeast: .milliseconds(100), zeroAllowed: false)
        check("idle-timeout", idleTimeout, atLeast: .milliseconds(100), zeroAllowed: true)
        check("close-timeout", closeTimeout, atLeast: .milliseconds(10), zeroAllowed: false)
    }
}
