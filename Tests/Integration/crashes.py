"""Handlers that loop, crash and hoard, and those beside them."""

from harness import *

TRAPS = ["index", "nil", "overflow", "divide", "fatal", "precondition", "cast", "exclusivity"]
CRASHES = [f"/demo/trap/{kind}" for kind in TRAPS] + ["/demo/throw", "/demo/deep", "/demo/hog"]
# Of each kind in a row. The whole promise, 10,000, is 1250 each: ROOST_TRAPS=1250.
COUNT = int(os.environ.get("ROOST_TRAPS", "250"))


@case("every crash is survived by its own connection, and what came behind it is answered in order")
def survives():
    with Daemon() as daemon:
        for path in CRASHES:
            with Client(daemon, path) as client:
                client.echo(b"before")
                client.send(
                    frame(TEXT, b"a")
                    + frame(BINARY, b"b")
                    + frame(TEXT, b"go")
                    + frame(TEXT, b"c")
                    + frame(BINARY, b"e" * 100_000)
                    + frame(TEXT, b"f")
                )
                client.expect(TEXT, b"a")
                client.expect(BINARY, b"b")
                client.expect(TEXT, b"c")
                client.expect(BINARY, b"e" * 100_000)
                client.expect(TEXT, b"f")
                client.echo(b"after")
                client.close_properly()
        still_well(daemon, 200 << 20)


@case("after more crashes than the intensity: 1011")
def intensity():
    with Daemon() as daemon:
        for path in ["/demo/throw", "/demo/trap/index", "/demo/trap/cast"]:
            with Client(daemon, path) as client:
                for number in range(3):
                    client.send_frame(TEXT, b"go")
                    client.echo(b"again %d" % number)
                client.send_frame(TEXT, b"go")
                client.closes_with(1011)
        still_well(daemon)


@case("crashes that keep within the period do not add up")
def period():
    with Daemon(restart_intensity=1, restart_period="100ms") as daemon, Client(daemon, "/demo/throw") as client:
        for number in range(5):
            client.send_frame(TEXT, b"go")
            client.echo()
            time.sleep(0.11)  # the period: the waiting is the test


@case("a route that closes on a crash: 1011 at once")
def closes():
    with Daemon(restart_on_crash="close") as daemon:
        for path in ["/demo/throw", "/demo/trap/fatal"]:
            with Client(daemon, path) as client:
                client.send(frame(TEXT, b"first") + frame(TEXT, b"go") + frame(TEXT, b"late"))
                client.expect(TEXT, b"first")
                client.closes_with(1011)
        still_well(daemon)


@case("traps of every kind in a row, while 200 connections echo: no message lost")
def traps():
    with Daemon(restart_intensity=1_000, restart_period="1s", max_leaked_bytes="8GiB", log_level="error") as daemon:
        stop = threading.Event()
        answered = [0] * 4

        def bystanders(part):
            clients = [Client(daemon) for _ in range(50)]
            round_number = 0
            while not stop.is_set():
                for index, client in enumerate(clients):
                    client.send_frame(TEXT, b"%d of %d" % (round_number, index))
                for index, client in enumerate(clients):
                    client.expect(TEXT, b"%d of %d" % (round_number, index))
                round_number += 1
                answered[part] += len(clients)
            for client in clients:
                client.close()

        errors = []

        def guarded(part):
            try:
                bystanders(part)
            except BaseException as error:
                errors.append(error)

        watchers = [threading.Thread(target=guarded, args=(part,), daemon=True) for part in range(4)]
        for watcher in watchers:
            watcher.start()
        before = daemon.rss()

        def trap(index):
            # Some at a time, so that each connection stays below its restart intensity.
            left = COUNT
            while left:
                count = min(left, 100)
                left -= count
                with Client(daemon, f"/demo/trap/{TRAPS[index]}") as client:
                    for number in range(count):
                        client.send(frame(TEXT, b"go") + frame(TEXT, b"%d" % number))
                        client.expect(TEXT, b"%d" % number)

        together(len(TRAPS), trap)
        stop.set()
        for watcher in watchers:
            watcher.join(DEADLINE)
            assert not watcher.is_alive(), "a bystander was not answered"
        if errors:
            raise errors[0]
        assert min(answered) > 100, f"bystanders were answered {answered} times"
        traps = COUNT * len(TRAPS)
        growth = daemon.rss() - before
        assert growth < (32 << 20) + traps * 16_384, f"{traps} traps took {growth} bytes"
        still_well(daemon, (64 << 20) + traps * 16_384)


@case("100 spinners beside 20 echoes: all are answered, pings to spinners too")
def spinners():
    with Daemon() as daemon:
        spinners = [Client(daemon, "/demo/spin") for _ in range(100)]
        for client in spinners:
            client.send_frame(TEXT, b"go")
        clients = [Client(daemon) for _ in range(20)]
        for number in range(50):
            for client in clients:
                client.send_frame(TEXT, b"%d" % number)
            for client in clients:
                client.expect(TEXT, b"%d" % number)
        for client in spinners:
            client.send_frame(PING, b"busy?")
        for client in spinners:
            client.expect(PONG, b"busy?")
        # A close is noticed, and answered; the spinner ends some time after its client.
        for client in spinners:
            client.send_frame(CLOSE, close_payload(1000))
        for client in spinners:
            equal(client.receive_close(), 1000)
            client.ended()
        for client in spinners + clients:
            client.close()
        daemon.echoes()


@case("a spinner ends when its client has gone")
def spinner_ends():
    with Daemon(close_timeout="100ms") as daemon:
        before = daemon.descriptors()
        clients = [Client(daemon, "/demo/spin") for _ in range(30)]
        for client in clients:
            client.send_frame(TEXT, b"go")
        for client in clients[:10]:
            client.send_frame(CLOSE, close_payload(1000))
        for client in clients[:10]:
            equal(client.receive_close(), 1000)
            client.ended()
            client.close()
        for client in clients[10:20]:
            client.close()
        for client in clients[20:]:
            client.reset()
        eventually(lambda: daemon.descriptors() <= before, "descriptors are given back")
        still_well(daemon)


@case("a spinner's socket is read up to a bound, then not")
def spinner_bound():
    with Daemon() as daemon:
        client = Client(daemon, "/demo/spin")
        client.send_frame(TEXT, b"go")
        before = daemon.rss()
        client.socket.settimeout(1)
        sent = 0
        with contextlib.suppress(OSError):
            while sent < 64 << 20:
                client.send_frame(BINARY, bytes(65_536))
                sent += 65_536
        assert sent < 64 << 20, "the daemon took all that a spinner was sent"
        assert daemon.rss() - before < 24 << 20, f"grew by {daemon.rss() - before}"
        client.close()
        still_well(daemon)


@case("hoarders are ended one by one and the daemon stays slim")
def hogs():
    # What an abandoned handler held is lost, and counted: at most its limit and a quarter each time.
    with Daemon(max_handler_bytes="4MiB", restart_intensity=1_000) as daemon:

        def hoard(_):
            with Client(daemon, "/demo/hog") as client:
                for number in range(4):
                    client.send(frame(TEXT, b"go") + frame(TEXT, b"%d" % number))
                    client.expect(TEXT, b"%d" % number)

        together(4, hoard)
        still_well(daemon, (48 << 20) + 16 * (6 << 20))


@case("a handler stuck in native code holds up no other connection of its scheduler, and goes on afterwards")
def stuck():
    for kind in ["sleep", "read", "compute"]:
        with Daemon(schedulers=1) as daemon, Client(daemon, f"/demo/stuck/{kind}") as client:
            client.echo(b"before")
            client.send(frame(TEXT, b"go") + frame(TEXT, b"after"))
            others = [Client(daemon) for _ in range(20)]  # connect, shake hands and echo on the same scheduler
            for other in others:
                other.echo(b"beside it")
            assert not client.has_data(), "the handler was not stuck: what came behind it has been answered already"
            for other in others:
                other.close_properly()
            client.expect(TEXT, b"after")
            client.close_properly()
            said = daemon.said()
            assert "stuck in native code" in said and f"route=/demo/stuck/{kind}" in said, said
            still_well(daemon)
