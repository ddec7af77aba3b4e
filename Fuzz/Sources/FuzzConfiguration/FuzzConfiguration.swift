import Roost
import RoostDaemon

/// Configuration files: no text traps whoever reads it; each problem is one line and names a line of the file; and what
/// is accepted the server accepts as well.
func fuzzConfiguration(_ start: UnsafePointer<UInt8>?, _ byteCount: Int) -> CInt {
    // Safe: libFuzzer lends `byteCount` bytes at `start` for the duration of the call.
    let text = unsafe String(decoding: UnsafeBufferPointer(start: start, count: byteCount), as: UTF8.self)
    // The line breaks of YAML 1.1 (§5.4).
    let lineCount = text.unicodeScalars.count { ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"].contains($0) } + 1
    do throws(ConfigurationError) {
        let configuration = try DaemonConfiguration.read(text: text, path: "/etc/roost.yaml")
        precondition(!configuration.listeners.isEmpty, "accepted without a listener")
        precondition(configuration.summary.hasPrefix("ok\n"), "a summary that is none")
        checkServer(configuration)
    } catch {
        precondition(!error.problems.isEmpty, "refused without a problem")
        for problem in error.problems { check(problem, lineCount) }
    }
    return 0
}

private func check(_ problem: ConfigurationProblem, _ lineCount: Int) {
    switch problem.origin {
    case .commandLine, .environment: preconditionFailure("a problem of the file is said to be elsewhere: \(problem)")
    case .file(_, let line):
        precondition((1...lineCount).contains(line), "a problem with a line that is not in the file: \(problem)")
    }
    precondition(!problem.message.isEmpty, "a problem without a word")
    precondition(
        problem.description.unicodeScalars.allSatisfy { $0.properties.generalCategory != .control },
        "a problem of more than a line: \(problem)")
}

/// The files of certificates are left alone: input must not open what it names.
private func checkServer(_ configuration: DaemonConfiguration) {
    var configuration = configuration
    for index in configuration.listeners.indices { configuration.listeners[index].settings.tls.isWanted = false }
    let problems = configuration.server(DaemonPages(configuration)).problems()
    precondition(problems.isEmpty, "accepted, but refused by the server: \(problems)")
}
