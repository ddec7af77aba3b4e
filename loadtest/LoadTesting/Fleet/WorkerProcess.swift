// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import RoostIO
internal import RoostRuntime
internal import Synchronization

/// This program once more, as a worker: `loadtest worker`, led over a socket that is its standard input.
///
/// It ends when that socket does, so no worker outlives its coordinator, however that ends. Ctrl-C reaches it too, as
/// it is of the same process group, and so may SIGTERM: both are blocked there, and the coordinator leads it.
final class WorkerProcess: Sendable {
    let pid: pid_t
    private let outcome = Mutex<String?>(nil)

    private init(pid: pid_t) { self.pid = pid }

    /// Starts worker `number` of 1...; `cores`: where it may run; empty: anywhere.
    static func start(_ number: Int, cores: [Int], place: String) throws(LoadTestError) -> Remote {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        guard unsafe socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw LoadTestError(
                "no worker can be started: socketpair: \(text(errno)); raise the limit with `ulimit -n`")
        }
        let ours = OwnedDescriptor(adopting: ends[0])
        let theirs = OwnedDescriptor(adopting: ends[1])
        var arguments = ["loadtest", "worker"]
        if !cores.isEmpty { arguments += ["--cores", cores.map(String.init).joined(separator: ",")] }
        let pid = try spawn(arguments, input: theirs.number)
        return Remote(
            name: "worker \(number)\(place) (pid \(pid))", channel: Channel(ours), process: WorkerProcess(pid: pid))
    }

    /// posix_spawn(3): nothing of this program is copied, and no other thread's lock is held in the new process.
    private static func spawn(_ arguments: [String], input: CInt) throws(LoadTestError) -> pid_t {
        var actions = unsafe posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        var blocked = sigset_t()
        var pid: pid_t = 0
        // Safe: all of these live until the call returns, and the lists of arguments and variables end with nil.
        unsafe posix_spawn_file_actions_init(&actions)
        unsafe posix_spawnattr_init(&attributes)
        defer {
            unsafe posix_spawn_file_actions_destroy(&actions)
            unsafe posix_spawnattr_destroy(&attributes)
        }
        unsafe posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO)
        unsafe posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        unsafe sigemptyset(&blocked)
        unsafe sigaddset(&blocked, SIGINT)
        unsafe sigaddset(&blocked, SIGTERM)
        unsafe posix_spawnattr_setsigmask(&attributes, &blocked)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var list = unsafe arguments.map { unsafe strdup($0) } + [nil]
        defer { unsafe list.forEach { unsafe free($0) } }
        let code = unsafe posix_spawn(&pid, "/proc/self/exe", &actions, &attributes, &list, environ)
        guard code == 0 else { throw LoadTestError("no worker can be started: \(text(code)); is /proc mounted?") }
        return pid
    }

    /// Waits for the process's end, for so long, then kills it. Returns how it ended.
    @discardableResult
    func end(waitSeconds: Double) async -> String {
        let deadline = MonotonicTime.now() + .seconds(waitSeconds)
        while true {
            if let known = reap() { return known }
            if MonotonicTime.now() >= deadline { kill(pid, SIGKILL) }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }

    private func reap() -> String? {
        outcome.withLock { outcome in
            if let outcome { return outcome }
            var status: CInt = 0
            let result = unsafe waitpid(pid, &status, WNOHANG)
            guard result != 0 else { return nil }
            let signal = status & 0x7f
            let description =
                result < 0
                ? "it has ended"
                : signal == 0
                    ? "it ended with status \(status >> 8 & 0xff)"
                    : "it was ended by signal \(signal) (\(unsafe String(cString: strsignal(signal))))"
            outcome = description
            return description
        }
    }

    deinit {
        guard outcome.withLock({ $0 == nil }) else { return }
        kill(pid, SIGKILL)
        var status: CInt = 0
        unsafe _ = waitpid(pid, &status, 0)
    }

    private static func text(_ code: Int32) -> String { unsafe String(cString: strerror(code)) }
}
