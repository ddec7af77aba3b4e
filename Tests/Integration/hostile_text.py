"""Hostile peers: text that is not UTF-8 (RFC 3629), wherever it is cut."""

import ledger
from harness import *
from hostile_frames import refused, under_attack

# Not UTF-8, each with the place that makes it so somewhere inside.
INVALID = {
    "continuation alone": b"\x80",
    "last continuation alone": b"\xbf",
    "two continuations": b"\x80\xbf",
    "overlong slash, 2 bytes": b"\xc0\xaf",
    "overlong slash, 3 bytes": b"\xe0\x80\xaf",
    "overlong slash, 4 bytes": b"\xf0\x80\x80\xaf",
    "overlong NUL": b"\xc0\x80",
    "last of the overlong, 2 bytes": b"\xc1\xbf",
    "last of the overlong, 3 bytes": b"\xe0\x9f\xbf",
    "last of the overlong, 4 bytes": b"\xf0\x8f\xbf\xbf",
    "first surrogate": b"\xed\xa0\x80",
    "last surrogate": b"\xed\xbf\xbf",
    "pair of surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "past U+10FFFF": b"\xf4\x90\x80\x80",
    "5 bytes": b"\xf8\x88\x80\x80\x80",
    "6 bytes": b"\xfc\x84\x80\x80\x80\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
    "2-byte lead, then ASCII": b"\xc3a",
    "3-byte lead, one continuation, then ASCII": b"\xe2\x82a",
    "4-byte lead, two continuations, then ASCII": b"\xf0\x9f\x90a",
    "lead after lead": b"\xe2\xe2\x82\xac",
    "F5": b"\xf5\x80\x80\x80",
}
# Cut short: wrong only because nothing follows.
UNFINISHED = {"2 bytes": b"\xc3", "3 bytes, 1": b"\xe2", "3 bytes, 2": b"\xe2\x82", "4 bytes, 3": b"\xf0\x9f\x90"}
# The last that is right, and the first, at every boundary.
VALID = "\x00\x7f\u0080\u07ff\u0800\ud7ff\ue000\ufdd0\ufffe\uffff\U00010000\U0001f413\U0010ffff".encode()
SURROUNDED = b"Gr\xc3\xbc\xc3\x9fe "


def cuts(payload):
    """Two pieces, cut at every place, and single bytes."""
    for at in range(len(payload) + 1):
        yield [payload[:at], payload[at:]]
    yield [payload[at : at + 1] for at in range(len(payload))]


def fragments(pieces):
    """A text message of these fragments."""
    last = len(pieces) - 1
    return [frame(CONTINUATION if index else TEXT, piece, fin=index == last) for index, piece in enumerate(pieces)]


@case("text that is not UTF-8 is 1007, cut into fragments at every place")
def in_fragments():
    with under_attack() as daemon:
        vectors = list((INVALID | UNFINISHED).items())

        def check(part):
            for name, wrong in vectors[part::4]:
                for pieces in cuts(SURROUNDED + wrong):
                    refused(daemon, b"".join(fragments(pieces)) + frame(TEXT, b"after"), 1007, (name, pieces))

        together(4, check)


@case("text that is not UTF-8 is 1007 with pings between the fragments, and text behind the wrong place")
def with_pings():
    with under_attack() as daemon:
        for name, wrong in INVALID.items():
            for pieces in cuts(wrong):
                with Client(daemon) as client:
                    parts = fragments([SURROUNDED, *pieces, SURROUNDED])
                    with contextlib.suppress(OSError):
                        client.send(frame(PING, b"between").join(parts))
                    equal(client.receive_close(), 1007, (name, pieces))
                    client.ended()


@case("text that is not UTF-8 is 1007, whichever segments it comes in")
def in_segments():
    with under_attack("--schedulers", "1") as daemon, Client(daemon) as other:
        for name, wrong in (INVALID | UNFINISHED).items():
            whole = frame(TEXT, SURROUNDED + wrong)
            for at in range(len(whole) - len(wrong) - 1, len(whole)):
                with Client(daemon) as client:
                    client.send(whole[:at])
                    other.echo()  # one scheduler: it has looked at the first part by now
                    with contextlib.suppress(OSError):
                        client.send(whole[at:])
                    equal(client.receive_close(), 1007, (name, at))
                    client.ended()


@case("what is right, at every boundary of UTF-8, comes back whole, however it is cut")
def valid():
    with under_attack("--schedulers", "1") as daemon, Client(daemon) as client, Client(daemon) as other:
        for pieces in cuts(VALID):
            client.send(b"".join(fragments(pieces)))
            client.expect(TEXT, VALID)
        whole = frame(TEXT, VALID)
        for at in range(1, len(whole)):
            client.send(whole[:at])
            other.echo()
            client.send(whole[at:])
            client.expect(TEXT, VALID)


@case("the same bytes as binary are nobody's business")
def binary():
    with under_attack() as daemon, Client(daemon) as client:
        for wrong in (INVALID | UNFINISHED).values():
            client.echo(wrong, BINARY)


@case("a close reason that is not UTF-8 is 1007")
def close_reasons():
    with under_attack() as daemon:
        for name, wrong in (INVALID | UNFINISHED).items():
            refused(daemon, frame(CLOSE, close_payload(1000, SURROUNDED + wrong)), 1007, name)
            refused(daemon, frame(CLOSE, close_payload(3000, wrong)), 1007, name)
        for reason in [VALID, b"\x00", "🐓".encode() * 30]:
            with Client(daemon) as client:
                client.send_frame(CLOSE, close_payload(1000, reason))
                equal(client.receive_close(), 1000)
                client.ended()


@case("long text with a wrong byte anywhere near a boundary of words is 1007")
def far_inside():
    # Validators look at 8, 16, 32 or 64 bytes at a time: the wrong byte must be seen in each place of such a step.
    with under_attack() as daemon:

        def check(part):
            for at in [*range(part, 132, 4), 4_095 + part, 32_767 + part, 65_535 + part]:
                for wrong in [b"\xff", b"\xc3", b"\xed\xa0\x80"]:
                    text = b"a" * at + wrong + b"b" * (200 if at < 4_000 else 70_000)
                    refused(daemon, frame(TEXT, text), 1007, (at, wrong))

        together(4, check)
