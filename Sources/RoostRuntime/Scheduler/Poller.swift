// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc

/// epoll for one scheduler: where it sleeps when it has nothing to run, and how sockets and other threads wake it.
///
/// It lives in the runtime, not with the sockets, because an idle scheduler waits here for everything at once.
/// (epoll(7))
@safe struct Poller: ~Copyable {
    static let eventCountMax = 512
    /// Edge-triggered, both directions at once: a socket is registered once in its life.
    static let streamEvents =
        UInt32(EPOLLIN.rawValue) | UInt32(EPOLLOUT.rawValue) | UInt32(EPOLLRDHUP.rawValue) | UInt32(EPOLLET.rawValue)
    /// Level-triggered: what one accept leaves is announced again. Exclusive: one of the schedulers that wait is woken.
    static let listenerEvents = UInt32(EPOLLIN.rawValue) | UInt32(EPOLLEXCLUSIVE.rawValue)
    /// The event data of the wake-up descriptor; no process has index and generation zero.
    private static let wakerData: UInt64 = 0

    private let epoll: CInt
    private let waker: CInt
    private let events: UnsafeMutablePointer<epoll_event>

    init() throws(RuntimeError) {
        epoll = roost_epoll_create()
        waker = roost_eventfd()
        unsafe events = .allocate(capacity: Self.eventCountMax)
        // Both are owned from here on: a throw closes what was opened.
        if epoll < 0 { throw .systemCall("epoll_create1", errno) }
        if waker < 0 { throw .systemCall("eventfd", errno) }
        _ = roost_epoll_add(epoll, waker, UInt32(EPOLLIN.rawValue) | UInt32(EPOLLET.rawValue), Self.wakerData)
    }

    deinit {
        if waker >= 0 { close(waker) }
        if epoll >= 0 { close(epoll) }
        unsafe events.deallocate()
    }

    /// Ends a `wait` on this poller's thread. Any thread. The descriptor is edge-triggered: it need never be read.
    func wake() {
        var one: UInt64 = 1
        unsafe _ = write(waker, &one, 8)
    }

    /// Waits at most `nanoseconds` (-1: without end) and calls `body` with the data and the events of each ready
    /// descriptor. Whether anything came, be it a `wake`.
    @discardableResult
    func wait(nanoseconds: Int64, _ body: (UInt64, UInt32) -> Void) -> Bool {
        let count = unsafe roost_epoll_wait(epoll, events, CInt(Self.eventCountMax), nanoseconds)
        guard count > 0 else { return false }  // EINTR and timeouts look alike: the caller looks at everything again
        for index in 0..<Int(count) {
            let event = unsafe events[index]
            if unsafe event.data.u64 == Self.wakerData { continue }
            unsafe body(event.data.u64, event.events)
        }
        return true
    }

    /// Registers `descriptor`; its readiness becomes wake flags of `pid`. Returns 0 or an errno.
    func add(_ descriptor: CInt, events: UInt32, pid: Pid) -> CInt {
        roost_epoll_add(epoll, descriptor, events, pid.word) == 0 ? 0 : errno
    }

    /// Makes the readiness of a registered `descriptor` go to another process; reports what is ready now again.
    func modify(_ descriptor: CInt, events: UInt32, pid: Pid) -> CInt {
        roost_epoll_modify(epoll, descriptor, events, pid.word) == 0 ? 0 : errno
    }

    func remove(_ descriptor: CInt) { _ = roost_epoll_remove(epoll, descriptor) }
}

/// What keeps a runtime from starting.
public enum RuntimeError: Error, Equatable, CustomStringConvertible {
    /// A call to the kernel failed: its name and errno.
    case systemCall(String, Int32)
    case invalidConfiguration([String])

    public var description: String {
        switch self {
        case .systemCall(let name, let code):
            "\(name) failed: \(unsafe String(cString: strerror(code))) (errno \(code))"
        case .invalidConfiguration(let problems): problems.joined(separator: "\n")
        }
    }
}
