// SPDX-License-Identifier: Apache-2.0

internal import RoostHTTP
internal import RoostRuntime
internal import Synchronization

/// Counts the connections of each client address, and how often it connects. Any thread.
///
/// | Field    | Written by              | Ordered by                           |
/// |----------|-------------------------|--------------------------------------|
/// | `shards` | who admits or releases  | a shard's lock (leaf, no user code)  |
final class AddressTable: Sendable {
    enum Verdict: Equatable {
        case admitted
        case tooMany
        case tooOften
    }

    private struct Entry {
        var count = 0
        /// When the address would be within its rate with no credit left (the generic cell rate algorithm's theoretical
        /// arrival time), in nanoseconds.
        var arrival: UInt64 = 0
    }

    private struct Shard {
        var entries: [IPAddress: Entry] = [:]
        /// Entries past which those that say nothing any more are looked for.
        var sweepCount = 1_024
    }

    private static let shardCount = 16
    private let shards: [Mutex<Shard>.Box]
    private let limits: AddressLimits
    /// Nanoseconds between connects, and how far ahead of time they may be.
    private let interval: UInt64
    private let tolerance: UInt64

    init(_ limits: AddressLimits) {
        self.limits = limits
        shards = (0..<Self.shardCount).map { _ in Mutex<Shard>.Box(Shard()) }
        interval = limits.connectsPerSecond > 0 ? 1_000_000_000 / UInt64(limits.connectsPerSecond) : 0
        tolerance = interval * UInt64(max(limits.burst, 1) - 1)
    }

    /// One more connection of `address`, if it may have one.
    func admit(_ address: IPAddress, at now: UInt64) -> Verdict {
        withoutPreemption {
            shard(of: address).withLock { shard in
                var entry = shard.entries[address] ?? Entry()
                if limits.connectionCountMax > 0, entry.count >= limits.connectionCountMax { return .tooMany }
                if interval > 0 {
                    let arrival = max(entry.arrival, now)
                    guard arrival - now <= tolerance else { return .tooOften }
                    entry.arrival = arrival + interval
                }
                entry.count += 1
                // The table is nobody's memory, whoever makes it grow.
                withoutOwner {
                    shard.entries[address] = entry
                    if shard.entries.count > shard.sweepCount { Self.sweep(&shard, at: now) }
                }
                return .admitted
            }
        }
    }

    /// A connection that was admitted is over.
    func release(_ address: IPAddress) {
        withoutPreemption {
            shard(of: address).withLock { shard in
                guard var entry = shard.entries[address] else { return }
                entry.count -= 1
                // What it may do next is still bounded by when it came: the sweep removes it later.
                shard.entries[address] = entry.count == 0 && interval == 0 ? nil : entry
            }
        }
    }

    /// Addresses that are remembered.
    var count: Int { shards.reduce(0) { total, shard in total + shard.withLock { $0.entries.count } } }

    private static func sweep(_ shard: inout Shard, at now: UInt64) {
        shard.entries = shard.entries.filter { $0.value.count > 0 || $0.value.arrival > now }
        shard.sweepCount = max(1_024, 2 * shard.entries.count)
    }

    private func shard(of address: IPAddress) -> Mutex<Shard>.Box {
        shards[(address.hashValue & .max) % Self.shardCount]
    }
}

extension Mutex where Value: Copyable {
    /// A mutex that can stand in an array.
    final class Box: Sendable {
        private let mutex: Mutex<Value>
        init(_ value: Value) where Value: Sendable { mutex = Mutex(value) }
        func withLock<Result>(_ body: (inout sending Value) throws -> sending Result) rethrows -> Result {
            try mutex.withLock(body)
        }
    }
}
