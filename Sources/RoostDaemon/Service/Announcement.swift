// SPDX-License-Identifier: Apache-2.0

internal import Roost

/// What is printed once the server listens.
enum Announcement {
    /// A listener as it came to be.
    struct Listener {
        let address: SocketAddress
        let isSecure: Bool
        let routes: [RouteEntry]
    }

    /// A line for each listener; then a line with the routes of each kind of listener, as URLs where one is TCP.
    static func text(_ listeners: [Listener]) -> String {
        var kinds: [[Listener]] = []
        for listener in listeners {
            let index = kinds.firstIndex { $0[0].isSecure == listener.isSecure && $0[0].routes == listener.routes }
            if let index { kinds[index].append(listener) } else { kinds.append([listener]) }
        }
        return listeners.map { "listening on \($0.address)\n" }.joined() + kinds.map(routes).joined()
    }

    private static func routes(_ listeners: [Listener]) -> String {
        let listener = listeners.first { $0.address.port != nil } ?? listeners[0]
        return "routes: " + listener.routes.map { url(listener, $0) }.joined(separator: " ") + "\n"
    }

    /// An address that a client on this machine can use; the path alone for a unix socket.
    private static func url(_ listener: Listener, _ route: RouteEntry) -> String {
        guard listener.address.port != nil else { return route.shownPath }
        var text = "\(listener.address)"
        for (any, local) in [("0.0.0.0:", "127.0.0.1:"), ("[::]:", "[::1]:")] where text.hasPrefix(any) {
            text = local + text.dropFirst(any.count)
        }
        let scheme = route.kind.isPlain ? "http" : "ws"
        return "\(scheme)\(listener.isSecure ? "s" : "")://\(text)\(route.shownPath)"
    }
}
