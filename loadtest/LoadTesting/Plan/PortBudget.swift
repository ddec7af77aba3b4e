// SPDX-License-Identifier: Apache-2.0

internal import Roost

/// How many connections can be open at once, by the ports that there are for them: a connection is told from others by
/// both ends, so each pair of a local address and a server's address has the ports of ip_local_port_range once.
package struct PortBudget: Sendable, Equatable {
    private static let rangeFile = "/proc/sys/net/ipv4/ip_local_port_range"

    /// Ports that the kernel picks from (ip(7)).
    package var portCount: Int

    package init(portCount: Int) { self.portCount = portCount }

    /// Of this machine; nil: it does not tell.
    package static var ofThisMachine: PortBudget? {
        guard let text = ProcessMeter.read(rangeFile) else { return nil }
        let ends = text.split { $0 == " " || $0 == "\t" || $0 == "\n" }.compactMap { Int($0) }
        guard ends.count == 2, ends[0] <= ends[1] else { return nil }
        return PortBudget(portCount: ends[1] - ends[0] + 1)
    }

    /// One line for each group that has more clients than ports. `machineCount`: machines that share the clients.
    package func warnings(_ plan: LoadPlan, machineCount: Int) -> [String] {
        plan.groups.compactMap { group in
            let places = Set(
                group.target.urls.compactMap { url -> String? in
                    guard case .network(let name, let port)? = (try? WebSocketURL(url))?.host else { return nil }
                    return "\(name):\(port)"
                })
            // Unix sockets have no ports.
            guard !places.isEmpty else { return nil }
            let sourceCount = max(Set(group.target.sourceAddresses).count, 1)
            let count = (group.clientCount + machineCount - 1) / machineCount
            let room = portCount * sourceCount * places.count
            guard count > room else { return nil }
            let needed = (count + portCount * places.count - 1) / (portCount * places.count)
            return "\(count) clients of '\(group.name)' share \(room) local ports (\(portCount) of "
                + "net.ipv4.ip_local_port_range for each of \(sourceCount) source and \(places.count) server "
                + "addresses): \(count - room) will not connect; use \(needed) or more --source-address"
        }
    }
}
