import NIOCore
import NIOWebSocket

/// Sends each message back as it came, answers pings, and completes the closing handshake.
///
/// Writes are flushed once per read, so pipelined messages share one system call.
final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = WebSocketFrame
    typealias OutboundOut = WebSocketFrame

    /// A close frame was sent; nothing may follow it.
    private var isClosing = false

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        let frame = unwrapInboundIn(data)
        switch frame.opcode {
        case .text, .binary:
            let echo = WebSocketFrame(fin: true, opcode: frame.opcode, data: frame.unmaskedData)
            context.write(wrapOutboundOut(echo), promise: nil)
        case .ping:
            let pong = WebSocketFrame(fin: true, opcode: .pong, data: frame.unmaskedData)
            context.write(wrapOutboundOut(pong), promise: nil)
        case .connectionClose:
            close(context: context, payload: frame.unmaskedData)
        default:
            break  // A pong needs no answer; continuations were joined by the aggregator.
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        context.flush()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    /// Answers the peer's close frame with its own status code, then closes the socket.
    private func close(context: ChannelHandlerContext, payload: ByteBuffer) {
        isClosing = true
        var payload = payload
        let code = payload.readSlice(length: min(2, payload.readableBytes)) ?? ByteBuffer()
        let reply = WebSocketFrame(fin: true, opcode: .connectionClose, data: code)
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(reply)).whenComplete { _ in channel.close(promise: nil) }
    }
}
