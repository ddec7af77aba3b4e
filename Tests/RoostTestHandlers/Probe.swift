// SPDX-License-Identifier: Apache-2.0

internal import Synchronization
public import Roost

/// What handlers tell the test that made them. A reference that all handlers of a test share.
public final class Probe: Sendable {
    private struct State {
        var events: [String] = []
        var addresses: [Address<String>] = []
    }
    private let state = Mutex(State())
    private let made = Atomic<Int>(0)
    private let freed = Atomic<Int>(0)

    private let gate = Atomic<Bool>(false)

    public init() {}

    /// What work elsewhere waits for.
    public var isOpen: Bool {
        get { gate.load(ordering: .acquiring) }
        set { gate.store(newValue, ordering: .releasing) }
    }

    public func note(_ event: String) { withoutPreemption { state.withLock { $0.events.append(event) } } }
    public func register(_ address: Address<String>) {
        withoutPreemption { state.withLock { $0.addresses.append(address) } }
    }

    public var events: [String] { withoutPreemption { state.withLock { $0.events } } }
    public var addresses: [Address<String>] { withoutPreemption { state.withLock { $0.addresses } } }

    func madeToken() { made.add(1, ordering: .relaxed) }
    func freedToken() { freed.add(1, ordering: .relaxed) }
    /// Handlers' tokens that exist.
    public var tokenCount: Int { made.load(ordering: .relaxed) - freed.load(ordering: .relaxed) }
    public var madeTokenCount: Int { made.load(ordering: .relaxed) }
}

/// Something that a handler owns: freed with it.
final class Token: Sendable {
    private let probe: Probe
    init(_ probe: Probe) {
        self.probe = probe
        probe.madeToken()
    }
    deinit { probe.freedToken() }
}

public struct Asked: Error, Equatable {
    public init() {}
}
