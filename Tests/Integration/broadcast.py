"""Rooms: what one client sends reaches all others in the same one."""

import random
import struct
import threading

import ledger
from harness import *


def members(daemon, room, count, **options):
    return [Client(daemon, f"/broadcast/{room}", **options) for _ in range(count)]


def rooms(daemon):
    """The figures of rooms, by the end of their names."""
    found = ledger.metrics(daemon.address)
    rooms = {name: value for (name, _), value in found.items() if name.startswith("roost_room")}
    return {name.removeprefix("roost_room"): value for name, value in rooms.items()}


def joined(daemon, count):
    """Waits until so many are in rooms: a client is answered before its handler has joined."""
    eventually(lambda: rooms(daemon)["_members"] == count, f"{count} members")


def message(number, size=100):
    return struct.pack(">I", number) * (size // 4)


def expect_all(client, numbers, size=100, window=None):
    for number in numbers:
        client.expect(BINARY, message(number, size))
        if window:
            window.read(client)


class Window:
    """Has a publisher wait for quick members, so that less waits for them than makes one slow: whatever becomes of the
    daemon's writes, it is the others that are."""

    def __init__(self, members, count):
        self.count, self.counts, self.moved = count, dict.fromkeys(members, 0), threading.Condition()

    def read(self, member):
        with self.moved:
            self.counts[member] += 1
            self.moved.notify()

    def wait(self, number):
        """Until message `number` may be sent."""
        with self.moved:
            assert self.moved.wait_for(
                lambda: number < min(self.counts.values()) + self.count, DEADLINE
            ), f"message {number} was not read by all quick members"


@case("all others in the room get each message once, in order; the sender and other rooms nothing")
def everyone():
    with Daemon() as daemon:
        inside = {room: members(daemon, room, 5) for room in ("a", "b", "a%2Fb", "%C3%A4")}
        joined(daemon, 20)
        for number in range(200):
            for clients in inside.values():
                clients[0].send_frame(BINARY, message(number))
        for clients in inside.values():
            for client in clients[1:]:
                expect_all(client, range(200))
            clients[1].send_frame(TEXT, "für alle".encode())
            clients[0].expect(TEXT, "für alle".encode())
            for client in clients[2:]:
                client.expect(TEXT, "für alle".encode())
        figures = rooms(daemon)
        equal((figures["s"], figures["_members"]), (4, 20))
        equal(figures["_messages_published_total"], 4 * 201)
        equal(figures["_messages_delivered_total"], 4 * 201 * 4)
        equal(figures["_messages_dropped_total"], 0)
        for clients in inside.values():
            for client in clients:
                client.close_properly()
        eventually(lambda: (rooms(daemon)["s"], rooms(daemon)["_members"]) == (0, 0), "rooms are gone")
        still_well(daemon)


@case("a room is one segment of 1 to 255 bytes: anything else is answered with 404")
def names():
    with Daemon() as daemon:
        for path in ("", "/", "//", "/a/", "/a/b", "//a", "/" + "x" * 256, "%2Fa", "/%2Fa/b"):
            with Socket(daemon) as client:
                client.send(request("/broadcast" + path))
                equal(client.answer()[0], 404, path)
        for path in ("/a", "/" + "x" * 255, "/%2F", "/a%2Fb", "/a%2fb%2f", "/.%20", "/a?b=/c"):
            with Client(daemon, "/broadcast" + path) as client:
                client.close_properly()
        still_well(daemon)


@case("a member that stops reading holds up nobody, and is closed with 1008 behind whole messages")
def slow_is_closed():
    with Daemon(ping_interval="0", max_outbound_bytes="256KiB", log_level="debug", close_timeout="10s") as daemon:
        slow = members(daemon, "room", 3, receive_buffer=4_096)
        quick = members(daemon, "room", 10)
        publisher = quick.pop()
        joined(daemon, 13)
        before = daemon.rss()
        count, size = 800, 16_384
        window = Window(quick, 8)

        def publish():
            for number in range(count):
                window.wait(number)
                publisher.send_frame(BINARY, message(number, size))

        def act(index):
            expect_all(quick[index], range(count), size, window) if index < len(quick) else publish()

        together(len(quick) + 1, act)
        assert daemon.rss() - before < 32 << 20, f"grew by {daemon.rss() - before}"
        eventually(lambda: rooms(daemon)["_messages_dropped_total"] >= 3, "messages were dropped")
        for client in slow:
            frames = []
            with contextlib.suppress(Ended, ConnectionResetError):
                while not frames or frames[-1][0] != CLOSE:
                    frames.append(client.receive())
            equal(frames[-1], (CLOSE, frames[-1][1]))
            equal(frames[-1][1][:2], struct.pack(">H", 1008))
            equal(frames[:-1], [(BINARY, message(number, size)) for number in range(len(frames) - 1)])
            assert len(frames) - 1 < count
            port = ledger.port_of(client)
            client.close()
            equal(ledger.cause_of(daemon, port), "slow_consumer")
        for client in quick + [publisher]:
            client.close_properly()
        still_well(daemon)


@case("policy drop-oldest: a slow member gets whole messages in order, the newest among them, and is counted")
def slow_is_dropped():
    with Daemon(slow_consumer="drop-oldest", max_outbound_bytes="128KiB", ping_interval="0") as daemon:
        slow = members(daemon, "room", 1, receive_buffer=4_096)[0]
        publisher, quick = members(daemon, "room", 2)
        joined(daemon, 3)
        count, size = 4_000, 4_096
        window = Window([quick], 16)

        def publish():
            for number in range(count):
                window.wait(number)
                publisher.send_frame(BINARY, message(number, size))

        together(2, lambda index: publish() if index else expect_all(quick, range(count), size, window))
        eventually(lambda: rooms(daemon)["_messages_published_total"] == count, "all is published")
        numbers = []
        while not numbers or numbers[-1] != count - 1:
            opcode, payload = slow.receive()
            number = struct.unpack(">I", payload[:4])[0]
            equal((opcode, payload), (BINARY, message(number, size)))
            numbers.append(number)
        equal(numbers, sorted(set(numbers)))
        dropped = rooms(daemon)["_messages_dropped_total"]
        equal(count - len(numbers), dropped, "what did not come was counted as dropped")
        assert dropped > 0
        publisher.send_frame(BINARY, message(count))
        slow.expect(BINARY, message(count))
        quick.expect(BINARY, message(count))
        for client in (slow, publisher, quick):
            client.close_properly()
        still_well(daemon)


@case("a publisher that is killed leaves the room, and what it sent before arrives")
def killed():
    with Daemon() as daemon:
        listener = members(daemon, "room", 1)[0]
        for number in range(20):
            publisher = members(daemon, "room", 1)[0]
            joined(daemon, 2)
            publisher.send_frame(BINARY, message(number))
            listener.expect(BINARY, message(number))
            publisher.reset()
            joined(daemon, 1)
        listener.close_properly()
        eventually(lambda: rooms(daemon)["s"] == 0, "the room is gone")
        still_well(daemon)


@case("a publisher that floods is slowed by its own socket: nothing is lost, memory is bounded")
def flood():
    config = """
routes:
  - {path: /broadcast, kind: broadcast, max-room-bytes: 16KiB, max-outbound-bytes: 64MiB}
  - {path: /echo, kind: echo}
  - {path: /metrics, kind: metrics}
"""
    with Daemon(config=config) as daemon:
        clients = members(daemon, "room", 100)
        joined(daemon, 100)
        before = daemon.rss()
        count = 5_000
        clients[0].send(b"".join(frame(BINARY, message(number)) for number in range(count)))

        def read(index):
            for client in clients[1 + index :: 4]:
                expect_all(client, range(count))

        together(4, read)
        figures = rooms(daemon)
        assert figures["_publishers_held_total"] > 0, "the publisher was never held up"
        equal(figures["_messages_delivered_total"], count * 99)
        assert daemon.rss() - before < 128 << 20, f"grew by {daemon.rss() - before}"
        clients[0].send_frame(PING, b"there?")
        clients[0].expect(PONG, b"there?")
        for client in clients:
            client.close_properly()
        still_well(daemon, growth=160 << 20)


@case("messages of every size, whole or in fragments, arrive whole beside others")
def sizes():
    with Daemon(max_message_bytes="4MiB", max_outbound_bytes="8MiB") as daemon:
        clients = members(daemon, "room", 6)
        joined(daemon, 6)
        sizes = [0, 1, 125, 126, 65_535, 65_536, 65_537, 1 << 20, 3 << 20]
        payloads = [random.Random(size).randbytes(size) for size in sizes]

        def publish():
            for payload in payloads:
                middle = len(payload) // 2
                clients[0].send_frame(BINARY, payload[:middle], fin=False)
                clients[0].send_frame(PING, b"between")
                clients[0].send_frame(CONTINUATION, payload[middle:])
                # Before the next: of several that wait the last alone is answered (RFC 6455 §5.5.3).
                clients[0].expect(PONG, b"between")

        def read(client):
            for payload in payloads:
                client.expect(BINARY, payload)

        together(6, lambda index: publish() if index == 0 else read(clients[index]))
        for client in clients:
            client.close_properly()
        still_well(daemon)


@case("members that come and go while messages are on their way change nothing for those that stay")
def churn():
    seed = random.randrange(1 << 32)
    print(f"    seed {seed}")
    numbers = random.Random(seed)
    with Daemon(log_level="debug") as daemon:
        staying = members(daemon, "room", 30)
        joined(daemon, 30)
        passing = []
        count = 400
        for number in range(count):
            staying[0].send_frame(BINARY, message(number))
            for _ in range(numbers.randrange(3)):
                passing.append(members(daemon, "room", 1)[0])
            while len(passing) > 10:
                client = passing.pop(numbers.randrange(len(passing)))
                numbers.choice([client.close, client.reset])()
        for client in staying[1:]:
            expect_all(client, range(count))
        for client in passing + staying:
            client.close()
        eventually(lambda: rooms(daemon)["_members"] == 0, "all have left")
        daemon.ports[0] = 0
        still_well(daemon)
