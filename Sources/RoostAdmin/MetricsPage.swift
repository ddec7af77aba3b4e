// SPDX-License-Identifier: Apache-2.0

package import Roost
internal import Synchronization

/// What Prometheus and its like collect.
package final class MetricsPage: Sendable {
    private struct Source {
        /// Its routes hold this page.
        weak let server: RoostServer?
    }
    private let source = Mutex(Source(server: nil))
    private let version: String

    package init(version: String) { self.version = version }

    /// Tells of `server` from now on. The page is a part of what the server is made of, so it comes first.
    package func attach(_ server: RoostServer) { source.withLock { $0 = Source(server: server) } }

    package func respond(_ request: HTTPRequest) -> HTTPResponse {
        guard let server = withoutPreemption({ source.withLock { $0.server } }) else {
            return .uncached(.serviceUnavailable, text: "no server yet\n")
        }
        let text = PrometheusText.render(server.statistics, ProcessFigures.current(), version: version)
        return .uncached(text: text, type: PrometheusText.contentType)
    }
}
