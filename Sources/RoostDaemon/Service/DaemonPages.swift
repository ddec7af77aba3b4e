// SPDX-License-Identifier: Apache-2.0

package import RoostAdmin

/// What the daemon's plain routes answer with.
package final class DaemonPages: Sendable {
    package let health = HealthPage()
    package let metrics = MetricsPage(version: RoostVersion.current)
    /// By path; each file once.
    private let files: [String: FilePage]
    private let references: [FileReference]

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
