"""Servers whose faults are known exactly, on PyPI's `websockets`: nothing of Roost is in them."""

import asyncio
import contextlib
import threading
import time

import websockets.asyncio.server as websockets
from websockets.exceptions import ConnectionClosed


class Server:
    """Serves in a thread of its own; `handle` gets each connection."""

    def __init__(self):
        self.started = threading.Event()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.started.wait(20), "the server did not start"

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())

    async def _serve(self):
        self.stopped = asyncio.Event()
        options = {"compression": None, "ping_interval": None, "max_size": None}
        async with websockets.serve(self._handle, "127.0.0.1", 0, **options) as server:
            self.port = server.sockets[0].getsockname()[1]
            self.started.set()
            await self.stopped.wait()

    async def _handle(self, connection):
        with contextlib.suppress(ConnectionClosed):
            await self.handle(connection)

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.port}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stopped.set)
        self.thread.join(20)


class StallingEcho(Server):
    """Echoes; once, `after` seconds from its first message, it does nothing at all for `seconds`."""

    def __init__(self, after, seconds):
        self.after, self.seconds, self.first, self.has_stalled = after, seconds, None, False
        super().__init__()

    async def handle(self, connection):
        async for message in connection:
            self.first = self.first or time.monotonic()
            if not self.has_stalled and time.monotonic() - self.first >= self.after:
                self.has_stalled = True
                time.sleep(self.seconds)  # the whole server stands still
            await connection.send(message)


class Room(Server):
    """What one sends reaches all others, but for what `deliver` does to it."""

    def __init__(self):
        self.members, self.publishes, self.deliveries = [], 0, 0
        super().__init__()

    async def handle(self, connection):
        self.members.append(connection)
        try:
            async for message in connection:
                self.publishes += 1
                for number, member in enumerate(list(self.members)):
                    if member is not connection:
                        await self.deliver(number, member, message)
        finally:
            self.members.remove(connection)

    async def deliver(self, number, member, message):
        await self.send(member, message)

    async def send(self, member, message):
        self.deliveries += 1
        with contextlib.suppress(ConnectionClosed):
            await member.send(message)


class LosingRoom(Room):
    """Loses every so-manieth publish, for everyone."""

    def __init__(self, every):
        self.every, self.lost = every, 0
        super().__init__()

    async def deliver(self, number, member, message):
        if self.publishes % self.every == 0:
            self.lost += 1
        else:
            await self.send(member, message)


class SwappingRoom(Room):
    """Delivers every so-manieth publish behind the one after it."""

    def __init__(self, every):
        self.every, self.swapped, self.held = every, 0, {}
        super().__init__()

    async def deliver(self, number, member, message):
        if self.publishes % self.every == 0:
            self.held[member] = message
            return
        await self.send(member, message)
        if member in self.held:
            self.swapped += 1
            await self.send(member, self.held.pop(member))


class RepeatingRoom(Room):
    """Delivers every so-manieth publish twice."""

    def __init__(self, every):
        self.every, self.repeated = every, 0
        super().__init__()

    async def deliver(self, number, member, message):
        await self.send(member, message)
        if self.publishes % self.every == 0:
            self.repeated += 1
            await self.send(member, message)


class WrongEcho(Server):
    """Answers the so-manieth message of each connection with another byte at its end."""

    def __init__(self, number):
        self.number = number
        super().__init__()

    async def handle(self, connection):
        count = 0
        async for message in connection:
            count += 1
            if count == self.number:
                message = message[:-1] + (b"#" if isinstance(message, bytes) else "#")
            await connection.send(message)


class ForgetfulEcho(Server):
    """Does not answer every so-manieth message."""

    def __init__(self, every):
        self.every, self.forgotten, self.count = every, 0, 0
        super().__init__()

    async def handle(self, connection):
        async for message in connection:
            self.count += 1
            if self.count % self.every == 0:
                self.forgotten += 1
            else:
                await connection.send(message)
