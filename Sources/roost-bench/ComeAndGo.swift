// SPDX-License-Identifier: Apache-2.0

internal import ArgumentParser
internal import RoostRuntime

/// What stays of the memory of many processes after all have ended.
struct ComeAndGo: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "come-and-go", abstract: "Start many processes, end them, and look at the memory that stays.")

    @Option(help: "How many processes.") var processes = 1_000_000
    @Option(help: "How long after the end of the last one memory may take to go back, in milliseconds.")
    var settle = 2_000

    func run() throws {
        let (count, settle) = (max(processes, 1), settle)
        try onOneScheduler(receiving: Bool.self) { owner in
            // What is paid once is paid now.
            try Self.comeAndGo(1_000, owner)
            let start = residentByteCount()
            let peak = try Self.comeAndGo(count, owner)
            try owner.sleep(.milliseconds(settle))
            let end = residentByteCount()
            print(
                "{\"runtime\":\"roost\",\"kind\":\"come_and_go\",\"count\":\(count),\"start_bytes\":\(start),"
                    + "\"peak_bytes\":\(peak),\"end_bytes\":\(end)}")
        }
    }

    /// Returns the memory while all of them waited.
    @discardableResult
    private static func comeAndGo(_ count: Int, _ owner: borrowing ProcessContext<Bool>) throws -> Int {
        let back = owner.address
        let addresses = (0..<count).map { _ in
            owner.spawn(receiving: Bool.self) { process in back.send(try process.receive()) }
        }
        try owner.yield()
        let peak = residentByteCount()
        for address in addresses { address.send(true) }
        for _ in 0..<count { _ = try owner.receive() }
        return peak
    }
}
