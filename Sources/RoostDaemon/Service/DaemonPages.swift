// SPDX-License-Identifier: Apache-2.0

internal import Roost
package import RoostAdmin
internal import Synchronization

/// What the daemon's plain routes answer with.
package final class DaemonPages: Sendable {
    package let health = HealthPage()
    package let metrics = MetricsPage(version: RoostVersion.current)
    /// By path; each file once.
    private let files: [String: FilePage]
    private let references: [FileReference]
    private let rooms = Mutex<[RoomsKey: Rooms]>([:])

    private struct RoomsKey: Hashable {
        let path: String
        let backlogByteCountMax: Int
    }

    /// For the routes of `configuration`; nothing is read yet.
    package init(_ configuration: DaemonConfiguration) {
        var files: [String: FilePage] = [:]
        var references: [FileReference] = []
        for reference in configuration.pageFiles where files[reference.path] == nil {
            files[reference.path] = FilePage(path: reference.path)
            references.append(reference)
        }
        self.files = files
        self.references = references
    }

    /// How many files there are.
    var fileCount: Int { files.count }

    /// The page of a file of the configuration.
    func file(_ reference: FileReference?) -> FilePage {
        guard let reference, let page = files[reference.path] else {
            preconditionFailure("DaemonPages.file: the route of a page has no file of this configuration")
        }
        return page
    }

    /// The rooms of a route. Listeners that serve the same path with the same limits have them in common: who comes
    /// over TLS meets who does not.
    func rooms(_ path: String, _ limits: RoomLimits) -> Rooms {
        rooms.withLock { rooms in
            let key = RoomsKey(path: path, backlogByteCountMax: limits.backlogByteCountMax)
            if let made = rooms[key] { return made }
            let made = Rooms(limits: limits)
            rooms[key] = made
            return made
        }
    }

    /// Reads every file; what cannot be read stays as it was.
    func load() -> [ConfigurationProblem] {
        references.compactMap { reference in
            do throws(FilePageError) {
                try file(reference).load()
                return nil
            } catch {
                return ConfigurationProblem(
                    origin: reference.origin, message: "\(RouteIdentityKey.file.rawValue): \(error)")
            }
        }
    }
}
