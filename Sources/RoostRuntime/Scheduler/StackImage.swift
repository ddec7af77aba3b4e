// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc

/// The used part of a process's stack while the process is stopped in the middle of its code.
///
/// Processes of a scheduler share its lanes. What a stopped process used of one is copied to its own heap, while both
/// are at hand, and back to the same addresses when it goes on; unless nobody has used the lane since, as with a few
/// processes that talk to each other. So a process with frames belongs to its scheduler.
/// In sanitizer builds each process has a stack of its own, which stays
/// where it is (ARCHITECTURE.md, "Stacks").
@safe enum StackImage {
    /// An image's block is made smaller when less than a quarter of it is used.
    static let shrinkFactor = 4
    static let sanitizerStackByteCount = 512 * 1024
}

extension SchedulerRef {
    /// Runs `process`, which has no frames, from the top of the fresh lane.
    @inline(__always)
    func startOnStack(_ process: ProcessRef) -> UInt32 {
        let entry = unsafe process.block.operations.pointee.run
        guard roost_stack_per_process() else {
            let lane = state.lanes.fresh
            process.block.lane = lane
            use(lane)
            return unsafe roost_start(entry, process.pointer)
        }
        let stack = unsafe roost_stack_create(StackImage.sanitizerStackByteCount)
        unsafe process.block.stackCopy = unsafe UnsafeMutableRawPointer(stack)
        return unsafe roost_stack_start(stack, entry, process.pointer)
    }

    /// Goes on with `process`, whose lane nobody is stuck on.
    @inline(__always)
    func resumeOnStack(_ process: ProcessRef) -> UInt32 {
        guard roost_stack_per_process() else {
            let lane = process.block.lane
            let word = unsafe UInt(bitPattern: process.pointer)
            if state.lanes[lane].resident != word { moveIn(process, lane, word) }
            use(lane)
            return unsafe roost_resume_here(roost_thread_current(), process.block.stackPointer!)
        }
        return unsafe roost_stack_resume(OpaquePointer(process.block.stackCopy!))
    }

    @inline(__always)
    private func use(_ lane: UInt8) { unsafe roost_thread_use(&state.lanes[lane].stack) }

    @inline(never)
    private func moveIn(_ process: ProcessRef, _ lane: UInt8, _ word: UInt) {
        clear(lane)
        state.lanes[lane].resident = word
        // Safe: the image was copied from exactly here; nobody uses the lane now.
        unsafe memcpy(process.block.stackPointer!, process.block.stackCopy!, process.block.stackByteCount)
    }

    /// The process has stopped in the middle of its code, and its frames stay where they are.
    @inline(__always)
    func keepFrames(of process: ProcessRef) {
        if roost_stack_per_process() { return }
        let thread = unsafe roost_thread_current()
        let stackPointer = unsafe roost_parked_sp()!
        unsafe process.block.stackPointer = unsafe stackPointer
        process.block.stackByteCount =
            unsafe Int(thread.pointee.stack_high) - Int(bitPattern: stackPointer)
        moveOut(process)
        let lane = process.block.lane
        guard lane == state.lanes.fresh else { return }
        state.lanes[lane].resident = unsafe UInt(bitPattern: process.pointer)
        state.lanes.advance()
        clear(state.lanes.fresh)
    }

    /// Forgets whose frames lie on `lane`: that process has a copy of them.
    @inline(__always)
    func clear(_ lane: UInt8) { state.lanes[lane].resident = 0 }

    /// Copies the frames of a process that has just stopped to its own heap.
    private func moveOut(_ process: ProcessRef) {
        let byteCount = process.block.stackByteCount
        let capacity = Int(process.block.stackCapacity)
        if byteCount > capacity || byteCount * StackImage.shrinkFactor < capacity {
            releaseImage(of: process)
            unsafe process.block.stackCopy = unsafe state.blocks.allocate(byteCount: byteCount)
            process.block.stackCapacity = UInt32(byteCount)
            process.charge(byteCount: byteCount)
        }
        unsafe memcpy(process.block.stackCopy!, process.block.stackPointer!, byteCount)
    }

    private func releaseImage(of process: ProcessRef) {
        guard let copy = unsafe process.block.stackCopy else { return }
        unsafe process.block.stackCopy = nil
        let capacity = Int(process.block.stackCapacity)
        unsafe state.blocks.free(copy, byteCount: capacity)
        process.charge(byteCount: -capacity)
        process.block.stackCapacity = 0
    }

    /// The process has no frames any more.
    func releaseStack(of process: ProcessRef) {
        if roost_stack_per_process() {
            guard let copy = unsafe process.block.stackCopy else { return }
            unsafe process.block.stackCopy = nil
            return unsafe roost_stack_destroy(OpaquePointer(copy))
        }
        let lane = process.block.lane
        if unsafe state.lanes[lane].resident == UInt(bitPattern: process.pointer) {
            state.lanes[lane].resident = 0
        }
        releaseImage(of: process)
    }
}

extension ProcessRef {
    /// The frames of a stopped process, in its heap; in sanitizer builds its stack. Its scheduler's thread.
    var stackImage: UnsafeMutableRawPointer? { unsafe block.stackCopy }
}
