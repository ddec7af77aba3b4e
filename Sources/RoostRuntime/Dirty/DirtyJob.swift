// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import Glibc
internal import Synchronization

/// Work for a dirty thread.
@safe class DirtyJob: OutsideWork, @unchecked Sendable {  // `phase` orders what changes
    /// What the reduction hook looks at while the job runs.
    let control: UnsafeMutablePointer<roost_dirty>
    let submitted = MonotonicTime.now()
    /// What the process's own code held when it gave the job away, and what it may hold.
    let heldByteCount: Int64
    let heapLimit: Int64
    private let graceNanoseconds: Int64
    private let threads: DirtyThreads

    init(_ process: ProcessRef, _ threads: DirtyThreads, grace: Duration) {
        self.threads = threads
        unsafe control = .allocate(capacity: 1)
        unsafe heldByteCount = roost_thread_current().pointee.live
        heapLimit = Int64(process.block.heapLimit)
        graceNanoseconds = grace.wholeNanoseconds
        super.init(process.pid, .queued)
        unsafe control.initialize(
            to: roost_dirty(
                deadline: .max, has_exceeded: false,
                exceeded: { control, live in
                    // Safe: the job that runs on this thread is alive, and `job` is its address.
                    unsafe Unmanaged<DirtyJob>.fromOpaque(control.pointee.job!)._withUnsafeGuaranteedRef {
                        $0.noteExceeded(live)
                    }
                }, job: nil))
        unsafe control.pointee.job = unsafe Unmanaged.passUnretained(self).toOpaque()
    }

    deinit { unsafe control.deallocate() }

    override func drop() -> Bool { threads.drop(self) }

    override func cancel() { unsafe roost_dirty_cancel(control, graceNanoseconds) }

    /// The runtime stops: at the next reduction point.
    func cancelNow() { unsafe roost_dirty_cancel(control, 0) }

    private func noteExceeded(_ byteCount: Int64) {
        cancel()
        exceedingFrames = HeapOverflow.framesOfThread()
        exceedingByteCount.store(Int(byteCount), ordering: .sequentiallyConsistent)
        wakeProcess()
    }

    /// Runs the code and keeps what it returns or throws. As handler code.
    func runCode() { fatalError("abstract") }
}

final class TypedDirtyJob<Value>: DirtyJob, @unchecked Sendable {
    /// A struct, so that the closure is not wrapped into a generic one.
    private struct Code {
        let body: () throws -> Value
    }
    private let code = Parcel<Code>()
    private let result = Parcel<Result<Value, any Error>>()

    init(
        _ process: ProcessRef, _ threads: DirtyThreads, grace: Duration, _ body: @escaping () throws -> Value
    ) {
        super.init(process, threads, grace: grace)
        code.put(Code(body: body))
    }

    deinit {
        code.free()
        result.free()
    }

    override func runCode() {
        let code = code.take()
        do { result.put(.success(try code.body())) } catch { result.put(.failure(error)) }
    }

    override func destroyCode() { _ = code.take() }
    override func destroyResult() { _ = result.take() }
    func takeResult() -> Result<Value, any Error> { result.take() }
}

extension Duration {
    /// At most what fits.
    var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? .max : product.addingReportingOverflow(attoseconds / 1_000_000_000).partialValue
    }
}
