// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// What a node carries.
package enum NodeKind: UInt8 {
    /// A message of the receiver's type, in the payload.
    case message
    /// `Signal` payload: exit, link, monitor and the like; taken by the runtime, not by the process.
    case signal
    /// `Down` payload: a monitored process has ended.
    case down
    /// `ExitSignal` payload, to a process that traps exits.
    case exit
    /// The answer to a call; a `CallTrailer` behind the payload says to which.
    case reply
    /// A request to a `GenServer`: `RequestEnvelope` payload.
    case request
    /// Meant for another process, or undeliverable: only to be destroyed, in a process.
    case undeliverable
}

/// The header of a message on its way, followed by its payload.
///
/// | Field     | Written by                                  | Ordered by                                   |
/// |-----------|---------------------------------------------|----------------------------------------------|
/// | `next`    | the sender, then the receiver               | the push and the take of `Mailbox.inbox`     |
/// | the rest  | the sender, before the push                 | the same                                     |
@safe package struct NodeHeader {
    package var next: UnsafeMutablePointer<NodeHeader>?
    /// The process that the node is meant for: a slot may have changed hands since the sender looked.
    package var target: UInt64
    /// Metatype of the payload, for its destruction by someone who does not know it; nil where there is nothing to
    /// destroy.
    package var payloadType: UnsafeRawPointer?
    /// Of the whole node.
    package var byteCount: UInt32
    /// In the lowest byte the kind and whether it is a call (`callBit`), and above it when the node was made, in steps
    /// of 2^24 ns (17 ms) modulo 2^24 (78 hours).
    private var kindAndTime: UInt32

    /// Where the payload starts: 16-byte aligned.
    package static let payloadOffset = 32

    /// `time`: coarse is good enough.
    @inline(__always)
    init(target: UInt64, payloadType: UnsafeRawPointer?, byteCount: Int, kind: NodeKind, at time: MonotonicTime) {
        unsafe next = nil
        self.target = target
        unsafe self.payloadType = unsafe payloadType
        self.byteCount = UInt32(byteCount)
        kindAndTime = Self.step(time) | UInt32(kind.rawValue)
    }

    package var kind: NodeKind {
        // Safe: only kinds are stored in the lowest seven bits.
        @inline(__always) get {
            unsafe unsafeBitCast(UInt8(truncatingIfNeeded: kindAndTime & 0x7f), to: NodeKind.self)
        }
        @inline(__always) set { kindAndTime = kindAndTime & ~0xff | UInt32(newValue.rawValue) }
    }

    /// Whether somebody waits for the answer to this message or request: a `CallTrailer` behind the payload says who.
    /// A change of kind ends it.
    package var isCall: Bool {
        @inline(__always) get { kindAndTime & Self.callBit != 0 }
        @inline(__always) set { kindAndTime = newValue ? kindAndTime | Self.callBit : kindAndTime & ~Self.callBit }
    }
    private static let callBit: UInt32 = 0x80

    /// How long ago it was made, to 17 ms.
    func age(at now: MonotonicTime) -> Duration {
        let steps = (Self.step(now) &- (kindAndTime & ~0xff)) &>> 8
        // Schedulers read the clock at moments of their own: a node may be from the near future.
        return steps > 0xff_ff00 ? .zero : .nanoseconds(Int64(steps) << 24)
    }

    /// The time as `kindAndTime` has it.
    @inline(__always)
    private static func step(_ time: MonotonicTime) -> UInt32 {
        UInt32(truncatingIfNeeded: time.nanoseconds &>> 16) & ~0xff
    }
}

/// One node, owned by whoever holds this value.
@safe package struct Node {
    package let header: UnsafeMutablePointer<NodeHeader>

    @inline(__always)
    package init(_ header: UnsafeMutablePointer<NodeHeader>) { unsafe self.header = unsafe header }

    package var payload: UnsafeMutableRawPointer {
        @inline(__always) get { unsafe UnsafeMutableRawPointer(header) + NodeHeader.payloadOffset }
    }
    package var kind: NodeKind { @inline(__always) get { unsafe header.pointee.kind } }
    package var byteCount: Int { @inline(__always) get { unsafe Int(header.pointee.byteCount) } }

    /// Moves the payload out. The node still has to be freed.
    @inline(__always)
    package func takePayload<Payload>(as type: Payload.Type) -> Payload {
        // Safe: the sender initialised a `Payload` here; a process receives one type only, and signals carry their
        // kind.
        unsafe payload.assumingMemoryBound(to: Payload.self).move()
    }

    /// Destroys the payload in place: code of the message's type runs.
    package func destroyPayload() {
        if let type = unsafe header.pointee.payloadType { unsafe destroyPayload(of: type) }
    }

    /// As `destroyPayload`, where the node itself does not know its payload any more.
    func destroyPayload(of type: UnsafeRawPointer) {
        func destroy<Payload>(_ type: Payload.Type) {
            unsafe _ = payload.assumingMemoryBound(to: Payload.self).deinitialize(count: 1)
        }
        // Safe: the sender stored the metatype of the payload it initialised.
        unsafe _openExistential(unsafeBitCast(type, to: Any.Type.self), do: destroy)
    }
}
