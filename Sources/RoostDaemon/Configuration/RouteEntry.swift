// SPDX-License-Identifier: Apache-2.0

package import Roost
internal import RoostAdmin
package import RoostDemo

/// What a route does.
package enum RouteKind: Sendable, Hashable, CustomStringConvertible {
    case echo
    /// What one client sends reaches all others in its room, which the path names behind the route's.
    case broadcast
    case health
    case metrics
    /// Serves a file.
    case page
    case demo(Misbehaviour)

    package static let all: [RouteKind] =
        [.echo, .broadcast, .health, .metrics, .page] + Misbehaviour.allCases.map { .demo($0) }

    init?(_ name: String) {
        guard let kind = Self.all.first(where: { $0.description == name }) else { return nil }
        self = kind
    }

    /// It answers plain HTTP requests; the others serve WebSockets.
    package var isPlain: Bool {
        switch self {
        case .health, .metrics, .page: true
        case .echo, .broadcast, .demo: false
        }
    }

    package var description: String {
        switch self {
        case .echo: "echo"
        case .broadcast: "broadcast"
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
        [("/echo", RouteKind.echo), ("/broadcast", .broadcast), ("/health", .health), ("/metrics", .metrics)].map {
            RouteEntry(path: $0.0, kind: $0.1, settings: settings)
        }
    }

    package func route(_ pages: DaemonPages) -> Route {
        switch kind {
        case .echo: return webSocketRoute { _ in EchoHandler() }
        case .broadcast:
            let rooms = pages.rooms(path, settings.rooms)
            return webSocketRoute(rooms) { request in try BroadcastHandler(request, rooms) }
        case .demo(let misbehaviour): return webSocketRoute { _ in DemoHandler(misbehaviour) }
        case .health: return Route(http: path, respond: pages.health.respond)
        case .metrics: return Route(http: path, respond: pages.metrics.respond)
        case .page: return Route(http: path, respond: pages.file(file).respond)
        }
    }

    /// What requests are matched with: rooms are behind the path of their route.
    package var matchedPath: String {
        switch kind {
        case .broadcast: path == "/" ? "/*" : path + "/*"
        case .echo, .health, .metrics, .page, .demo: path
        }
    }

    /// What people are shown.
    package var shownPath: String {
        switch kind {
        case .broadcast: path == "/" ? "/ROOM" : path + "/ROOM"
        case .echo, .health, .metrics, .page, .demo: path
        }
    }

    private func webSocketRoute<Handler: ConnectionHandler>(
        _ rooms: Rooms? = nil, _ connect: @escaping @Sendable (borrowing ConnectRequest) throws -> Handler
    ) -> Route {
        Route(
            matchedPath, limits: settings.limits, restart: settings.restart.policy, compression: settings.compression,
            allowedOrigins: settings.allowedOrigins, rooms: rooms, connect: connect)
    }
}
