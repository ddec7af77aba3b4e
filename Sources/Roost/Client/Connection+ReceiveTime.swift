// SPDX-License-Identifier: Apache-2.0

internal import CRoost
internal import RoostIO
package import RoostRuntime

extension Connection {
    /// When the message that is being handled was taken from the kernel, with others perhaps: the clock is read once
    /// for all that came in one read.
    ///
    /// A handler that was stopped in the middle of what it had read may be told a later time, up to now, never an
    /// earlier one: another connection has read meanwhile.
    package var receivedAt: MonotonicTime {
        roost_enter()
        defer { roost_leave() }
        let buffers = unsafe IOBuffers.of(SchedulerRef.running)
        if unsafe buffers.pointee.readAt.nanoseconds == 0 { unsafe buffers.pointee.readAt = .now() }
        return unsafe buffers.pointee.readAt
    }
}
