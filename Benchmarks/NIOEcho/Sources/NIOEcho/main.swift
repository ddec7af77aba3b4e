// NIOEcho PORT [THREADS]: a WebSocket echo server on SwiftNIO, the peer that Roost's figures are ratios to.
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOWebSocket

/// The largest message echoed, in bytes: as large as the conformance cases need.
let messageByteCountMax = 16 * 1024 * 1024 + 64

let arguments = CommandLine.arguments
guard arguments.count >= 2, let port = Int(arguments[1]), let threadCount = Int(arguments.dropFirst(2).first ?? "1")
else { fatalError("usage: NIOEcho PORT [THREADS]") }

let group = MultiThreadedEventLoopGroup(numberOfThreads: threadCount)
let server = try ServerBootstrap(group: group)
    .serverChannelOption(.backlog, value: 4096)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    .childChannelOption(.maxMessagesPerRead, value: 16)
    .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
            let upgrader = NIOWebSocketServerUpgrader(
                maxFrameSize: messageByteCountMax,
                shouldUpgrade: { channel, _ in channel.eventLoop.makeSucceededFuture(HTTPHeaders()) },
                upgradePipelineHandler: { channel, _ in
                    channel.eventLoop.makeCompletedFuture {
                        let aggregator = NIOWebSocketFrameAggregator(
                            minNonFinalFragmentSize: 0,
                            maxAccumulatedFrameCount: 65_536,
                            maxAccumulatedFrameSize: messageByteCountMax
                        )
                        try channel.pipeline.syncOperations.addHandlers([aggregator, EchoHandler()])
                    }
                }
            )
            try channel.pipeline.syncOperations.configureHTTPServerPipeline(
                withPipeliningAssistance: false,
                withServerUpgrade: (upgraders: [upgrader], completionHandler: { _ in }),
                withErrorHandling: false
            )
        }
    }
    .bind(host: "127.0.0.1", port: port)
    .wait()

print("listening on", server.localAddress?.description ?? "?")
try server.closeFuture.wait()
