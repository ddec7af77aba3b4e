// SPDX-License-Identifier: Apache-2.0

/// What only some processes have: links, monitors, a reason to end.
///
/// By its address, in a block that the process owns until it ends, so that looking something up counts no references.
/// Safe while the process lives, for the scheduler that runs it.
@safe struct ProcessExtras {
    fileprivate struct Fields {
        var links = TieTable<Pid, Void>()
        var unlinking = TieTable<Pid, UInt64>()
        var observers = TieTable<Reference, Observer>()
        var monitors = TieTable<Reference, Pid>()
        var calls = CallState()
        var server: AnyObject?
        var exitReason: ExitReason?
        var label: String?
        var tracer: Tracer?
        var hasWarnedOfMailbox = false
        var hasReportedDrops = false
    }

    static var byteCount: Int { MemoryLayout<Fields>.size }

    private let pointer: UnsafeMutablePointer<Fields>

    /// New ones, from the blocks of the scheduler at hand.
    static func make() -> ProcessExtras {
        let block =
            if let scheduler = SchedulerRef.current {
                unsafe scheduler.state.blocks.allocate(byteCount: byteCount)
            } else {
                unsafe External.allocate(byteCount: byteCount)
            }
        // Safe: blocks are large enough and aligned to 16.
        let pointer = unsafe block.bindMemory(to: Fields.self, capacity: 1)
        unsafe pointer.initialize(to: Fields())
        return unsafe ProcessExtras(pointer: pointer)
    }

    /// The process has ended, and nobody looks at them any more.
    func free(_ blocks: inout BlockAllocator) {
        unsafe pointer.deinitialize(count: 1)
        unsafe blocks.free(UnsafeMutableRawPointer(pointer), byteCount: Self.byteCount)
    }

    // Safe, below: the block is the process's until it ends; and stored properties have addresses.

    var links: TieTable<Pid, Void> {
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer.pointer(to: \.links)!) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer.pointer(to: \.links)! }
    }
    /// Those that this process has unlinked and that have not acknowledged it: what they say of the link until then is
    /// of the one that is over. (L2; ERTS User's Guide, "Distribution Protocol", "Link Protocol".)
    var unlinking: TieTable<Pid, UInt64> {
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer.pointer(to: \.unlinking)!) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer.pointer(to: \.unlinking)! }
    }
    /// Monitors on this process.
    var observers: TieTable<Reference, Observer> {
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer.pointer(to: \.observers)!) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer.pointer(to: \.observers)! }
    }
    /// Monitors that this process holds on others.
    var monitors: TieTable<Reference, Pid> {
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer.pointer(to: \.monitors)!) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer.pointer(to: \.monitors)! }
    }
    /// The call it waits in, and the calls it has not answered.
    var calls: CallState {
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer.pointer(to: \.calls)!) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer.pointer(to: \.calls)! }
    }
    /// `ServerControl` of a `GenServer`.
    var server: AnyObject? {
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer.pointer(to: \.server)!) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer.pointer(to: \.server)! }
    }
    /// Why it was told to end, or ended.
    var exitReason: ExitReason? {
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer.pointer(to: \.exitReason)!) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer.pointer(to: \.exitReason)! }
    }
    var label: String? {
        @inline(__always) unsafeAddress { unsafe UnsafePointer(pointer.pointer(to: \.label)!) }
        @inline(__always) nonmutating unsafeMutableAddress { unsafe pointer.pointer(to: \.label)! }
    }
    /// Not by address: a stored closure has none of its own type.
    var tracer: Tracer? {
        get { unsafe pointer.pointee.tracer }
        nonmutating set { unsafe pointer.pointee.tracer = newValue }
    }
    var hasWarnedOfMailbox: Bool {
        unsafeAddress { unsafe UnsafePointer(pointer.pointer(to: \.hasWarnedOfMailbox)!) }
        nonmutating unsafeMutableAddress { unsafe pointer.pointer(to: \.hasWarnedOfMailbox)! }
    }
    var hasReportedDrops: Bool {
        unsafeAddress { unsafe UnsafePointer(pointer.pointer(to: \.hasReportedDrops)!) }
        nonmutating unsafeMutableAddress { unsafe pointer.pointer(to: \.hasReportedDrops)! }
    }
}
