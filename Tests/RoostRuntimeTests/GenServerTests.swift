// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import RoostRuntime

// The examples of `GenServer`'s documentation.

struct Adder: GenServer {
    private var count = 0

    struct Increment: ServerRequest {
        var by = 1
        func handle(_ counter: inout Adder, _ process: borrowing Adder.Context) -> Int {
            counter.count += by
            return counter.count
        }
    }
}

struct Cache: GenServer {
    enum Message: Sendable { case store(String, Int) }
    private var values: [String: Int] = [:]
    private var waiting: [String: [PromisedReply<Int>]] = [:]

    /// The value of a key, as soon as there is one.
    struct Value: DeferredRequest {
        let key: String
        func handle(_ cache: inout Cache, _ reply: PromisedReply<Int>, _ process: borrowing Cache.Context) {
            if let value = cache.values[key] {
                reply.send(value)
            } else {
                cache.waiting[key, default: []].append(reply)
            }
        }
    }

    mutating func handle(_ message: Message, _ process: borrowing Context) {
        switch message {
        case .store(let key, let value):
            values[key] = value
            waiting.removeValue(forKey: key)?.forEach { $0.send(value) }
        }
        process.timeOut(after: .seconds(600))
    }

    mutating func handleTimeout(_ process: borrowing Context) { process.stop() }
}

extension RuntimeTests {
    @Suite("Servers", .timeLimit(.minutes(1)))
    struct GenServerTests {
        @Test("Requests are answered with values of their own type, in order; a cast is not answered")
        func answers() async throws {
            try await withRuntime { runtime in
                let counts: [Int] = try await runtime.value { process in
                    let counter = try Adder.startLink(from: process) { _ in Adder() }
                    let first = try process.call(counter, Adder.Increment())
                    counter.cast(Adder.Increment(by: 10))
                    return [first, try process.call(counter, Adder.Increment(by: 2))]
                }
                #expect(counts == [1, 13])
            }
        }
    }
}
