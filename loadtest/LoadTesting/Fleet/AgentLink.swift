// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import Roost
internal import RoostIO
internal import RoostRuntime

/// The coordinator's way to an agent.
enum AgentLink {
    private static let timeoutSeconds = 15.0
    private static let clockSeconds = 1.0

    /// Where each of `--agents` is, in order.
    static func find(_ agents: [String]) throws(LoadTestError) -> [(text: String, address: SocketAddress)] {
        var found: [(text: String, address: SocketAddress)] = []
        for text in agents {
            let address = try lookUp(text)
            if let twin = found.first(where: { "\($0.address)" == "\(address)" }) {
                let names = twin.text == text ? "'\(text)' twice" : "'\(twin.text)' and '\(text)', which are one"
                throw LoadTestError("--agents has \(names); name each agent once")
            }
            found.append((text, address))
        }
        return found
    }

    /// Connects, checks that both have the same token and build, and compares the clocks.
    static func connect(
        _ text: String, _ address: SocketAddress, _ token: RunToken
    ) async throws(LoadTestError) -> Remote {
        let name = "agent \(text)"
        let descriptor = try await open(address, name)
        let channel = Channel(descriptor, byteCountMax: Channel.strangerByteCountMax)
        let result: Result<Remote, LoadTestError>
        do throws(WireError) {
            result = try await meet(channel, token, name)
        } catch .ended {
            throw LoadTestError("\(name): \(WireError.ended); is it a `loadtest agent`, and what does that say?")
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
        channel.watchNetwork(seconds: WorkerService.networkTimeoutSeconds)
        let offset = try await compareClocks(channel)
        return .success(Remote(name: name, channel: channel, workerCount: workerCount, offset: offset))
    }

    /// Many round trips, but not for long where each takes its time.
    static func compareClocks(_ channel: Channel) async throws(WireError) -> ClockOffset? {
        let end = MonotonicTime.now() + .seconds(clockSeconds)
        var samples: [ClockSample] = []
        while samples.count < ClockOffset.sampleCount,
            samples.count < ClockOffset.sampleCountMin || MonotonicTime.now() < end
        {
            samples.append(try await channel.clock(timeoutSeconds))
        }
        return ClockOffset(samples)
    }

    /// In the words of who may not be an agent of ours.
    private static func refusal(_ text: String, _ name: String) -> LoadTestError {
        LoadTestError("\(name): \(TerminalText.printable(text))")
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
            if Interrupt.isRequested { throw LoadTestError("\(name) was not reached yet: interrupted") }
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
        case .challenge(WorkerRequest.version, let nonce):
            guard RunToken.isNonce(nonce) else { throw .unreadable }
            theirs = nonce
        case .challenge(let version, _):
            return .failure(
                LoadTestError(
                    "\(name) speaks version \(version) of the load tester's protocol, and this program "
                        + "\(WorkerRequest.version); use the same build on both machines"))
        case .failed(let text): return .failure(refusal(text, name))
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
            channel.trust(token.seals(of: .coordinator, ours, theirs))
            return .success(workerCount)
        case .failed(let text): return .failure(refusal(text, name))
        case .challenge, .clock, .done, .status, .snapshot: throw .outOfTurn
        }
    }
}
