// SPDX-License-Identifier: Apache-2.0

import Logging
import Roost
import RoostAdmin
import ServiceLifecycle
import Testing

@testable import RoostDaemon

/// The server as a service of swift-service-lifecycle.
@Suite struct RoostServiceTests {
    static let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    static func service() async throws -> (server: RoostServer, service: RoostService) {
        var configuration = DaemonConfiguration()
        configuration.listeners = [
            ListenerEntry(address: "127.0.0.1:0", settings: ListenerSettings(), routes: configuration.routes)
        ]
        configuration.schedulerCount = 1
        let pages = DaemonPages(configuration)
        let server = try await RoostServer.start(configuration.server(pages), logger: logger)
        return (server, RoostService(server, pages, logger: logger))
    }

    static func group(_ service: RoostService) -> ServiceGroup {
        ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [.init(service: service, successTerminationBehavior: .gracefullyShutdownGroup)],
                logger: logger))
    }

    @Test("a graceful shutdown of its group drains it") func drainsWithItsGroup() async throws {
        let (_, service) = try await Self.service()
        let group = Self.group(service)
        let probe = StartProbe()
        await group.addServiceUnlessShutdown(probe)
        async let run: Void = group.run()
        await probe.started()  // a group that has not begun to run cannot be shut down gracefully
        #expect(service.drainCause == nil)
        await group.triggerGracefulShutdown()
        try await run
        #expect(service.drainCause == .shutdown)
    }

    @Test("the health page says so while it drains") func tellsItsHealth() async throws {
        var configuration = DaemonConfiguration()
        configuration.schedulerCount = 1
        configuration.listeners = [ListenerEntry(address: "127.0.0.1:0", settings: ListenerSettings(), routes: [])]
        let pages = DaemonPages(configuration)
        let server = try await RoostServer.start(configuration.server(pages), logger: Self.logger)
        let service = RoostService(server, pages, logger: Self.logger)
        #expect(pages.health.status == .ok)
        service.shutDown()
        #expect(pages.health.status == .ok)
        try await Self.group(service).run()
        #expect(pages.health.status == .serviceUnavailable)
    }

    @Test("what the runtime asks for ends the group, and is told apart") func drainsForTheRuntime() async throws {
        let (server, service) = try await Self.service()
        server.requestDrain()
        try await Self.group(service).run()
        #expect(service.drainCause == .runtime)
    }

    @Test("a shutdown before it runs is not forgotten") func remembersAShutdown() async throws {
        let (_, service) = try await Self.service()
        service.shutDown()
        try await Self.group(service).run()
        #expect(service.drainCause == .shutdown)
    }

    @Test("a cancelled task drains") func drainsWhenCancelled() async throws {
        let (_, service) = try await Self.service()
        let task = Task { try await service.run() }
        task.cancel()
        try await task.value
        #expect(service.drainCause == .shutdown)
    }
}

/// Runs until its group shuts down, and tells when it has begun.
private final class StartProbe: Service {
    private let stream = AsyncStream.makeStream(of: Void.self)

    func run() async throws {
        stream.continuation.yield()
        try await gracefulShutdown()
    }

    func started() async { for await _ in stream.stream { return } }
}
