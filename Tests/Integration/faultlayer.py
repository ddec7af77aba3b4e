"""Tests/Faults by itself: what it injects is what the kernel could have done. The program under it is Python's own."""

import subprocess
import sys
import tempfile
import textwrap

import faulting
from harness import *

# A connection of the program's with itself: `near` waits with edge-triggered epoll, `far` is left alone.
PROGRAM = """
import os, select, socket, sys
ALL = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
def pair(family=socket.AF_INET):
    listener = socket.socket(family)
    if family == socket.AF_INET:
        listener.bind(("127.0.0.1", 0))
    else:
        listener.bind("")
    listener.listen()
    far = socket.socket(family)
    far.settimeout(10)
    far.connect(listener.getsockname())
    near, _ = listener.accept()
    near.setblocking(False)
    return listener, near, far
def watch(near):
    epoll = select.epoll()
    epoll.register(near, ALL)
    epoll.poll(1)
    return epoll
def event(epoll, wanted):
    "Whether an edge comes that says `wanted`."
    return any(events & wanted for _, events in epoll.poll(1))
def silent(epoll):
    return epoll.poll(0.05) == []
def fails(kind, call, *arguments):
    try:
        call(*arguments)
    except kind:
        return True
    return False
"""
WATCHED = "listener, near, far = pair()\nepoll = watch(near)\n"


def run(script, body):
    """Runs `body` under `script`: it must end well. The trace of what was injected."""
    with tempfile.TemporaryDirectory() as folder:
        faults = faulting.Faults(f"{script};trace={folder}/trace")
        program = PROGRAM + textwrap.dedent(body)
        environment = os.environ | faults.environment()
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"under {script!r}: {done.stderr}"
        faults.injected()
        with open(f"{folder}/trace") as file:
            return file.read()


@case("the fault layer: after less than asked for, and after nothing, an edge announces the rest")
def edges():
    run(
        "recv#1=short:3;recv#3=EAGAIN",
        WATCHED + """
far.sendall(b"0123456789")
assert event(epoll, select.EPOLLIN)
assert near.recv(100) == b"012"
assert event(epoll, select.EPOLLIN), "the rest was not announced"
assert near.recv(100) == b"3456789"
assert fails(BlockingIOError, near.recv, 100)
epoll.poll(0.05)
far.sendall(b"more")
assert event(epoll, select.EPOLLIN)
assert near.recv(100) == b"more"
""",
    )
    run(
        "send#1=short:3;send#2=EAGAIN;send#3=ENOBUFS",
        WATCHED + """
assert near.send(b"0123456789") == 3
assert event(epoll, select.EPOLLOUT), "room was not announced"
assert fails(BlockingIOError, near.send, b"3456789")
assert event(epoll, select.EPOLLOUT), "room was not announced"
assert fails(OSError, near.send, b"3456789")
assert event(epoll, select.EPOLLOUT), "room was not announced"
assert near.send(b"3456789") == 7
assert far.recv(10, socket.MSG_WAITALL) == b"0123456789"
""",
    )
    run(
        "recv#1=EAGAIN:quiet",
        WATCHED + """
far.sendall(b"x")
assert event(epoll, select.EPOLLIN)
assert fails(BlockingIOError, near.recv, 1)
assert silent(epoll)
assert near.recv(1) == b"x"
""",
    )


@case("the fault layer: the end of the stream behind a short read is announced with the rest")
def ends():
    run(
        "recv=short:1",
        WATCHED + """
far.sendall(b"ab")
far.close()
got = b""
while event(epoll, select.EPOLLIN | select.EPOLLRDHUP):
    part = near.recv(100)
    if not part:
        break
    got += part
assert got == b"ab" and part == b"", (got, part)
""",
    )


@case("the fault layer: pieces that are cut short are cut in the right place")
def pieces():
    whole = b"".join(bytes([65 + index]) * (index + 1) for index in range(8))
    for size in (1, 2, 3, 10, 28, 35):
        run(
            f"sendmsg=short:{size};recvmsg=short:{size}",
            WATCHED + f"""
whole = {whole!r}
parts = [bytes([65 + index]) * (index + 1) for index in range(8)]
assert near.sendmsg(parts) == {size}
assert far.recv(100) == whole[:{size}]
far.sendall(whole)
epoll.poll(1)
buffers = [bytearray(index + 1) for index in range(8)]
assert near.recvmsg_into(buffers)[0] == {size}
assert b"".join(buffers) == whole[:{size}] + bytes(len(whole) - {size})
""",
        )


@case("the fault layer: a reset is one for both sides, and stays")
def resets():
    for call, use in [("recv", "near.recv, 1"), ("send", 'near.send, b"x"'), ("sendmsg", 'near.sendmsg, [b"x"]')]:
        run(
            f"{call}#1=ECONNRESET",
            WATCHED + f"""
assert fails(ConnectionResetError, {use})
assert event(epoll, select.EPOLLHUP)
assert near.recv(1) == b""
assert fails(BrokenPipeError, near.send, b"x")
assert fails(ConnectionResetError, far.recv, 1)
""",
        )
    run(
        "recv#1=ECONNRESET",
        """
listener, near, far = pair(socket.AF_UNIX)
epoll = watch(near)
assert fails(ConnectionResetError, near.recv, 1)
assert near.recv(1) == b"" == far.recv(1)
""",
    )


@case("the fault layer: accepting fails with the connection in the queue, or with it gone")
def accepting():
    begin = """
listener = socket.create_server(("127.0.0.1", 0))
listener.setblocking(False)
far = socket.create_connection(listener.getsockname())
"""
    for name in ["EMFILE", "ENFILE", "ENOMEM", "ENOBUFS"]:
        run(f"accept4#1={name}", begin + "assert fails(OSError, listener.accept)\nlistener.accept()")
    run(
        "accept4#1=ECONNABORTED",
        begin + """
assert fails(ConnectionAbortedError, listener.accept)
assert fails(BlockingIOError, listener.accept)
assert fails(ConnectionResetError, far.recv, 1)
""",
    )


@case("the fault layer: registrations fail, by connection and by listener")
def registrations():
    body = """
listener, first, far = pair()
second, _ = (socket.create_connection(listener.getsockname()), None)
accepted, _ = listener.accept()
epoll = select.epoll()
epoll.register(first, ALL)
assert fails(OSError, epoll.register, accepted, ALL)
epoll.register(accepted, ALL)
assert fails(OSError, epoll.register, listener, select.EPOLLIN)
epoll.register(listener, select.EPOLLIN)
assert fails(OSError, epoll.modify, first, ALL)
"""
    # `far` connects first: it is 1; `first` is accepted as 2, `second` connects as 3, `accepted` is 4.
    run("epoll_add@4#1=ENOMEM;epoll_add@listener#1=ENOSPC;epoll_mod@2=ENOMEM", body)


@case("the fault layer: pipes, files, sockets that nobody waits for are left alone")
def others():
    run(
        "io=ECONNRESET",
        WATCHED + """
reader, writer = os.pipe()
os.write(writer, b"x")
assert os.read(reader, 1) == b"x"
assert os.read(os.open("/dev/zero", os.O_RDONLY), 1) == b"\\0"
a, b = socket.socketpair()
a.send(b"x")
assert b.recv(1) == b"x"
far.send(b"x")
assert fails(ConnectionResetError, near.recv, 1)
""",
    )


TALK = WATCHED + """
for number in range(200):
    far.sendall(bytes(100))
    left = 100
    while left:
        try:
            left -= len(near.recv(1000))
        except OSError:
            pass
        epoll.poll(0)
"""


@case("the fault layer: a seed gives the same faults again, another one others, at the rate it was given")
def seeds():
    script = "rate=0.2;faults=short-read,eagain:0.1"
    first, again, other = (run(f"seed={seed};{script}", TALK) for seed in (1, 1, 2))
    equal(again, first)
    assert other != first
    # Of some 250 calls a tenth, and of the others a fifth.
    assert 10 < first.count("recv EAGAIN") < 60 and 20 < first.count("recv short") < 120, first


@case("the fault layer: a script that cannot be read ends the program, and says which part")
def scripts():
    for script in [
        "nonsense",
        "recv",
        "recv=",
        "recv=EWHAT",
        "recv=short:0",
        "recv=EAGAIN:loud",
        "reciv=EAGAIN",
        "recv#=EAGAIN",
        "recv@x=EAGAIN",
        "recv%0=EAGAIN",
        "rate=2",
        "rate=x",
        "seed=",
        "faults=short-reads",
        "recv#1=EAGAIN;nonsense",
    ]:
        environment = os.environ | {"LD_PRELOAD": faulting.library(), "ROOST_FAULTS": script}
        done = subprocess.run(["true"], env=environment, capture_output=True, text=True)
        equal(done.returncode, 78, script)
        assert "ROOST_FAULTS" in done.stderr, done.stderr
    done = subprocess.run(["true"], env=os.environ | {"LD_PRELOAD": faulting.library()})
    equal(done.returncode, 0, "without a script")
