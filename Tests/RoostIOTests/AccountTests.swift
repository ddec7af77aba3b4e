// SPDX-License-Identifier: Apache-2.0

import CRoost
import Glibc
import Testing

@testable import RoostIO
@testable import RoostRuntime

struct AccountTests {
    /// Bytes that the process that runs here is charged with.
    private static func charged() -> Int {
        let live = Int(roost_thread_current().pointee.live)
        guard let process = SchedulerRef.currentProcess else { return live }
        return live - Int(process.block.account.freed_by_others)
    }

    @Test(
        "What a session allocates is not booked on the process that uses it", .enabled(if: roost_malloc_is_accounted()),
        arguments: TLSVersion.allCases)
    func isNobodys(version: TLSVersion) async throws {
        // Made by a test's own thread, as a listener's are.
        let server = try TLSContext(.test)
        let client = try TLSClientContext(.test)
        // What Swift's runtime makes once per program is made before.
        #expect(Pair(server, client).handshake().isDone)
        let runtime = try Runtime(RuntimeConfiguration())
        let figures: [String: Int] = await withCheckedContinuation { continuation in
            _ = runtime.spawn { _ in
                var figures: [String: Int] = [:]
                figures.reserveCapacity(16)
                let sockets = SocketPair()
                var buffer = [UInt8](repeating: 0, count: 4096)
                func charge(_ name: String, _ body: () -> Void) {
                    let before = Self.charged()
                    body()
                    figures[name] = Self.charged() - before
                }
                var block: UnsafeMutableRawPointer?
                charge("malloc") { block = malloc(10_000) }
                free(block)
                var madeServer: TLSSession?
                var madeClient: TLSSession?
                charge("made") {
                    madeServer = TLSSession(server: server, descriptor: sockets.server)
                    madeClient = TLSSession(client: client, descriptor: sockets.client, serverName: "localhost")
                }
                let serverEnd = madeServer!
                let clientEnd = madeClient!
                charge("handshake") {
                    for _ in 0..<4 {
                        _ = clientEnd.handshake()
                        _ = serverEnd.handshake()
                    }
                }
                charge("established") { if serverEnd.handshake() != .done { fatalError("no handshake") } }
                charge("sent") { _ = buffer.withUnsafeBytes { serverEnd.send($0) } }
                charge("received") { _ = buffer.withUnsafeMutableBytes { clientEnd.receive(into: $0) } }
                charge("failed") {
                    let bytes = [UInt8](repeating: 1, count: 100)
                    _ = send(sockets.client, bytes, bytes.count, 0)
                    _ = buffer.withUnsafeMutableBytes { serverEnd.receive(into: $0) }
                }
                charge("freed") {
                    serverEnd.free()
                    clientEnd.free()
                }
                continuation.resume(returning: figures)
            }
        }
        runtime.stop()
        #expect(figures["malloc"] == 10_000)
        #expect(figures.filter { $0.key != "malloc" && $0.value != 0 } == [:])
        #expect(figures.count == 8)
    }
}
