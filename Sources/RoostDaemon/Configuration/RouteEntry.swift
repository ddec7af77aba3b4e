// SPDX-License-Identifier: Apache-2.0

package import Roost
internal import RoostAdmin
package import RoostDemo

/// What a route does.
package enum RouteKind: Sendable, Hashable, CustomStringConvertible {
    case echo
    case health
    case metrics
    /// Serves a file.
    case page
    case demo(Misbehaviour)

    package static let all: [RouteKind] = [.echo, .health, .metrics, .page] + Misbehaviour.allCases.map { .demo($0) }

    init?(_ name: String) {
        guard let kind = Self.all.first(where: { $0.description == name }) else { return nil }
        self = kind
    }

    /// It answers plain HTTP requests; the others serve WebSockets.
    package var isPlain: Bool {
        switch self {
        case .health, .metrics, .page: true
        case .echo, .demo: false
        }
    }

    package var description: String {
        switch self {
        case .echo: "echo"
        case .health: "health"
        case .metrics: "metrics"
        case .page: "page"
        case .demo(let misbehaviour): "demo/\(misbehaviour.rawValue)"
        }
    }
}

/// A file that the configuration names, and where it does.
package struct FileReference: Sendable, Hashable {
    package let path: String
    package let origin: SettingOrigin
}

/// One route of the daemon.
package struct RouteEntry: Sendable, Equatable {
    package let path: String
    package let kind: RouteKind
    package let settings: RouteSettings
    /// What a page is read from.
    package let file: FileReference?

    package init(path: String, kind: RouteKind, settings: RouteSettings, file: FileReference? = nil) {
        self.path = path
        self.kind = kind
        self.settings = settings
        self.file = file
    }

    /// What is served when nobody names a route.
    package static func standard(_ settings: RouteSettings) -> [RouteEntry] {
        [("/echo", RouteKind.echo), ("/health", .health), ("/metrics", .metrics)].map {
            RouteEntry(path: $0.0, kind: $0.1, settings: settings)
        }
    }

    package func route(_ pages: DaemonPages) -> Route {
        switch kind {
        case .echo: webSocketRoute { _ in EchoHandler() }
        case .demo(let misbehaviour): webSocketRoute { _ in DemoHandler(misbehaviour) }
        case .health: Route(http: path, respond: pages.health.respond)
        case .metrics: Route(http: path, respond: pages.metrics.respond)
        case .page: Route(http: path, respond: pages.file(file).respond)
        }
    }

    private func webSocketRoute<Handler: ConnectionHandler>(
        _ connect: @escaping @Sendable (borrowing ConnectRequest) throws -> Handler
    ) -> Route {
        Route(
            path, limits: settings.limits, restart: settings.restart.policy, compression: settings.compression,
            allowedOrigins: settings.allowedOrigins, connect: connect)
    }
}
