// SPDX-License-Identifier: Apache-2.0

package import Roost

/// One listener of the daemon.
package struct ListenerEntry: Sendable, Equatable {
    package let address: String
    package var settings: ListenerSettings
    package var routes: [RouteEntry]

    package init(address: String, settings: ListenerSettings, routes: [RouteEntry]) {
        self.address = address
        self.settings = settings
        self.routes = routes
    }

    package func listener(_ pages: DaemonPages) -> ListenerConfiguration {
        settings.listener(address, routes.map { $0.route(pages) })
    }
}
