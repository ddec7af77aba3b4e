// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Roost
internal import RoostIO
internal import RoostRuntime

/// The coordinator's way to an agent.
enum AgentLink {
    private static let timeoutSeconds = 15.0

    /// Connects, checks that both have the same token and build, and compares the clocks.
    static func connect(_ text: String, _ token: RunToken) async throws(LoadTestError) -> Remote {
        let name = "agent \(text)"
        let address = try lookUp(text)
        let descriptor = try await open(address, name)
        let channel = Channel(descriptor, byteCountMax: Channel.strangerByteCountMax)
        let result: Result<Remote, LoadTestError>
        do throws(WireError) {
            result = try await meet(channel, token, name)
        } catch {
            throw LoadTestError("\(name): \(error)")
        }
        return try result.get()
    }

    private static func meet(
        _ channel: Channel, _ token: RunToken, _ name: String
    ) async throws(WireError) -> Result<Remote, LoadTestError> {
        let workerCount: Int
        switch try await greet(channel, token, name) {
        case .success(let count): workerCount = count
        case .failure(let refusal): return .failure(refusal)
        }
        channel.trust()
        var samples: [ClockSample] = []
        for _ in 0..<ClockOffset.sampleCount { samples.append(try await channel.clock(timeoutSeconds)) }
        return .success(
            Remote(name: name, channel: channel, workerCount: workerCount, offset: ClockOffset(samples)))
    }

    private static func lookUp(_ text: String) throws(LoadTestError) -> SocketAddress {
        do throws(ClientError) {
            // An agent's address is written as in a URL.
            let url = try WebSocketURL("ws://\(text)")
            guard text.last != "]", text.contains(":"), !text.contains("/") else {
                throw .invalidURL(text, "a port is missing")
            }
            return try NameLookup.resolve(url.host)
        } catch {
            throw LoadTestError("--agents has '\(text)'; write each agent as HOST:PORT or [IPV6]:PORT (\(error))")
        }
    }

    private static func open(_ address: SocketAddress, _ name: String) async throws(LoadTestError) -> OwnedDescriptor {
        func failed(_ code: Int32) -> LoadTestError {
            let remedy =
                code == ECONNREFUSED ? "start it with `loadtest agent --listen …`" : "check address and firewalls"
            return LoadTestError("\(name) cannot be reached: \(unsafe String(cString: strerror(code))); \(remedy)")
        }
        let descriptor: OwnedDescriptor
        do throws(RuntimeError) {
            descriptor = try SystemCalls.connect(to: address)
        } catch {
            guard case .systemCall(_, let code) = error else { throw LoadTestError("\(name): \(error)") }
            throw failed(code)
        }
        let deadline = MonotonicTime.now() + .seconds(timeoutSeconds)
        while true {
            var entry = pollfd(fd: descriptor.number, events: Int16(POLLOUT), revents: 0)
            // Safe: one entry, lent for the call, which does not wait.
            if unsafe poll(&entry, 1, 0) > 0 { break }
            guard MonotonicTime.now() < deadline else { throw failed(ETIMEDOUT) }
            try? await Task.sleep(for: .milliseconds(1))
        }
        let code = SystemCalls.connectError(descriptor.number)
        guard code == 0 else { throw failed(code) }
        return descriptor
    }

    /// Each side proves that it has the token. Returns how many workers the agent has.
    private static func greet(
        _ channel: Channel, _ token: RunToken, _ name: String
    ) async throws(WireError) -> Result<Int, LoadTestError> {
        let ours = RunToken.nonce()
        let hello = WorkerRequest.hello(version: WorkerRequest.version, nonce: ours)
        let theirs: String
        switch try await channel.exchange(hello, timeoutSeconds: timeoutSeconds) {
        case .challenge(WorkerRequest.version, let nonce): theirs = nonce
        case .challenge(let version, _):
            return .failure(
                LoadTestError(
                    "\(name) speaks version \(version) of the load tester's protocol, and this program "
                        + "\(WorkerRequest.version); use the same build on both machines"))
        case .failed(let text): return .failure(LoadTestError("\(name): \(text)"))
        case .welcome, .clock, .done, .status, .snapshot: throw .outOfTurn
        }
        let proof = WorkerRequest.proof(token.proof(of: .coordinator, ours, theirs))
        switch try await channel.exchange(proof, timeoutSeconds: timeoutSeconds) {
        case .welcome(let proof, let workerCount):
            guard token.accepts(proof, of: .agent, ours, theirs),
                (1...FleetOptions.workerCountMax).contains(workerCount)
            else {
                return .failure(
                    LoadTestError("\(name) does not have the token: it is not the agent that it should be"))
            }
            return .success(workerCount)
        case .failed(let text): return .failure(LoadTestError("\(name): \(text)"))
        case .challenge, .clock, .done, .status, .snapshot: throw .outOfTurn
        }
    }
}
