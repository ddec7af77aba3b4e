// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket

/// What is awaited of a connection that is no WebSocket yet (`ConnectionPhase.handshake`).
enum HandshakeStage: UInt8 {
    /// The PROXY header, before anything else.
    case proxyHeader
    case tls
    /// The head of a request: the upgrade's, or a plain one's.
    case requestHead
    /// The rest of a plain request.
    case requestBody
}

/// Where a connection is in its life.
enum ConnectionPhase: UInt8 {
    /// A client's socket is being established.
    case connecting
    /// The upgrade request, or its answer, is awaited.
    case handshake
    /// Frames are exchanged; the closing handshake included.
    case open
    /// Nothing more is said: what the peer still sends is thrown away until it ends its side, so that our last bytes
    /// are not lost.
    case lingering
    /// The socket is closed.
    case closed
}

struct ConnectionFlags: OptionSet {
    let rawValue: UInt32
    /// The socket may have bytes to read: set by its events, cleared by a read that empties it.
    static let readable = Self(rawValue: 1 << 0)
    /// The kernel takes no more for now: `outbound` waits for the socket to become writable.
    static let isBlocked = Self(rawValue: 1 << 1)
    /// The handler's storage is initialised.
    static let hasHandler = Self(rawValue: 1 << 2)
    /// A callback of the handler is on the process's stack.
    static let isInCallback = Self(rawValue: 1 << 3)
    /// A ping was sent and nothing has arrived since.
    static let awaitsPong = Self(rawValue: 1 << 4)
    /// The peer has ended its side of the stream.
    static let hasPeerEnded = Self(rawValue: 1 << 5)
    /// The socket is in the poller of its scheduler.
    static let isWatched = Self(rawValue: 1 << 6)
    /// `outbound` has overflowed and data was dropped; told once per episode.
    static let isDropping = Self(rawValue: 1 << 7)
    /// The handler is to hear of the opening: it is fresh.
    static let mustOpenHandler = Self(rawValue: 1 << 8)
    /// `readBuffer` is not the scheduler's: it goes back when the turn is over.
    static let ownsReadBuffer = Self(rawValue: 1 << 9)
    /// The queue of waiting messages is full: the socket is not read.
    static let isPaused = Self(rawValue: 1 << 10)
    /// The handler has been told that the connection is over.
    static let hasTerminated = Self(rawValue: 1 << 11)
    /// The peer has hung up: the socket is read to its end.
    static let hasHangup = Self(rawValue: 1 << 12)
    /// The handler crashed: the process is fresh and its handler still to be made.
    static let mustRestartHandler = Self(rawValue: 1 << 13)
    /// The handler crashed for good, or while connecting: the client is told, and that is all.
    static let mustReportCrash = Self(rawValue: 1 << 14)
    /// Accepted past a limit: answered with 503 or 429 (`ConnectionExtras.surplus`).
    static let isSurplus = Self(rawValue: 1 << 15)
    /// The copy of the handler that restarts begin with is initialised.
    static let hasInitialHandler = Self(rawValue: 1 << 19)
    /// The client's close frame has come while a callback waits, and is not answered yet: `extras.pendingClose`.
    static let hasPendingClose = Self(rawValue: 1 << 20)
    /// Messages that were put by wait in `extras`.
    static let hasWaiting = Self(rawValue: 1 << 18)
    /// Our side of the stream has been ended.
    static let isHalfClosed = Self(rawValue: 1 << 17)
    /// `residue` holds whole frames, or requests, that were not decoded yet.
    static let hasBacklog = Self(rawValue: 1 << 16)
    /// Bytes go through `tls`.
    static let isSecure = Self(rawValue: 1 << 21)
    /// Reading goes on when the socket can be written to: TLS has something to say first.
    static let readsWhenWritable = Self(rawValue: 1 << 22)
    /// Writing goes on when the socket has been read: TLS awaits the rest of a message of its own.
    static let writesWhenReadable = Self(rawValue: 1 << 27)
    /// The route bounds the client's rate.
    static let hasRateLimit = Self(rawValue: 1 << 23)
    /// The client has sent faster than it may: its socket is not read before `extras.throttledUntil`.
    static let isThrottled = Self(rawValue: 1 << 24)
    /// Counted with the connections of its address.
    static let isCountedByAddress = Self(rawValue: 1 << 25)
    /// Messages may be compressed: `deflate` was agreed on.
    static let isCompressible = Self(rawValue: 1 << 26)
    /// A message was given up that later ones refer to: they cannot be inflated.
    static let hasLostContext = Self(rawValue: 1 << 28)

    /// Frames of rooms wait for the socket (`ConnectionRooms.pending`).
    static let hasRoomFrames = Self(rawValue: 1 << 29)
    /// The client has published more than its room can deliver: its socket is not read before that is less.
    static let isHeldByRoom = Self(rawValue: 1 << 30)
    /// More frames of rooms came than may wait: the connection is to be closed, and is sent no more of them.
    static let isOverrun = Self(rawValue: 1 << 31)

    /// The client is held up for what it has sent.
    static let isSlowed: Self = [.isThrottled, .isHeldByRoom]
    /// The socket is not read for now.
    static let isHeld: Self = [.isPaused, .isThrottled, .isHeldByRoom]
    /// Something of rooms is to be seen to in a turn.
    static let mindRooms: Self = [.hasRoomFrames, .isHeldByRoom, .isOverrun]
}

/// What few connections need.
final class ConnectionExtras {
    /// Timers of one handler at once: they are searched one by one.
    static let timerCountMax = 1_000

    /// Messages that arrived while a callback waited: kind, byte count, payload, one after the other.
    var waiting = ByteBlock()
    /// How much of `delivering`, taken from `waiting`, has been handled; nil where `delivering` is one assembled
    /// message.
    var deliveringOffset: Int?
    /// What the last ping of a client that does not read said; it is answered when the client reads again.
    var owedPong: [UInt8]?
    var timers: [(deadline: MonotonicTime, id: Int)] = []
    var restartWindowStart = MonotonicTime(nanoseconds: 0)
    var restartCount = 0
    var subprotocol: String?
    /// The plain request that is being received.
    var exchange: PendingRequest?
    /// Requests answered on this connection.
    var requestCount = 0
    /// The trusted proxy that is connected, where `peer` is a client that it speaks for.
    var proxy: SocketAddress?
    /// Why a connection past a limit is refused.
    var surplus: CloseReason.Cause?
    /// Counted with those that are refused with an answer.
    var isSurplusCounted = false
    /// When the client is next within its rate: of its messages, of their bytes (`RateLimiter`).
    var rate = RateLimiter()
    var throttledUntil = MonotonicTime.distantFuture
    /// Where context is kept from message to message, or a message takes more than one turn to compress.
    var deflater: Deflater?
    var inflater: Inflater?
    var clientHandshake: ClientHandshake?
    /// The local address that a client connects from; nil where the kernel picks one.
    var source: SocketAddress?
    var closeReason: CloseReason?
    /// A close frame to be answered when what came before it has been handled.
    var pendingClose: ClosePayload?
}

/// All that is known of one connection but its process. Lies in a block of its own, followed by the handler's storage,
/// and goes from a process that crashed to the one that replaces it.
@safe struct ConnectionState: ~Copyable {
    var descriptor: CInt
    var phase: ConnectionPhase
    var stage = HandshakeStage.requestHead
    /// What was agreed on, while `isCompressible`.
    var deflate = DeflateParameters.none
    var flags: ConnectionFlags = []
    var closing = CloseHandshake.open
    var decoder: FrameDecoder
    unowned(unsafe) let listener: Listener
    unowned(unsafe) var route: Route
    /// Of `route`, which keeps it; here so that calling the handler neither retains nor releases anything.
    var handlerType: Unmanaged<HandlerType>
    /// Undecoded bytes kept between reads: an incomplete head, frame header or control frame.
    var residue = ByteBlock()
    /// The pieces of a message that has not arrived whole.
    var assembly = ByteBlock()
    /// What is lent to the handler from the process heap right now.
    var delivering = ByteBlock()
    /// A message that came compressed, while it is inflated and lent to the handler.
    var inflated = ByteBlock()
    /// Payload bytes of the current frame that are still to come.
    var frameRemaining = 0
    /// Frames the kernel has not taken yet. Starts inside a frame of which `outboundFrameRemaining` bytes are left.
    var outbound = ByteBlock()
    var outboundHead: UInt32 = 0
    var outboundFrameRemaining: UInt32 = 0
    var blockByteCount: UInt32
    /// What the turn reads from: [readCursor, readEnd) is still to be decoded.
    var readBuffer: UnsafeMutableRawPointer?
    var readCursor: UInt32 = 0
    var readEnd: UInt32 = 0
    var lastReceived: MonotonicTime
    var lastMessage: MonotonicTime
    /// The next thing that time brings: see `ConnectionRef.checkDeadlines`.
    var deadline = MonotonicTime.distantFuture
    var timer = TimerReference.none
    var timerDeadline = MonotonicTime.distantFuture
    var extras: ConnectionExtras?
    /// Once it has been in a room, or has published in one.
    var rooms: UnsafeMutablePointer<ConnectionRooms>?
    /// While `isSecure`.
    var tls: TLSSession?
    /// The client: whom a trusted proxy speaks for, or who is connected.
    var peer: SocketAddress?

    init(
        descriptor: CInt, phase: ConnectionPhase, role: FrameRole, listener: Listener, route: Route,
        peer: SocketAddress?,
        now: MonotonicTime, blockByteCount: Int
    ) {
        self.descriptor = descriptor
        self.phase = phase
        decoder = FrameDecoder(role: role, messageByteCountMax: route.limits.messageByteCountMax)
        unsafe self.listener = listener
        unsafe self.route = route
        unsafe handlerType = .passUnretained(route.handlerType)
        unsafe readBuffer = nil
        unsafe rooms = nil
        lastReceived = now
        lastMessage = now
        self.peer = peer
        self.blockByteCount = UInt32(blockByteCount)
    }
}

/// A connection by the address of its state: what its process works on.
// belongs to one process at a time; handed over between them
@safe struct ConnectionRef: Equatable, @unchecked Sendable {
    let pointer: UnsafeMutablePointer<ConnectionState>

    @inline(__always)
    init(_ pointer: UnsafeMutablePointer<ConnectionState>) { unsafe self.pointer = unsafe pointer }

    static func == (a: ConnectionRef, b: ConnectionRef) -> Bool { unsafe a.pointer == b.pointer }

    @inline(__always)
    init(_ process: ProcessRef) {
        // Safe: the object of a connection process is its connection.
        unsafe pointer = unsafe process.object.unsafelyUnwrapped.assumingMemoryBound(to: ConnectionState.self)
    }

    /// The connection of `pid`, if that is one that lives. The thread of its scheduler.
    static func of(_ pid: Pid) -> ConnectionRef? {
        guard let process = unsafe Runtime.process(pid, of: ConnectionProcess.operations),
            unsafe process.object != nil
        else { return nil }
        return ConnectionRef(process)
    }

    /// The connection of the process that runs here.
    @inline(__always)
    static var current: ConnectionRef? {
        guard let process = SchedulerRef.currentProcess, unsafe process.object != nil else { return nil }
        return ConnectionRef(process)
    }

    var state: ConnectionState {
        // Safe: the block lives until `ConnectionRef.free`, which the process that owns the connection calls last.
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer }
    }

    var route: Route { @inline(__always) get { unsafe state.route } }
    var listener: Listener { @inline(__always) get { unsafe state.listener } }
    var role: FrameRole { listener.role }

    var extras: ConnectionExtras {
        if let extras = state.extras { return extras }
        let extras = ConnectionExtras()
        state.extras = extras
        return extras
    }

    /// Where the handler lies; initialised while `hasHandler` is set.
    var handler: HandlerStorage {
        @inline(__always) get { unsafe HandlerStorage(UnsafeMutableRawPointer(pointer) + Self.handlerOffset) }
    }

    /// The handler as `connect` returned it: what a restart begins with.
    var initialHandler: HandlerStorage {
        unsafe HandlerStorage(handler.raw + route.handlerType.stride)
    }

    static let handlerOffset = (MemoryLayout<ConnectionState>.stride + 15) & ~15
}
