// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc

/// The used part of a process's stack while the process is stopped in the middle of its code.
///
/// Processes of a scheduler share one stack. What a stopped process used of it is copied to its own heap, and back to
/// the same addresses when it goes on; so a process with an image belongs to its scheduler. In sanitizer builds each
/// process has a stack of its own, which stays where it is (ARCHITECTURE.md, "Stacks").
@safe enum StackImage {
    /// An image's block is made smaller when less than a quarter of it is used.
    static let shrinkFactor = 4
    static let sanitizerStackByteCount = 512 * 1024

    static func start(_ process: ProcessRef, _ entry: @escaping roost_entry) -> UInt32 {
        guard roost_stack_per_process() else { return unsafe roost_start(entry, process.pointer) }
        let stack = unsafe roost_stack_create(sanitizerStackByteCount)
        unsafe process.block.stackCopy = unsafe UnsafeMutableRawPointer(stack)
        return unsafe roost_stack_start(stack, entry, process.pointer)
    }

    static func resume(_ process: ProcessRef) -> UInt32 {
        guard roost_stack_per_process() else {
            // Safe: the image was copied from exactly here, by this thread; nobody uses the process stack now.
            unsafe memcpy(process.block.stackPointer!, process.block.stackCopy!, Int(process.block.stackByteCount))
            return unsafe roost_resume(process.block.stackPointer!)
        }
        return unsafe roost_stack_resume(OpaquePointer(process.block.stackCopy!))
    }

    static func keep(_ process: ProcessRef, _ blocks: inout BlockAllocator) {
        if roost_stack_per_process() { return }
        let stackPointer = unsafe roost_parked_sp()!
        let byteCount = unsafe Int(roost_thread_current().pointee.stack_high) - Int(bitPattern: stackPointer)
        let capacity = Int(process.block.stackCapacity)
        if byteCount > capacity || byteCount * shrinkFactor < capacity {
            release(process, &blocks)
            unsafe process.block.stackCopy = unsafe blocks.allocate(byteCount: byteCount)
            process.block.stackCapacity = UInt32(byteCount)
            process.charge(byteCount: byteCount)
        }
        unsafe process.block.stackPointer = unsafe stackPointer
        process.block.stackByteCount = UInt32(byteCount)
        unsafe memcpy(process.block.stackCopy!, stackPointer, byteCount)
    }

    static func release(_ process: ProcessRef, _ blocks: inout BlockAllocator) {
        guard let copy = unsafe process.block.stackCopy else { return }
        unsafe process.block.stackCopy = nil
        if roost_stack_per_process() { return unsafe roost_stack_destroy(OpaquePointer(copy)) }
        let capacity = Int(process.block.stackCapacity)
        unsafe blocks.free(copy, byteCount: capacity)
        process.charge(byteCount: -capacity)
        process.block.stackCapacity = 0
    }
}
