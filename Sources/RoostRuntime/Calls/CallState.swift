// SPDX-License-Identifier: Apache-2.0

/// What a process has to do with calls: the one it waits in, and those it has not answered. Its scheduler's alone.
///
/// **K1.** A caller learns of its callee's end in every case. A request is in exactly one of three places: in flight
/// or in the callee's mailbox, whose owner answers it when the mailbox is destroyed; in `pending` of the callee, which
/// is answered when the callee ends, however it does; or answered. It moves from the first to the second when it
/// leaves the mailbox. Test: `CallTests.noticesEnds`.
/// **K2.** A reply reaches its caller only while the caller waits for exactly its reference; any other is destroyed as
/// it arrives, and none is ever in the mailbox of messages. Test: `CallTests.dropsLateReplies`.
@safe struct CallState {
    /// The number of the reference that the process waits for; 0: none.
    var awaited: UInt64 = 0
    /// The reply to `awaited`, kept beside the mailbox, so that nobody searches for it.
    var reply: UnsafeMutablePointer<NodeHeader>?
    var pending = PendingRequests()
}

/// Requests that were taken out of the mailbox and not answered.
struct PendingRequests {
    /// From this many on a table is swept when it has doubled.
    static let sweepCountMin = 256

    /// Nearly always the only one; number 0: none.
    private var newest: (number: UInt64, caller: UInt64) = (0, 0)
    private var others = TieTable<UInt64, UInt64>()
    private var sweepCount = Self.sweepCountMin

    var count: Int { others.count + (newest.number == 0 ? 0 : 1) }

    @inline(__always)
    mutating func add(_ number: UInt64, caller: UInt64) {
        if newest.number != 0 { keepAside() }
        newest = (number, caller)
    }

    /// Whether `number` was there.
    @inline(__always)
    mutating func remove(_ number: UInt64) -> Bool {
        guard newest.number != number else {
            newest.number = 0
            return true
        }
        return others.count > 0 && others.remove(number) != nil
    }

    func forEach(_ body: (_ number: UInt64, _ caller: Pid) -> Void) {
        if newest.number != 0 { body(newest.number, Pid(word: newest.caller)) }
        others.forEach { body($0, Pid(word: $1)) }
    }

    @inline(never)
    private mutating func keepAside() {
        others.add(newest.number, newest.caller)
        if others.count >= sweepCount { sweep() }
    }

    /// Forgets calls that are over. A caller that gave up before its request was taken says so too early to be of use
    /// here; but it waits in one call at a time, so that of each caller only the newest can still be waited for.
    private mutating func sweep() {
        var newestOfCaller: [UInt64: UInt64] = [:]
        others.forEach { number, caller in
            guard ProcessTable.find(Pid(word: caller)) != nil else { return }
            newestOfCaller[caller] = max(number, newestOfCaller[caller] ?? 0)
        }
        others = TieTable()
        for (caller, number) in newestOfCaller { others.add(number, caller) }
        sweepCount = max(Self.sweepCountMin, others.count * 2)
    }
}

/// At the end of a node that belongs to a call: of a request, where to answer; of a reply, what it answers.
struct CallTrailer {
    enum Status: UInt64 {
        /// By the process that was called.
        case answered
        /// By another: the callee does not know, and has to be told that the call is over.
        case answeredByAnother
        /// The payload is a `CallFailure`.
        case failed
    }

    /// The number of the call's reference. Numbers of one caller only grow.
    var number: UInt64
    /// Of a request: the pid of the caller, as a word. Of a reply: its status.
    var word: UInt64

    static let byteCount = 16

    /// Of the payload and a trailer behind it, aligned to 8.
    @inline(__always)
    static func byteCount(withPayload byteCount: Int) -> Int { (byteCount &+ 7) & ~7 &+ Self.byteCount }
}

extension Node {
    /// Only of a node that `isCall`, or a reply.
    var trailer: UnsafeMutablePointer<CallTrailer> {
        // Safe: such nodes are made with room for it at their end, which is aligned to 8.
        @inline(__always) get {
            unsafe (UnsafeMutableRawPointer(header) + (byteCount &- CallTrailer.byteCount))
                .assumingMemoryBound(to: CallTrailer.self)
        }
    }
}

/// Why a call failed on the callee's side.
struct CallFailure: Sendable {
    let cause: CallError.Cause
    let calleeName: String?
}

extension Reference {
    /// References for calls are numbered apart from the others, in blocks that schedulers take: no counter is shared.
    static let callBit: UInt64 = 1 << 63
    static let callBlockBits: UInt64 = 24
}
