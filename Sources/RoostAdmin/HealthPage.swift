// SPDX-License-Identifier: Apache-2.0

package import Roost
internal import Synchronization

/// Tells load balancers whether to send clients here: 200 while the server serves, 503 while it drains.
package final class HealthPage: Sendable {
    private let isDraining = Atomic<Bool>(false)

    package init() {}

    /// From now on: 503. Before the drain begins, so that nobody is told to come who would be turned away.
    package func beginDraining() { isDraining.store(true, ordering: .relaxed) }

    package var status: HTTPStatus { isDraining.load(ordering: .relaxed) ? .serviceUnavailable : .ok }

    package func respond(_ request: HTTPRequest) -> HTTPResponse {
        let status = status
        return .uncached(status, text: status == .ok ? "ok\n" : "draining\n")
    }
}

extension HTTPResponse {
    /// A text of this moment, which nobody may keep.
    static func uncached(
        _ status: HTTPStatus = .ok, text: String, type: String = "text/plain; charset=utf-8"
    ) -> HTTPResponse {
        HTTPResponse(
            status,
            fields: [HeaderField(known: "Content-Type", type), HeaderField(known: "Cache-Control", "no-store")],
            body: Array(text.utf8))
    }
}
