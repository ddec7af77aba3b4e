"""Where connections come from, and what happens when there are too many."""

import resource
import socket
import tempfile

from harness import *


@case("IPv4, IPv6 and a unix socket at once")
def addresses():
    with tempfile.TemporaryDirectory() as folder:
        path = f"unix:{folder}/roost.sock"
        with Daemon(listen=("127.0.0.1:0", "[::1]:0", path)) as daemon:
            for address in daemon.addresses:
                with Client(daemon, address=address) as client:
                    client.echo(b"here " + address.encode())
                    client.echo(bytes(200_000), BINARY)
        assert not os.path.exists(path[5:]), "the unix socket is removed at the end"


@case("a stale unix socket is replaced; a live one and a file are not")
def stale():
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/roost.sock"
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        with Daemon(listen=(f"unix:{path}",)) as daemon:
            with Client(daemon) as client:
                client.echo()
            try:
                Daemon(listen=(f"unix:{path}",)).stop()
                raise SystemError("a second daemon took a live socket")
            except AssertionError as error:
                assert "cannot listen on" in str(error), error
            with Client(daemon) as client:
                client.echo()
        with open(path, "w") as file:
            file.write("precious")
        try:
            Daemon(listen=(f"unix:{path}",)).stop()
            raise SystemError("a file was taken for a socket")
        except AssertionError:
            pass
        with open(path) as file:
            equal(file.read(), "precious")


@case("past the connection limit: 503 with Retry-After; room again when one goes")
def surplus():
    with Daemon(max_connections=10) as daemon:
        clients = [Client(daemon) for _ in range(10)]
        for _ in range(20):
            with Socket(daemon) as late:
                late.send(request())
                status, fields, body = late.answer()
                equal(status, 503)
                assert int(fields["retry-after"]) > 0 and body
        for client in clients:
            client.echo()
        clients[0].close_properly()

        def has_room():
            with Socket(daemon) as again:
                again.send(request())
                return again.head()[0] == 101

        eventually(has_room, "room for one more")
        for client in clients[1:]:
            client.close_properly()
        still_well(daemon)


@case("silent surplus clients do not keep others out for good")
def silent_surplus():
    with Daemon(max_connections=5, handshake_timeout="300ms") as daemon:
        clients = [Client(daemon) for _ in range(5)]
        silent = [Socket(daemon) for _ in range(300)]
        for client in clients:
            client.echo()
            client.close()

        def has_room():
            with Socket(daemon) as again:
                again.send(request())
                return again.head()[0] == 101

        eventually(has_room, "room for one more")
        for client in silent:
            client.close()
        still_well(daemon)


@case("out of descriptors: those that are connected go on, others wait and get in later")
def descriptors():
    with Daemon() as daemon:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (100, 100))
        clients, waiting = [], []
        for _ in range(300):
            client = Socket(daemon)  # the kernel's backlog takes it
            client.send(request())
            waiting.append(client)
        for client in waiting:
            client.socket.settimeout(0.3)
            try:
                equal(client.head()[0], 101)
                client.__class__ = Client
                client.socket.settimeout(DEADLINE)
                clients.append(client)
            except TimeoutError:
                break
        assert 20 < len(clients) < 300, f"{len(clients)} got in"
        busy = daemon.ticks()
        for client in clients:
            client.echo(b"still served")
        rest = waiting[len(clients) :]
        for client in rest:
            client.socket.settimeout(DEADLINE)
        begin = time.monotonic()
        for client in clients:
            client.echo(b"still served")
        for client in clients:
            client.close()
        for client in rest:
            equal(client.head()[0], 101)
            client.close()
        assert daemon.ticks() - busy < 200 + 100 * (time.monotonic() - begin), "accepting spins"
        still_well(daemon)


@case("waiting for descriptors takes no CPU")
def exhausted_is_idle():
    with Daemon() as daemon:
        resource.prlimit(daemon.pid, resource.RLIMIT_NOFILE, (100, 100))
        clients = [Socket(daemon) for _ in range(200)]
        eventually(lambda: len(os.listdir(f"/proc/{daemon.pid}/fd")) >= 99, "all descriptors are used")
        before = daemon.ticks()
        time.sleep(1)  # the waiting is the test
        assert daemon.ticks() - before < 20, f"{daemon.ticks() - before} ticks in a second"
        for client in clients:
            client.close()
        eventually(lambda: daemon.descriptors() < 60, "descriptors are given back")
        still_well(daemon)


@case("a port that is taken is told in a sentence")
def taken():
    with Daemon() as daemon:
        try:
            Daemon(listen=(daemon.address,)).stop()
            raise SystemError("two daemons on one port")
        except AssertionError as error:
            assert "cannot listen on" in str(error), error
