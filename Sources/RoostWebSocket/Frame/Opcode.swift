/// What a frame is (RFC 6455 §5.2).
package enum Opcode: UInt8, Sendable, CaseIterable {
    case continuation = 0x0
    case text = 0x1
    case binary = 0x2
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    /// Control frames are whole and short, and may stand between the frames of a message (RFC 6455 §5.5).
    package var isControl: Bool { rawValue >= 0x8 }
}

/// The kind of a message (RFC 6455 §5.6).
public enum MessageKind: UInt8, Sendable, Hashable {
    /// UTF-8 text, validated before it is delivered.
    case text = 0x1
    case binary = 0x2

    package var opcode: Opcode {
        switch self {
        case .text: .text
        case .binary: .binary
        }
    }
}

/// The kind of a control frame (RFC 6455 §5.5).
package enum ControlKind: UInt8, Sendable, Hashable {
    case close = 0x8
    case ping = 0x9
    case pong = 0xA

    package var opcode: Opcode {
        switch self {
        case .close: .close
        case .ping: .ping
        case .pong: .pong
        }
    }
}

/// Which end of a connection we are. It decides who masks (RFC 6455 §5.1).
package enum FrameRole: UInt8, Sendable, Hashable {
    /// The peer is a client: its frames must be masked, ours must not.
    case server
    /// The peer is a server: its frames must not be masked, ours must.
    case client
}
