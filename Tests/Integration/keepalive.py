"""Pings, silence and idleness."""

from harness import *


@case("pings are answered with their payload, in order")
def pings():
    with Daemon() as daemon, Client(daemon) as client:
        client.send(b"".join(frame(PING, bytes([number])) for number in range(100)))
        for number in range(100):
            client.expect(PONG, bytes([number]))


@case("a silent client is pinged, and kept while it answers")
def server_pings():
    with Daemon(ping_interval="100ms", pong_timeout="10s") as daemon, Client(daemon) as client:
        for _ in range(5):
            client.expect(PING, b"")
            client.send_frame(PONG)
        client.echo()


@case("a client that misses its pong gets 1001, not 1000")
def missed_pong():
    with Daemon(ping_interval="100ms", pong_timeout="100ms") as daemon, Client(daemon) as client:
        client.expect(PING, b"")
        client.closes_with(1001)
        still_well(daemon)


@case("a client that misses its pong and never answers is cut off")
def dead_client():
    with Daemon(ping_interval="100ms", pong_timeout="100ms", close_timeout="100ms") as daemon:
        before = daemon.descriptors()
        clients = [Client(daemon) for _ in range(50)]
        eventually(lambda: daemon.descriptors() <= before, "dead clients are given up")
        for client in clients:
            client.close()


@case("an idle client gets 1001, although it answers pings")
def idle():
    with Daemon(ping_interval="100ms", pong_timeout="10s", idle_timeout="500ms") as daemon, Client(daemon) as client:
        while True:
            opcode, payload = client.receive()
            if opcode == CLOSE:
                break
            client.send_frame(PONG, payload)
        equal(payload[:2], (1001).to_bytes(2, "big"))


@case("a client that takes what it is sent, however slowly, is not taken for dead")
def slow_but_alive():
    with Daemon(ping_interval="200ms", pong_timeout="200ms", max_outbound_bytes="64MiB") as daemon:
        client = Client(daemon, receive_buffer=16_384)
        sender = threading.Thread(
            target=lambda: [client.send_frame(BINARY, bytes(1 << 20)) for _ in range(10)], daemon=True
        )
        sender.start()
        sender.join(DEADLINE)
        start, got = time.monotonic(), 0
        while time.monotonic() - start < 2:  # ten times what a dead client has
            got += len(client.socket.recv(65_536))
            time.sleep(0.02)  # a slow reader: the waiting is the test
        while got < 10 * (1 << 20):
            data = client.socket.recv(1 << 20)
            assert data, "the connection was ended"
            got += len(data)
        client.close()
