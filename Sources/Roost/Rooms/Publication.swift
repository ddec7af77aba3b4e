// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostRuntime
internal import RoostWebSocket
internal import Synchronization

/// One message on its way to the members of a room: the frame as it leaves, made once and shared by all that are still
/// to have it. Immutable but for the table; in one block with a link for each scheduler, and with its bytes.
///
/// | Field | Written by | Ordered by |
/// |---|---|---|
/// | `references` | any thread | relaxed up, acquiring and releasing down: the last one frees |
/// | `undelivered` | the scheduler that is through with it | acquiring and releasing |
/// | `variants` | any scheduler | releasing compare-exchange, acquiring load |
/// | the links | whoever pushes, then the shard's scheduler | `RoomShard.inbox` |
@safe struct Publication: ~Copyable {
    let references: Atomic<Int>
    /// Shards that are not through with it.
    let undelivered: Atomic<Int>
    /// What it is compressed to, for each agreement that a member has: linked through `nextVariant`, newest first.
    let variants: Atomic<UInt>
    let nextVariant: UInt
    /// The connection that is not sent it, by the address of its state; 0 for none. Only compared.
    let publisher: UInt
    let rooms: Unmanaged<Rooms>
    /// Of a variant: what it is compressed for.
    let key: DeflaterKey?
    let opcode: Opcode
    let linkCount: UInt8
    /// Header and payload; 0 for a variant that would not be smaller.
    let frameByteCount: UInt32
    let payloadByteCount: UInt32
}

/// A publication by its address. Whoever holds one for longer than it is lent has retained it.
// immutable, but for what is atomic
@safe struct PublicationRef: Equatable, @unchecked Sendable {
    let pointer: UnsafeMutablePointer<Publication>

    @inline(__always)
    private init(_ pointer: UnsafeMutablePointer<Publication>) { unsafe self.pointer = unsafe pointer }

    @inline(__always)
    init(word: UInt) { unsafe self.init(UnsafeMutablePointer(bitPattern: word).unsafelyUnwrapped) }

    @inline(__always)
    var word: UInt { unsafe UInt(bitPattern: pointer) }

    static func == (a: PublicationRef, b: PublicationRef) -> Bool { unsafe a.pointer == b.pointer }

    private static let linksOffset = (MemoryLayout<Publication>.size + 7) & ~7

    /// A frame with `payload`, for `shardCount` shards of a room. Booked on nobody: it outlives its publisher.
    static func make(
        _ opcode: Opcode, _ payload: UnsafeRawBufferPointer, isCompressed: Bool = false, publisher: UInt = 0,
        of rooms: Rooms, linkCount: Int = 0, shardCount: Int = 0, key: DeflaterKey? = nil, nextVariant: UInt = 0
    ) -> PublicationRef {
        let header = FrameEncoder.headerByteCount(payloadByteCount: payload.count, isMasked: false)
        let offset = linksOffset + 8 * linkCount
        let block = unsafe withoutOwner {
            UnsafeMutableRawPointer.allocate(byteCount: offset + header + payload.count, alignment: 16)
        }
        let pointer = unsafe block.bindMemory(to: Publication.self, capacity: 1)
        unsafe pointer.initialize(
            to: Publication(
                references: Atomic(max(shardCount, 1)), undelivered: Atomic(shardCount), variants: Atomic(0),
                nextVariant: nextVariant, publisher: publisher, rooms: Unmanaged.passRetained(rooms), key: key,
                opcode: opcode, linkCount: UInt8(linkCount), frameByteCount: UInt32(header + payload.count),
                payloadByteCount: UInt32(payload.count)))
        let room = unsafe UnsafeMutableRawBufferPointer(start: block + offset, count: header + payload.count)
        unsafe _ = FrameEncoder.writeHeader(
            opcode, isCompressed: isCompressed, payloadByteCount: payload.count, to: room)
        unsafe UnsafeMutableRawBufferPointer(rebasing: room[header...]).copyMemory(from: payload)
        return unsafe PublicationRef(pointer)
    }

    /// Says that compressing with `key` makes it no smaller.
    private static func makeEmpty(_ key: DeflaterKey, of rooms: Rooms, nextVariant: UInt) -> PublicationRef {
        let block = unsafe withoutOwner {
            UnsafeMutableRawPointer.allocate(byteCount: linksOffset, alignment: 16)
        }
        let pointer = unsafe block.bindMemory(to: Publication.self, capacity: 1)
        unsafe pointer.initialize(
            to: Publication(
                references: Atomic(1), undelivered: Atomic(0), variants: Atomic(0), nextVariant: nextVariant,
                publisher: 0, rooms: Unmanaged.passRetained(rooms), key: key, opcode: .binary, linkCount: 0,
                frameByteCount: 0, payloadByteCount: 0))
        return unsafe PublicationRef(pointer)
    }

    var publication: Publication {
        // Safe: whoever has the reference has retained it, or was lent it by who has.
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer) }
    }

    /// The frame as it leaves.
    var bytes: UnsafeRawBufferPointer {
        @inline(__always) get {
            let offset = Self.linksOffset + 8 * Int(publication.linkCount)
            // Safe: `make` has allocated so many bytes there.
            return unsafe UnsafeRawBufferPointer(
                start: UnsafeRawPointer(pointer) + offset, count: Int(publication.frameByteCount))
        }
    }

    var byteCount: Int { @inline(__always) get { Int(publication.frameByteCount) } }

    /// The message alone.
    var payload: UnsafeRawBufferPointer {
        let header = Int(publication.frameByteCount - publication.payloadByteCount)
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[header...])
    }

    /// What it counts for in its room's backlog, and where it waits for a member: small messages are bounded in number
    /// by what they take besides.
    var backlogByteCount: Int { Self.backlogByteCount(frameByteCount: byteCount) }
    static func backlogByteCount(frameByteCount: Int) -> Int { linksOffset + frameByteCount }

    /// The publication before it, or behind it, in the list of one scheduler's shard.
    func link(_ index: Int) -> UInt {
        // Safe: `index` is below `linkCount`.
        unsafe (UnsafeMutableRawPointer(pointer) + Self.linksOffset).loadUnaligned(
            fromByteOffset: 8 * index, as: UInt.self)
    }

    func setLink(_ index: Int, _ word: UInt) {
        // Safe: as above.
        unsafe (UnsafeMutableRawPointer(pointer) + Self.linksOffset).storeBytes(
            of: word, toByteOffset: 8 * index, as: UInt.self)
    }

    func retain() { publication.references.add(1, ordering: .relaxed) }

    func release() {
        guard publication.references.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 else { return }
        var variant = publication.variants.load(ordering: .acquiring)
        while variant != 0 {
            let reference = PublicationRef(word: variant)
            variant = reference.publication.nextVariant
            reference.release()
        }
        unsafe publication.rooms.release()
        unsafe pointer.deinitialize(count: 1)
        unsafe pointer.deallocate()
    }

    // MARK: Variants

    /// What members with this agreement are sent, where that is known: the publication itself if it gets no smaller.
    func variant(_ key: DeflaterKey) -> PublicationRef? {
        var word = publication.variants.load(ordering: .acquiring)
        while word != 0 {
            let variant = PublicationRef(word: word)
            if variant.publication.key == key { return variant.byteCount == 0 ? self : variant }
            word = variant.publication.nextVariant
        }
        return nil
    }

    /// Notes what it is compressed to. Another scheduler may have done so meanwhile: either serves.
    func addVariant(_ key: DeflaterKey, _ compressed: UnsafeRawBufferPointer) {
        let rooms = unsafe publication.rooms._withUnsafeGuaranteedRef { $0 }
        var seen = publication.variants.load(ordering: .acquiring)
        while true {
            if variant(key) != nil { return }
            let variant =
                compressed.count < Int(publication.payloadByteCount)
                ? unsafe Self.make(
                    publication.opcode, compressed, isCompressed: true, of: rooms, key: key, nextVariant: seen)
                : Self.makeEmpty(key, of: rooms, nextVariant: seen)
            let (done, value) = publication.variants.compareExchange(
                expected: seen, desired: variant.word, successOrdering: .releasing, failureOrdering: .acquiring)
            if done { return }
            variant.release()
            seen = value
        }
    }
}
