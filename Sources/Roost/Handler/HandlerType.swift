// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostHTTP
internal import RoostRuntime

/// Where a handler lies in its connection's block.
@safe struct HandlerStorage {
    let raw: UnsafeMutableRawPointer

    @inline(__always)
    init(_ raw: UnsafeMutableRawPointer) { unsafe self.raw = unsafe raw }
}

/// The operations of one type of handler, on storage whose type only the subclass knows. One per route, for the
/// program's life.
///
/// Everything here is called as handler code: between `roost_handler_begin` and `roost_handler_end`.
class HandlerType: @unchecked Sendable {  // immutable
    /// Bytes from one handler to the next in a connection's block, a multiple of 16.
    let stride: Int

    init(stride: Int) { self.stride = stride }

    /// Makes the handler and the copy that restarts begin with.
    func connect(_ request: borrowing ConnectRequest, _ handler: HandlerStorage, _ initial: HandlerStorage) throws {
        fatalError("abstract")
    }
    func restart(_ handler: HandlerStorage, from initial: HandlerStorage) { fatalError("abstract") }
    func destroy(_ handler: HandlerStorage) { fatalError("abstract") }
    func opened(_ handler: HandlerStorage) throws { fatalError("abstract") }
    func text(_ handler: HandlerStorage, _ bytes: UnsafeRawBufferPointer) throws { fatalError("abstract") }
    func binary(_ handler: HandlerStorage, _ bytes: UnsafeRawBufferPointer) throws { fatalError("abstract") }
    func receive(_ handler: HandlerStorage, _ node: Node) throws { fatalError("abstract") }
    func down(_ handler: HandlerStorage, _ down: Down) throws { fatalError("abstract") }
    func timer(_ handler: HandlerStorage, _ id: Int) throws { fatalError("abstract") }
    func terminated(_ handler: HandlerStorage, _ reason: CloseReason) { fatalError("abstract") }
}

final class TypedHandler<Handler: ConnectionHandler>: HandlerType, @unchecked Sendable {
    private let make: @Sendable (borrowing ConnectRequest) throws -> Handler

    init(_ make: @escaping @Sendable (borrowing ConnectRequest) throws -> Handler) {
        precondition(
            MemoryLayout<Handler>.alignment <= 16,
            "\(Handler.self) needs an alignment of more than 16; keep that part in an array")
        self.make = make
        super.init(stride: (MemoryLayout<Handler>.size + 15) & ~15)
    }

    private func bound(_ storage: HandlerStorage) -> UnsafeMutablePointer<Handler> {
        // Safe: only `connect` and `restart` of this very object initialise the storage, with a `Handler`.
        unsafe storage.raw.assumingMemoryBound(to: Handler.self)
    }

    override func connect(
        _ request: borrowing ConnectRequest, _ handler: HandlerStorage, _ initial: HandlerStorage
    ) throws {
        let value = try make(request)
        unsafe handler.raw.bindMemory(to: Handler.self, capacity: 1).initialize(to: value)
        unsafe initial.raw.bindMemory(to: Handler.self, capacity: 1).initialize(to: value)
    }

    override func restart(_ handler: HandlerStorage, from initial: HandlerStorage) {
        unsafe bound(handler).initialize(to: bound(initial).pointee)
    }

    override func destroy(_ handler: HandlerStorage) { unsafe _ = bound(handler).deinitialize(count: 1) }

    override func opened(_ handler: HandlerStorage) throws {
        try unsafe bound(handler).pointee.opened(Connection())
    }

    override func text(_ handler: HandlerStorage, _ bytes: UnsafeRawBufferPointer) throws {
        // Safe: the bytes stay where they are for the length of the call, also when it is preempted or waits (C2), and
        // the decoder has found them to be valid UTF-8. The span cannot leave the call.
        let span = unsafe UTF8Span(unchecked: Span(_unsafeBytes: bytes))
        try unsafe bound(handler).pointee.text(span, Connection())
    }

    override func binary(_ handler: HandlerStorage, _ bytes: UnsafeRawBufferPointer) throws {
        // Safe: as in `text`.
        try unsafe bound(handler).pointee.binary(RawSpan(_unsafeBytes: bytes), Connection())
    }

    override func receive(_ handler: HandlerStorage, _ node: Node) throws {
        // The message is moved out: it is destroyed, as handler code, when the callback is through with it.
        try unsafe bound(handler).pointee.receive(node.takePayload(as: Handler.Message.self), Connection())
    }

    override func down(_ handler: HandlerStorage, _ down: Down) throws {
        try unsafe bound(handler).pointee.down(down, Connection())
    }

    override func timer(_ handler: HandlerStorage, _ id: Int) throws {
        try unsafe bound(handler).pointee.timer(id, Connection())
    }

    override func terminated(_ handler: HandlerStorage, _ reason: CloseReason) {
        unsafe bound(handler).pointee.terminated(reason, Connection())
    }
}
