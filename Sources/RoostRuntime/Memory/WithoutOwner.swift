// SPDX-License-Identifier: Apache-2.0

internal import CRoost

/// Runs `body` with nothing that it allocates booked on the process that runs here: for libraries that keep memory of
/// their own. What is freed meanwhile goes back to whoever it was booked on.
///
/// `body` does not park and runs no handler code: it ends on the thread that it began on.
package func withoutOwner<Result: ~Copyable, Failure: Error>(
    _ body: () throws(Failure) -> Result
) throws(Failure) -> Result {
    let thread = unsafe roost_thread_current()
    let owner = unsafe roost_thread_owner(thread)
    unsafe roost_thread_set_owner(thread, 0)
    defer { unsafe roost_thread_set_owner(thread, owner) }
    return try body()
}
