"""Two independent clients: websockets and aiohttp."""

import asyncio

import aiohttp
import websockets

from harness import *

PAYLOADS = [
    "",
    "echo",
    "Grüße aus dem Süden 🐓",
    "x" * 125,
    "x" * 126,
    "é" * 40_000,
    b"",
    b"\x00\xff",
    bytes(range(256)) * 4_000,
    bytes(1 << 20),
]


async def with_websockets(daemon):
    async with websockets.connect(daemon.url + "/echo", max_size=None, compression="deflate", proxy=None) as client:
        for payload in PAYLOADS:
            await client.send(payload)
            equal(await client.recv(), payload)
        await client.send(["in ", "three ", "fragments"])
        equal(await client.recv(), "in three fragments")
        await (await client.ping(b"data"))
    equal(client.close_code, 1000)


async def with_aiohttp(daemon):
    async with aiohttp.ClientSession() as session, session.ws_connect(
        f"http://{daemon.address}/echo", max_msg_size=0, compress=15
    ) as client:
        for payload in PAYLOADS:
            await (client.send_str(payload) if isinstance(payload, str) else client.send_bytes(payload))
            equal((await client.receive()).data, payload)
        await client.ping(b"data")
        await client.close(code=3_000)
        equal(client.close_code, 3_000)


async def all_of(daemon, count):
    async with asyncio.timeout(4 * DEADLINE):
        await asyncio.gather(*(make(daemon) for _ in range(count) for make in (with_websockets, with_aiohttp)))


@case("websockets and aiohttp get back what they send")
def echo():
    with Daemon() as daemon:
        asyncio.run(all_of(daemon, 10))
        still_well(daemon)


@case("aiohttp's other requests get an answer")
def plain_http():
    async def get(daemon):
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://{daemon.address}/echo") as answer:
                equal(answer.status, 426)
                assert "WebSocket" in await answer.text()
            async with session.post(f"http://{daemon.address}/echo") as answer:
                equal(answer.status, 405)

    with Daemon() as daemon:
        asyncio.run(get(daemon))
        still_well(daemon)
