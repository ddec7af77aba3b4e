// SPDX-License-Identifier: Apache-2.0

internal import Logging
internal import RoostIO
internal import RoostRuntime
internal import Synchronization

/// The process that accepts connections, one for each listener and scheduler.
enum Acceptor {
    /// Connections accepted in one turn.
    private static let batchMax = 64
    /// How long to wait when descriptors or memory have run out: closing connections free them.
    static let exhaustedPause = Duration.milliseconds(100)
    /// Connections past the limit that are answered with 503 at one time; beyond them the kernel's backlog holds
    /// clients.
    private static let surplusMax = 64

    nonisolated(unsafe) static let operations: UnsafePointer<ProcessOperations> = unsafe ProcessOperations(
        run: { raw in
            let process = unsafe ProcessRef(raw: raw)
            let listener = unsafe Unmanaged<Listener>.fromOpaque(process.object!).takeUnretainedValue()
            run(process, listener, SchedulerRef.running)
        },
        didStop: { _ in }, didAbandon: { _ in },
        didEnd: { raw in unsafe Unmanaged<Listener>.fromOpaque(ProcessRef(raw: raw).object!).release() }
    ).immortal()

    private static func run(_ process: ProcessRef, _ listener: Listener, _ scheduler: SchedulerRef) {
        let wake = process.takeWakeFlags()
        if process.isExiting || listener.isDraining { return process.finish(.normal) }
        let connections = listener.perScheduler[scheduler.index]
        if wake.contains(.timer) || wake.contains(.poke), connections.isPaused.exchange(false, ordering: .relaxed) {
            // Without it nobody would be accepted here any more: tried again.
            guard scheduler.watchListener(listener.descriptor, for: process) == 0 else {
                listener.counters.acceptFailures.add(1, ordering: .relaxed)
                return pause(process, listener, scheduler)
            }
        }
        for _ in 0..<batchMax {
            let surplus = listener.counters.current.load(ordering: .relaxed) - listener.configuration.connectionCountMax
            if surplus >= surplusMax { return pause(process, listener, scheduler) }
            switch SystemCalls.accept(listener.descriptor) {
            case .wouldBlock: return
            case .aborted: listener.counters.acceptFailures.add(1, ordering: .relaxed)
            case .accepted(let descriptor, let peer):
                accept(descriptor, peer, isSurplus: surplus >= 0, listener, scheduler)
            case .exhausted(let code):
                if listener.counters.mayLogExhaustion(at: .now()) {
                    listener.logger.warning(
                        "accept paused: out of descriptors or memory",
                        metadata: ["listener.address": "\(listener.address?.description ?? "-")", "errno": "\(code)"])
                }
                listener.counters.acceptFailures.add(1, ordering: .relaxed)
                return pause(process, listener, scheduler)
            case .failed(let code):
                listener.logger.error("accept failed", metadata: ["errno": "\(code)"])
                return pause(process, listener, scheduler)
            }
        }
        process.wakeSelf()
    }

    private static func accept(
        _ descriptor: consuming OwnedDescriptor, _ peer: SocketAddress, isSurplus: Bool, _ listener: Listener,
        _ scheduler: SchedulerRef
    ) {
        listener.counters.accepted.add(1, ordering: .relaxed)
        listener.counters.current.add(1, ordering: .relaxed)
        if isSurplus { listener.counters.surplus.add(1, ordering: .relaxed) }
        let flags: ConnectionFlags = isSurplus ? [.isSurplus, .readable] : .readable
        let home = listener.place(from: scheduler)
        listener.perScheduler[home.index].count.add(1, ordering: .relaxed)
        if home == scheduler {
            return ConnectionProcess.start(descriptor, peer, listener, scheduler, flags: flags)
        }
        let number = descriptor.release()
        home.run { ConnectionProcess.start(OwnedDescriptor(adopting: number), peer, listener, home, flags: flags) }
    }

    /// Stops watching the socket, which would be announced again and again, until a connection ends or the pause is
    /// over.
    private static func pause(_ process: ProcessRef, _ listener: Listener, _ scheduler: SchedulerRef) {
        listener.perScheduler[scheduler.index].isPaused.store(true, ordering: .relaxed)
        scheduler.unwatch(listener.descriptor)
        _ = scheduler.armWake(process, at: .now() + exhaustedPause)
    }
}
