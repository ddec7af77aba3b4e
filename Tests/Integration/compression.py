"""permessage-deflate (RFC 7692) as clients meet it: what is agreed on, what it saves, what it costs."""

import asyncio
import random
import subprocess
import zlib

import aiohttp
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

import ledger
from harness import *
from hostile_compressed import COMPRESSED, deflated, zeros
from hostile_frames import under_attack
from secured import SecureClient, tls

# Text of words: compressible some, and by what came before more.
WORDS = [f"word{number * 7919 % 1000:03d}" for number in range(300)]


def text(seed, count=400):
    chosen = random.Random(seed)
    return " ".join(chosen.choice(WORDS) for _ in range(count)).encode()


class Deflating(Client):
    """A client with a compressor of its own, with contexts as they were agreed on."""

    def __init__(self, daemon, offer="permessage-deflate; client_max_window_bits", is_wanted=True, **options):
        self.headers = [("Sec-WebSocket-Extensions", offer)] if offer else []
        super().__init__(daemon, headers=self.headers, **options)
        self.agree(is_wanted)

    def agree(self, is_wanted=True):
        self.agreed = self.fields.get("sec-websocket-extensions")
        assert (self.agreed is not None) == is_wanted, f"agreed on {self.agreed!r}"
        parts = [part.strip().partition("=") for part in (self.agreed or "").split(";")]
        self.parameters = {name: value for name, _, value in parts}
        self.server_bits = int(self.parameters.get("server_max_window_bits") or 15)
        self.client_bits = int(self.parameters.get("client_max_window_bits") or 15)
        self.begin_inflating()
        self.begin_deflating()
        self.sizes = []  # of the payloads received, as they came

    def begin_inflating(self):
        self.inflater = zlib.decompressobj(-self.server_bits)

    def begin_deflating(self):
        # zlib makes no window of 256 bytes; what it makes of 512 reaches 250 bytes back at the most.
        self.deflater = zlib.compressobj(9, zlib.DEFLATED, -max(self.client_bits, 9))

    def deflate(self, payload):
        if "client_no_context_takeover" in self.parameters:
            self.begin_deflating()
        return (self.deflater.compress(payload) + self.deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]

    def send_message(self, payload, opcode=TEXT):
        self.send_frame(opcode, self.deflate(payload), rsv=COMPRESSED)

    def receive_frame(self):
        first, second = self.take(2)
        assert first & 0x80 and not first & 0x30 and not second & 0x80, f"header {first:#x} {second:#x}"
        size = second & 0x7F
        if size >= 126:
            size = int.from_bytes(self.take(2 if size == 126 else 8), "big")
        return first & 0xF, bool(first & 0x40), self.take(size)

    def receive_message(self, wants_compressed=None):
        opcode, is_compressed, payload = self.receive_frame()
        if wants_compressed is not None:
            equal(is_compressed, wants_compressed, f"compressed: a frame of {len(payload)}")
        self.sizes.append(len(payload))
        if is_compressed:
            if "server_no_context_takeover" in self.parameters:
                self.begin_inflating()
            payload = self.inflater.decompress(payload + b"\x00\x00\xff\xff")
            equal(self.inflater.unconsumed_tail, b"")
        return opcode, payload

    def round(self, payload, opcode=TEXT, wants_compressed=None):
        """There and back; bytes of what came back."""
        self.send_message(payload, opcode)
        equal(self.receive_message(wants_compressed), (opcode, payload))
        return self.sizes[-1]


# --- What is agreed on ------------------------------------------------------------------------------------------------


@case("compression: websockets and aiohttp, in every mode, get back what they send")
def clients():
    payloads = ["", "short", text(1).decode(), "é" * 40_000, bytes(1 << 20), os.urandom(50_000)]

    async def with_websockets(daemon, **options):
        factory = ClientPerMessageDeflateFactory(**options)
        async with websockets.connect(
            daemon.url + "/echo", max_size=None, compression=None, extensions=[factory], proxy=None
        ) as client:
            found = [extension.name for extension in client.protocol.extensions]
            for payload in payloads * 2:
                await client.send(payload)
                equal(await client.recv(), payload)
            await client.send(["in ", "three ", "fragments" * 50])
            equal(await client.recv(), "in three " + "fragments" * 50)
            return found

    async def with_aiohttp(daemon, bits):
        async with aiohttp.ClientSession() as session, session.ws_connect(
            f"http://{daemon.address}/echo", max_msg_size=0, compress=bits
        ) as client:
            for payload in payloads * 2:
                await (client.send_str(payload) if isinstance(payload, str) else client.send_bytes(payload))
                equal((await client.receive()).data, payload)
            return client.compress

    async def all_of(mode, daemon):
        async with asyncio.timeout(4 * DEADLINE):
            for options in [
                {},
                {"server_no_context_takeover": True, "client_no_context_takeover": True},
                {"server_max_window_bits": 9, "client_max_window_bits": 9},
                {"server_max_window_bits": 15, "client_max_window_bits": True},
            ]:
                found = await with_websockets(daemon, **options)
                equal(found, [] if mode == "off" else ["permessage-deflate"], options)
            for bits in (9, 12, 15):
                equal(bool(await with_aiohttp(daemon, bits)), mode != "off", bits)

    def check(index):
        mode = ["off", "no-takeover", "takeover"][index]
        with Daemon(compression_mode=mode) as daemon:
            asyncio.run(all_of(mode, daemon))

    together(3, check)


OFFERS = {
    # Offer: what is answered in the mode no-takeover, and in takeover.
    "permessage-deflate": ("server_no_context_takeover; client_no_context_takeover", ""),
    "permessage-deflate; server_no_context_takeover": (
        "server_no_context_takeover; client_no_context_takeover",
        "server_no_context_takeover",
    ),
    "permessage-deflate; client_no_context_takeover": (
        "server_no_context_takeover; client_no_context_takeover",
        "client_no_context_takeover",
    ),
    "x-webkit-deflate-frame, permessage-deflate": ("server_no_context_takeover; client_no_context_takeover", ""),
    "permessage-deflate; unknown, permessage-deflate; server_max_window_bits=10": (
        "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10",
        "server_max_window_bits=10",
    ),
    'permessage-deflate; server_max_window_bits="12"': (
        "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
        "server_max_window_bits=12",
    ),
    "permessage-bzip2": None,
    "permessage-deflate; server_max_window_bits=7": None,
    "permessage-deflate; server_no_context_takeover=1": None,
    "": None,
}


@case("compression: what is answered to each offer, in every mode")
def offers():
    def check(index):
        mode = ["off", "no-takeover", "takeover"][index]
        with Daemon(compression_mode=mode) as daemon:
            for offer, answers in OFFERS.items():
                with Client(daemon, headers=[("Sec-WebSocket-Extensions", offer)] if offer else []) as client:
                    found = client.fields.get("sec-websocket-extensions")
                    expected = None
                    if index and answers is not None:
                        expected = "; ".join(filter(None, ["permessage-deflate", answers[index - 1]]))
                    equal(found, expected, f"{mode}: {offer}")
                    client.send_frame(TEXT, b"plain goes always")
                    client.expect(TEXT, b"plain goes always")

    together(3, check)


@case("compression: windows of 8 to 15 bits, on either side: nothing refers back further than was agreed")
def windows():
    # Repeats at distances around every window: what refers back too far cannot be inflated with the smaller one.
    block = os.urandom(64)
    payload = b"".join(block + os.urandom((1 << bits) - 64 + extra) for bits in range(8, 16) for extra in (-70, 0, 70))

    def check(index):
        mode = ["no-takeover", "takeover"][index]
        with Daemon(compression_mode=mode, ping_interval="0") as daemon:
            for bits in range(8, 16):
                offer = f"permessage-deflate; server_max_window_bits={bits}; client_max_window_bits={bits}"
                with Deflating(daemon, offer) as client:
                    equal((client.server_bits, client.client_bits), (bits, bits))
                    client.round(payload, BINARY)
                    for size in range(200, 1_400, 37):
                        client.round(block * (size // 64) + os.urandom(size), BINARY)
                        client.round(text(size))
        with Daemon(compression_mode=mode, compression_window_bits=10) as daemon:
            for offer, bits in [
                # Without takeover the client's window costs nothing: it is let have it.
                ("permessage-deflate; server_max_window_bits=12; client_max_window_bits", (10, [15, 10][index])),
                ("permessage-deflate; server_max_window_bits=9; client_max_window_bits=9", (9, 9)),
            ]:
                with Deflating(daemon, offer) as client:
                    equal((client.server_bits, client.client_bits), bits, offer)
                    client.round(payload, BINARY)

    together(2, check)


@case("compression: messages below the threshold go as they are, and so does what gets no smaller")
def threshold():
    with Daemon(compression_mode="no-takeover", compression_threshold=300) as daemon, Deflating(daemon) as client:
        for size in (0, 1, 299):
            client.round(b"a" * size, wants_compressed=False)
        for size in (300, 301, 5_000, 100_000):
            assert client.round(b"a" * size, wants_compressed=True) < size // 4
        for size in (300, 5_000, 100_000):
            equal(client.round(os.urandom(size), BINARY, wants_compressed=False), size)
    with Daemon(compression_mode="takeover", compression_threshold=0) as daemon, Deflating(daemon) as client:
        for size in (0, 1, 299):
            client.round(b"a" * size, wants_compressed=True)


@case("compression: takeover keeps the context, of both sides; no-takeover keeps none")
def takeover():
    first = text(2)
    with Daemon(compression_mode="takeover") as daemon:
        with Deflating(daemon) as client:
            once = client.round(first, wants_compressed=True)
            for _ in range(5):
                again = client.round(first, wants_compressed=True)
                assert again < once // 8, f"{once}, then {again}"
        with Deflating(daemon, "permessage-deflate; server_no_context_takeover") as client:
            sizes = {client.round(first, wants_compressed=True) for _ in range(5)}
            equal(len(sizes), 1, sizes)
    with Daemon(compression_mode="no-takeover") as daemon, Deflating(daemon) as client:
        sizes = {client.round(first, wants_compressed=True) for _ in range(5)}
        assert len(sizes) == 1 and sizes.pop() < len(first) // 2, sizes


@case("compression: over TLS as without")
def secure():
    class Both(SecureClient, Deflating):
        def __init__(self, daemon):
            SecureClient.__init__(self, daemon, headers=[("Sec-WebSocket-Extensions", "permessage-deflate")])
            self.agree()

    with tls(compression_mode="takeover") as daemon, Both(daemon) as client:
        for number in range(20):
            client.round(text(number), wants_compressed=True)
        client.round(bytes(1 << 20), BINARY, wants_compressed=True)


# --- Messages in pieces -----------------------------------------------------------------------------------------------


@case("compression: a message split at every byte, by packets and by fragments, with pings between")
def split():
    payload = text(3, 60)
    with Daemon(compression_mode="takeover") as daemon, Deflating(daemon) as client:
        sent = frame(TEXT, client.deflate(payload), rsv=COMPRESSED)
        for byte in sent:
            client.send(bytes([byte]))
        equal(client.receive_message(), (TEXT, payload))
        size = len(client.deflate(payload))
        client.send_frame(TEXT, b"plain between")  # what was deflated and not sent is not the server's
        equal(client.receive_message(), (TEXT, b"plain between"))
    offer = "permessage-deflate; client_no_context_takeover"
    with Daemon(compression_mode="takeover") as daemon, Deflating(daemon, offer) as client:
        data = client.deflate(payload)
        sent = frame(TEXT, data, rsv=COMPRESSED)
        for at in range(1, len(sent)):
            client.send(sent[:at])
            client.send(sent[at:])
            equal(client.receive_message(), (TEXT, payload), at)
        for at in range(len(data) + 1):
            begun = frame(TEXT, data[:at], fin=False, rsv=COMPRESSED)
            client.send(begun + frame(PING, b"?") + frame(CONTINUATION, data[at:]))
            equal(client.receive_frame(), (PONG, False, b"?"))
            equal(client.receive_message(), (TEXT, payload), at)
        pieces = [frame(CONTINUATION, data[at : at + 1], fin=at == len(data) - 1) for at in range(1, len(data))]
        client.send(frame(TEXT, data[:1], fin=False, rsv=COMPRESSED) + frame(PONG).join([b"", *pieces]))
        equal(client.receive_message(), (TEXT, payload))
        client.close_properly()
    assert size > 0


@case("compression: handlers that crash between compressed messages: the contexts go on as they were")
def crashes():
    paths = ["/demo/throw", "/demo/trap/index", "/demo/deep", "/demo/hog"]

    def check(index):
        mode, path = ["takeover", "no-takeover"][index % 2], paths[index // 2]
        options = {"restart_intensity": 1_000, "compression_threshold": 0, "max_leaked_bytes": "64GiB"}
        with Daemon(compression_mode=mode, max_handler_bytes="1MiB", **options) as daemon:
            with Deflating(daemon, path=path) as client:
                sizes = []
                for number in range(5):
                    sizes.append(client.round(text(5), wants_compressed=True))
                    client.round(text(number), wants_compressed=True)
                    client.send_message(b"go")
                    client.send_message(b"behind it %d" % number)
                    equal(client.receive_message(), (TEXT, b"behind it %d" % number))
                if mode == "takeover":
                    assert max(sizes[1:]) < sizes[0] // 2, sizes
                client.close_properly()

    together(2 * len(paths), check)


# --- What it costs ----------------------------------------------------------------------------------------------------


@case("compression: bombs end with 1009, in every mode, and the memory comes back")
def bombs():
    bomb = frame(BINARY, zeros(64 << 20), rsv=COMPRESSED)
    for mode in ("no-takeover", "takeover"):
        with under_attack(compression_mode=mode) as daemon:
            with Deflating(daemon) as client:
                client.round(bytes(1 << 20), BINARY)
            before = daemon.rss()

            explode_all(daemon, bomb)
            eventually(lambda: daemon.rss() - before < 16 << 20, f"memory came back: {before} -> {daemon.rss()}")


def explode_all(daemon, bomb):
    def explode(_):
        for _ in range(5):
            with Deflating(daemon) as client:
                client.round(b"before" * 100)
                with contextlib.suppress(OSError):
                    client.send(bomb)
                opcode, _, payload = client.receive_frame()
                equal((opcode, payload[:2]), (CLOSE, close_payload(1009)))
                port = ledger.port_of(client)
            equal(ledger.cause_of(daemon, port), "message_too_big")

    together(8, explode)


@case("compression: a slow consumer: whole messages, those dropped leave the context right, memory bounded")
def slow():
    noise = [random.Random(number).randbytes(4_096).hex().encode() for number in range(16)]

    def check(index):
        mode, policy = [("no-takeover", "close"), ("takeover", "close"), ("no-takeover", "drop-oldest")][index]
        options = {"slow_consumer": policy, "max_outbound_bytes": "256KiB", "close_timeout": "10s"}
        with Daemon(compression_mode=mode, **options) as daemon:
            with Deflating(daemon, receive_buffer=4_096) as client:
                before = daemon.rss()
                with contextlib.suppress(OSError):
                    for number in range(3_000):
                        client.send_message(b"%06d " % number + noise[number % 16])
                    client.send_message(b"999999 last")
                    client.send_message(b"999999 last")
                assert daemon.rss() - before < 24 << 20, f"grew by {daemon.rss() - before}"
                numbers, end = [], None
                while end is None:
                    opcode, is_compressed, payload = client.receive_frame()
                    if opcode == CLOSE:
                        end = payload[:2]
                        break
                    if is_compressed:
                        if mode == "no-takeover":
                            client.begin_inflating()
                        payload = client.inflater.decompress(payload + b"\x00\x00\xff\xff")
                    number = int(payload[:6])
                    if number == 999_999:
                        end = b""
                        break
                    equal(payload, b"%06d " % number + noise[number % 16])
                    numbers.append(number)
                equal(numbers, sorted(set(numbers)))
                equal(end, close_payload(1008) if policy == "close" else b"", (mode, policy))
                assert 0 < len(numbers) < 3_000, len(numbers)

    together(3, check)
    # With a context that is kept no message may be left out.
    environment = os.environ | {"ROOST_COMPRESSION_MODE": "takeover", "ROOST_SLOW_CONSUMER": "drop-oldest"}
    done = subprocess.run([binary(), "check"], env=environment, capture_output=True, text=True)
    assert done.returncode != 0 and "for which no message may be left out" in done.stderr, done


@case("compression: 200 MB of it leave the memory as it was")
def much():
    message = b"".join(text(number) for number in range(80))  # some 250 KB
    rounds = 200_000_000 // len(message) // 8
    with Daemon(compression_mode="takeover", long_schedule="10s") as daemon:  # no symbols are read for a log line
        frames = deflated(message)

        def pump(part):
            mode = "permessage-deflate; client_no_context_takeover"
            with Deflating(daemon, mode + ("; server_no_context_takeover" if part % 2 else "")) as client:
                sent = frame(TEXT, frames, rsv=COMPRESSED)
                for number in range(rounds):
                    client.send(sent)
                    opcode, is_compressed, payload = client.receive_frame()
                    equal((opcode, is_compressed), (TEXT, True))
                    if part % 2 == 0 or number == 0:
                        found = client.inflater.decompress(payload + b"\x00\x00\xff\xff")
                        assert found == message, f"message {number} is another"
                client.close_properly()

        together(2, pump)  # warm
        before = daemon.rss()
        together(8, pump)
        eventually(lambda: daemon.rss() - before < 8 << 20, f"memory came back: {before} -> {daemon.rss()}")


@case("compression: an idle connection that has agreed on it, without takeover, costs no more than a plain one")
def idle():
    def cost(offer):
        with Daemon(compression_mode="no-takeover", ping_interval="0", long_schedule="10s") as daemon:
            with Deflating(daemon, offer, bool(offer)) as client:
                client.send_frame(TEXT, text(6))  # what is made once is made
                client.receive_message()
                before = daemon.rss()
                clients = [Deflating(daemon, offer, bool(offer)) for _ in range(2_000)]
                for other in clients:
                    other.send_frame(TEXT, text(6))
                    other.receive_message()
                daemon.echoes()
                grown = daemon.rss() - before
                for other in clients:
                    other.close()
                return grown

    plain, compressed = cost(None), cost("permessage-deflate")
    # With contexts of its own each would have some 260 KiB.
    assert compressed < plain + 2_000 * 4_096, f"{compressed} bytes instead of {plain} for 2,000"
