"""Hostile peers: plain requests that are smuggled, cut short, slow or endless (RFC 9112)."""

import ledger
from harness import *
from hostile_ends import read_to_end
from hostile_frames import under_attack

HEALTH = b"GET /health HTTP/1.1\r\nHost: a\r\n"
SECOND = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


def answers(daemon, sent):
    """The statuses of all answers to what was sent, until the end of the stream."""
    with Socket(daemon) as client:
        with contextlib.suppress(OSError):
            client.send(sent)
            client.socket.shutdown(1)
        got = read_to_end(client)
    return [int(part.split(b" ", 1)[0]) for part in got.split(b"HTTP/1.1 ")[1:]]


@case("requests one after the other are answered one after the other, however they are cut")
def pipelined():
    with under_attack() as daemon:
        equal(answers(daemon, HEALTH + b"\r\n"), [200])
        whole = (HEALTH + b"\r\n") * 3
        equal(answers(daemon, whole), [200] * 3)
        for at in range(0, len(whole), 5):
            with Socket(daemon) as client:
                client.send(whole[:at])
                client.send(whole[at:])
                client.socket.shutdown(1)
                equal(read_to_end(client).count(b"HTTP/1.1 200"), 3, at)


# Where the first request ends is a matter of opinion: the second must not be answered.
SMUGGLED = {
    "CL.TE": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE.CL": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "CVE-2026-39805, alike": b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "CVE-2026-39805, not alike": b"Content-Length: 0\r\nContent-Length: 5\r\n\r\n",
    "a list of lengths": b"Content-Length: 0, 0\r\n\r\n",
    "a signed length": b"Content-Length: +0\r\n\r\n",
    "a length in hex": b"Content-Length: 0x0\r\n\r\n",
    "a length past 64 bits": b"Content-Length: 18446744073709551616\r\n\r\n",
    "chunked twice": b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked, then not": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "xchunked": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "space before the colon": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "folded": b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a size with a sign": b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "a size in hex with 0x": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "a size past 64 bits": b"Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n",
    "a size of 2^64 - 1": b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n\r\n",
    "no size": b"Transfer-Encoding: chunked\r\n\r\n\r\n\r\n",
    "LF after a size": b"Transfer-Encoding: chunked\r\n\r\n0\n\r\n",
    "CR in an extension": b"Transfer-Encoding: chunked\r\n\r\n0;a\rb\r\n\r\n",
    "LF in an extension": b"Transfer-Encoding: chunked\r\n\r\n0;a\nb\r\n\r\n",
    "a chunk without CRLF behind it": b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
    "a trailer that names a length": b"Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length : 5\r\n\r\n",
    "a trailer without colon": b"Transfer-Encoding: chunked\r\n\r\n0\r\ntrailer\r\n\r\n",
    "a trailer with NUL": b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: \0\r\n\r\n",
}


@case("CVE-2026-39803, -39805, -39806: a request that ends where one likes is the last of its connection")
def smuggling():
    with under_attack() as daemon:
        for name, fields in SMUGGLED.items():
            found = answers(daemon, HEALTH + fields + SECOND)
            assert len(found) == 1 and found[0] in (400, 405, 413, 501), f"{name}: {found}"


@case("CVE-2026-39803, CVE-2026-39806: chunks, extensions and trailers without end are bounded")
def endless_bodies():
    chunked = HEALTH + b"Transfer-Encoding: chunked\r\n\r\n"
    with under_attack() as daemon:
        grown = daemon.rss()
        for name, sent in {
            "chunks of a byte": chunked + b"1\r\na\r\n" * 300_000,
            "an extension": chunked + b"1;" + b"a" * 2_000_000,
            "extensions on each chunk": chunked + (b"1;" + b"a" * 200 + b"\r\na\r\n") * 10_000,
            "a size with zeros in front": chunked + b"0" * 2_000_000,
            "trailers": chunked + b"0\r\n" + b"A: b\r\n" * 300_000,
            "a trailer": chunked + b"0\r\nA: " + b"b" * 2_000_000,
            "a long body": HEALTH + b"Content-Length: 100000000\r\n\r\n" + bytes(2_000_000),
        }.items():
            found = answers(daemon, sent)
            assert len(found) <= 1 and set(found) <= {400, 405, 413, 431}, f"{name}: {found}"
        assert daemon.rss() - grown < 16 << 20, f"grew by {daemon.rss() - grown}"


@case("slow in the second head, in a body, in a chunk: the deadline stands")
def slow_requests():
    first = HEALTH + b"\r\n"
    with under_attack(handshake_timeout="400ms", keep_alive_timeout="400ms") as daemon:

        def check(sent):
            with Socket(daemon) as client:
                client.send(sent)
                end = time.monotonic() + DEADLINE
                with contextlib.suppress(OSError):
                    for byte in b"1" * 5_000:
                        client.send(bytes([byte]))
                        time.sleep(0.02)  # a slow peer: the waiting is the test
                        assert time.monotonic() < end, "it was listened to for ever"
                read_to_end(client)

        waiting = [
            first,
            first + b"GET /hea",
            first + HEALTH,
            first + HEALTH + b"Content-Length: 10000\r\n\r\n",
            first + HEALTH + b"Transfer-Encoding: chunked\r\n\r\n",
            first + HEALTH + b"Transfer-Encoding: chunked\r\n\r\n2710\r\n",
            first + HEALTH + b"Transfer-Encoding: chunked\r\n\r\n0\r\nA: ",
        ]
        together(len(waiting), lambda index: check(waiting[index]))


@case("a client that asks again and again and reads nothing is bounded")
def unread_answers():
    with under_attack(handshake_timeout="500ms", close_timeout="500ms") as daemon:
        grown = daemon.rss()

        def flood(_):
            client = Socket(daemon, receive_buffer=4_096)
            client.socket.settimeout(2)
            with contextlib.suppress(OSError):
                for _ in range(2_000):
                    client.send(SECOND * 100)
            client.close()

        together(8, flood)
        assert daemon.rss() - grown < 32 << 20, f"grew by {daemon.rss() - grown}"


@case("the metrics count each ended connection once, by its cause, as the log does")
def counted():
    with Daemon(log_level="debug") as daemon:
        for sent in [b"", b"GET", b"nonsense\r\n\r\n", request("/nowhere"), request(), request() + frame(3)]:
            for _ in range(3):
                with Socket(daemon) as client:
                    client.send(sent)
                    client.socket.shutdown(1)
                    read_to_end(client)
        logged = ledger.each_ended_once(daemon)
        counted = ledger.ended_by_cause(ledger.metrics(daemon.address))
        equal({cause: count for cause, count in counted.items() if count}, dict(logged))
        assert set(counted) == ledger.CAUSES, set(counted) ^ ledger.CAUSES
