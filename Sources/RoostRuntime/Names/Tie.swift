// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// What a process is entered in: a registered name, or the members of a group. Subclasses know how to take it out.
///
/// | Field        | Written by                          | Ordered by                    |
/// |--------------|-------------------------------------|-------------------------------|
/// | `chain`      | whoever holds the lock of its shard | the same lock                 |
/// | `isAttached` | the same                            | the same                      |
// the table says what guards the fields
class TieTarget: @unchecked Sendable {
    /// Of the key, mixed: user code computed it, before any lock.
    final let hash: UInt
    /// The next entry of its bucket.
    final var chain: TieTarget?
    /// Whether it is in its table.
    final var isAttached = false

    init(hash: UInt) { self.hash = hash }

    /// Takes the entry that `tie` stands for out of its table. Depth 1 or more, no lock held; runs no user code.
    func undo(slot: UInt32, of pid: Pid) { preconditionFailure("a tie to something that is neither name nor group") }
}

/// One name or membership of one process, so that it can be undone when the process ends: a node of the process's tree.
///
/// The tree is a digital search tree: a node's place follows the bits of its key from the root, so it needs neither
/// balancing nor growing, and nothing takes longer for a process with a million ties than some fifty steps. (Knuth, The
/// Art of Computer Programming 3, 6.3.)
@safe struct Tie {
    @safe private struct Node {
        /// Subtrees, by the next bit of the key; 0 for none. First: `link` relies on it.
        var children: (UInt, UInt)
        let target: Unmanaged<TieTarget>
        /// Where its target has it.
        let slot: UInt32
        /// A process may be in one target several times: 0, 1, and so on.
        let ordinal: UInt32
    }

    /// Bytes of a tie, which its process is charged.
    static let byteCount = MemoryLayout<Node>.size

    private let node: UnsafeMutablePointer<Node>

    fileprivate init(_ word: UInt) {
        // Safe: links hold addresses of nodes only, and the caller has seen that it is not 0.
        unsafe node = unsafe UnsafeMutablePointer(bitPattern: word).unsafelyUnwrapped
    }

    /// Retains `target`. Depth 1 or more.
    init(_ target: TieTarget, slot: UInt32, ordinal: UInt32, owner: Pid) {
        let memory: UnsafeMutableRawPointer
        if let scheduler = SchedulerRef.current {
            unsafe memory = unsafe scheduler.state.blocks.allocate(byteCount: Self.byteCount)
        } else {
            unsafe memory = unsafe External.allocate(byteCount: Self.byteCount)
        }
        unsafe node = unsafe memory.bindMemory(to: Node.self, capacity: 1)
        unsafe node.initialize(
            to: Node(children: (0, 0), target: Unmanaged.passRetained(target), slot: slot, ordinal: ordinal))
        roost_account_book(owner.word, Int64(Self.byteCount))
    }

    /// Frees the node. The retained target is the caller's to release.
    func free(owner: Pid) -> Unmanaged<TieTarget> {
        let target = unsafe self.target
        roost_account_book(owner.word, -Int64(Self.byteCount))
        if let scheduler = SchedulerRef.current {
            unsafe scheduler.state.blocks.free(UnsafeMutableRawPointer(node), byteCount: Self.byteCount)
        } else {
            unsafe External.free(UnsafeMutableRawPointer(node), byteCount: Self.byteCount)
        }
        return unsafe target
    }

    var target: Unmanaged<TieTarget> { unsafe node.pointee.target }
    var slot: UInt32 { unsafe node.pointee.slot }
    fileprivate var word: UInt { unsafe UInt(bitPattern: node) }
    fileprivate var key: UInt { unsafe Self.key(node.pointee.target.toOpaque(), node.pointee.ordinal) }

    fileprivate func link(_ bit: UInt) -> UnsafeMutablePointer<UInt> {
        // Safe: a node begins with its two children.
        unsafe UnsafeMutableRawPointer(node).assumingMemoryBound(to: UInt.self) + Int(bit)
    }

    fileprivate func isOf(_ target: UnsafeMutableRawPointer, _ ordinal: UInt32) -> Bool {
        unsafe node.pointee.target.toOpaque() == target && node.pointee.ordinal == ordinal
    }

    fileprivate static func key(_ target: UnsafeMutableRawPointer, _ ordinal: UInt32) -> UInt {
        (UInt(bitPattern: target) &+ UInt(ordinal) &* 0x9E37_79B9_7F4A_7C15).mixed
    }
}

/// The ties of one process. Its lock (`TieOwners`) is held by whoever uses it.
@safe struct TieTree {
    private typealias Link = UnsafeMutablePointer<UInt>
    private let root: UnsafeMutablePointer<UInt>

    init(_ root: UnsafeMutablePointer<UInt>) { unsafe self.root = unsafe root }

    var isEmpty: Bool { unsafe root.pointee == 0 }

    /// How many ties to `target` there are. They are numbered without gaps.
    func count(of target: TieTarget) -> UInt32 {
        let target = unsafe Unmanaged.passUnretained(target).toOpaque()
        guard unsafe find(target, 0) != nil else { return 0 }
        var last: UInt32 = 0
        var step: UInt32 = 1
        while unsafe find(target, last + step) != nil {
            last += step
            step *= 2
        }
        while step > 1 {
            step /= 2
            if unsafe find(target, last + step) != nil { last += step }
        }
        return last + 1
    }

    func insert(_ tie: Tie) {
        var bits = tie.key
        var link = unsafe root
        while unsafe link.pointee != 0 {
            unsafe link = unsafe Tie(link.pointee).link(bits & 1)
            bits = bits.rotatedRight
        }
        unsafe link.pointee = tie.word
    }

    /// Takes out the tie to `target` with the highest number.
    func removeLast(of target: TieTarget) -> Tie? {
        let count = count(of: target)
        return count > 0 ? remove(target, ordinal: count - 1) : nil
    }

    func remove(_ target: TieTarget, ordinal: UInt32 = 0) -> Tie? {
        guard let link = unsafe find(Unmanaged.passUnretained(target).toOpaque(), ordinal) else { return nil }
        let tie = unsafe Tie(link.pointee)
        let leafLink = unsafe lastLink(from: link)
        let leaf = unsafe leafLink.pointee
        unsafe leafLink.pointee = 0
        if leaf != tie.word {
            // A leaf below it has the same bits up to here: it may take its place.
            for bit: UInt in 0...1 { unsafe Tie(leaf).link(bit).pointee = unsafe tie.link(bit).pointee }
            unsafe link.pointee = leaf
        }
        return tie
    }

    /// Takes out any tie.
    func popAny() -> Tie? {
        guard !isEmpty else { return nil }
        let link = unsafe lastLink(from: root)
        defer { unsafe link.pointee = 0 }
        return unsafe Tie(link.pointee)
    }

    func forEach(_ body: (Tie) -> Void) {
        var waiting = unsafe root.pointee == 0 ? [] : [root.pointee]
        while let word = waiting.popLast() {
            body(Tie(word))
            for bit: UInt in 0...1 {
                let child = unsafe Tie(word).link(bit).pointee
                if child != 0 { waiting.append(child) }
            }
        }
    }

    private func find(_ target: UnsafeMutableRawPointer, _ ordinal: UInt32) -> Link? {
        var bits = unsafe Tie.key(target, ordinal)
        var link = unsafe root
        while unsafe link.pointee != 0 {
            let tie = unsafe Tie(link.pointee)
            if unsafe tie.isOf(target, ordinal) { return unsafe link }
            unsafe link = unsafe tie.link(bits & 1)
            bits = bits.rotatedRight
        }
        return nil
    }

    /// The link to a leaf at or below `link`, which leads to a node.
    private func lastLink(from link: UnsafeMutablePointer<UInt>) -> UnsafeMutablePointer<UInt> {
        var link = unsafe link
        while true {
            let tie = unsafe Tie(link.pointee)
            if unsafe tie.link(0).pointee != 0 {
                unsafe link = unsafe tie.link(0)
            } else if unsafe tie.link(1).pointee != 0 {
                unsafe link = unsafe tie.link(1)
            } else {
                return unsafe link
            }
        }
    }
}

extension UInt {
    /// Every bit of the result depends on every bit of this (the finaliser of MurmurHash3).
    var mixed: UInt {
        var word = self
        word = (word ^ word >> 33) &* 0xFF51_AFD7_ED55_8CCD
        word = (word ^ word >> 33) &* 0xC4CE_B9FE_1A85_EC53
        return word ^ word >> 33
    }

    fileprivate var rotatedRight: UInt { self >> 1 | self << 63 }
}
