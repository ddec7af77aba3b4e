// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostIO
internal import RoostRuntime
internal import RoostWebSocket

/// Some publications of a room as one kind of member is sent them: as they are, or compressed for one agreement.
@safe struct BatchEncoding {
    /// nil: as they are.
    let key: DeflaterKey?
    /// Messages of fewer bytes are sent as they are.
    let thresholdByteCount: Int
    /// What stands for each publication.
    private(set) var frames: [PublicationRef] = []
    /// Where each frame ends in `bytes`.
    private(set) var ends: [Int] = []
    /// Frames one after the other, where there are several.
    private var buffer: UnsafeMutableRawPointer?
    private(set) var bytes: UnsafeRawBufferPointer

    init(key: DeflaterKey?, thresholdByteCount: Int) {
        self.key = key
        self.thresholdByteCount = thresholdByteCount
        unsafe buffer = nil
        unsafe bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    func start(of index: Int) -> Int { index == 0 ? 0 : ends[index - 1] }

    mutating func removeAll() {
        frames.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        unsafe bytes = UnsafeRawBufferPointer(start: nil, count: 0)
    }

    mutating func append(_ frame: PublicationRef) {
        ends.append((ends.last ?? 0) + frame.byteCount)
        frames.append(frame)
    }

    /// Puts the frames side by side. One alone is sent from where it lies.
    mutating func join() {
        if frames.count == 1 {
            unsafe bytes = frames[0].bytes
            return
        }
        let target =
            unsafe buffer
            ?? UnsafeMutableRawPointer.allocate(byteCount: DeliveryPass.batchByteCountMax, alignment: 16)
        unsafe buffer = unsafe target
        var offset = 0
        for frame in frames {
            let bytes = unsafe frame.bytes
            // Safe: a batch of several frames has at most `batchByteCountMax` bytes, in any encoding.
            unsafe UnsafeMutableRawBufferPointer(start: target + offset, count: bytes.count).copyMemory(from: bytes)
            offset += bytes.count
        }
        unsafe bytes = UnsafeRawBufferPointer(start: target, count: offset)
    }

    func free() {
        unsafe buffer?.deallocate()
    }
}

/// One walk over the members of a shard with all that was published before it began, as far as it fits one batch.
final class DeliveryPass {
    /// Bytes of frames that leave together. One frame alone may be larger.
    static let batchByteCountMax = 64 << 10
    /// Frames that leave together; each is looked at for members that have published some of them.
    static let batchFrameCountMax = 1_024

    private(set) var publications: [PublicationRef] = []
    /// The first is of the publications as they are.
    private(set) var encodings = [BatchEncoding(key: nil, thresholdByteCount: 0)]
    /// A bit for the address of each publisher: whose bit is not set has published none of the batch.
    private(set) var publisherFilter: UInt64 = 0

    /// A member that has had only some of the batch, by its address, and which publication comes next. It is the one at
    /// the cursor: if it leaves, this is no other's.
    private var unfinished: (member: UInt, position: Int, lookCount: Int) = (0, 0, 0)
    /// How often a member's process may be found not to have gone on: some hundred turns of others. It waits for one
    /// that is stuck then, and its member is slow.
    private static let lookCountMax = 1_000

    deinit { for encoding in encodings { encoding.free() } }

    /// The bit of a connection in `publisherFilter`: its address, multiplied by 2^64 over the golden ratio.
    @inline(__always)
    static func bit(_ address: UInt) -> UInt64 {
        1 &<< ((UInt64(address) &* 0x9E37_79B9_7F4A_7C15) &>> 58)
    }

    /// Takes what is queued in `shard`. False where nothing is.
    func begin(_ shard: RoomShardRef) -> Bool {
        guard shard.shard.queueHead != 0 else { return false }
        var byteCount = 0
        while shard.shard.queueHead != 0, publications.count < Self.batchFrameCountMax {
            let publication = PublicationRef(word: shard.shard.queueHead)
            byteCount += publication.byteCount
            if byteCount > Self.batchByteCountMax, !publications.isEmpty { break }
            shard.popQueue()
            publications.append(publication)
            encodings[0].append(publication)
            let publisher = publication.publication.publisher
            if publisher != 0 { publisherFilter |= Self.bit(publisher) }
        }
        encodings[0].join()
        shard.shard.beginPass()
        return true
    }

    /// Every member has been seen to.
    func end(_ shard: RoomShardRef) {
        shard.shard.endPass()
        for publication in publications { shard.room.delivered(publication) }
        publications.removeAll(keepingCapacity: true)
        publisherFilter = 0
        unfinished = (0, 0, 0)
        for encoding in encodings.dropFirst() { encoding.free() }
        encodings.removeLast(encodings.count - 1)
        encodings[0].removeAll()
    }

    /// Where to go on with a member.
    func position(of member: ConnectionRef) -> Int {
        unfinished.member == member.word ? unfinished.position : 0
    }

    /// Notes where to go on with a member; false when it was found there too often.
    func keepPosition(_ position: Int, of member: ConnectionRef) -> Bool {
        let isSame = unfinished.member == member.word && unfinished.position == position
        unfinished = (member.word, position, isSame ? unfinished.lookCount + 1 : 0)
        return unfinished.lookCount < Self.lookCountMax
    }

    /// Where the encoding for an agreement is in `encodings`; nil where it is not made yet.
    func index(_ key: DeflaterKey, thresholdByteCount: Int) -> Int? {
        encodings.firstIndex { $0.key == key && $0.thresholdByteCount == thresholdByteCount }
    }

    /// Makes an encoding of which every compressed message is there already.
    func addEncoding(_ key: DeflaterKey, thresholdByteCount: Int) {
        withoutOwner {
            var encoding = BatchEncoding(key: key, thresholdByteCount: thresholdByteCount)
            for publication in publications {
                let isLarge = Int(publication.publication.payloadByteCount) >= thresholdByteCount
                encoding.append(isLarge ? publication.variant(key) ?? publication : publication)
            }
            encoding.join()
            encodings.append(encoding)
        }
    }
}
