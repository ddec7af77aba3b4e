"""Handlers that allocate without end, fifty at a time, and those beside them."""

from harness import *

HOGS = 50
# Each loses what it holds when it is ended, as no allocation of a loop without waiting calls can be undone.
ENDED_MAX = 500


class Bystanders:
    """Clients that echo, one after the other, on a thread of their own; each must be answered."""

    def __init__(self, daemon, count):
        self.clients = [Client(daemon) for _ in range(count)]
        self.times = []
        self.errors = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        try:
            number = 0
            while not self.stopping.is_set():
                for client in self.clients:
                    start = time.monotonic()
                    client.send_frame(TEXT, b"%d" % number)
                    client.expect(TEXT, b"%d" % number)
                    self.times.append(time.monotonic() - start)
                number += 1
        except BaseException as error:
            self.errors.append(error)

    def stop(self):
        self.stopping.set()
        self.thread.join(DEADLINE)
        assert not self.thread.is_alive(), "a bystander was not answered"
        if self.errors:
            raise self.errors[0]
        for client in self.clients:
            client.close()
        return len(self.times)


@case("fifty handlers at once that allocate without end are ended over and over: no echo is lost, memory is bounded")
def hogs():
    limit = 3 << 19  # the second block of 1 MiB is past it and its quarter
    with Daemon(
        restart_intensity=1_000,
        restart_period="1s",
        max_handler_bytes=limit,
        max_leaked_bytes="64GiB",
        log_level="error",
    ) as daemon:
        bystanders = Bystanders(daemon, 50)
        most = daemon.rss()
        ended = [0] * HOGS

        def hog(index):
            with Client(daemon, "/demo/hog") as client:
                while ended[index] == 0 or len(bystanders.times) < 500 and sum(ended) < ENDED_MAX:
                    client.send_frame(TEXT, b"go")
                    client.echo(b"still here %d" % ended[index])
                    ended[index] += 1

        together(HOGS, hog)
        answered = bystanders.stop()
        most = max(most, daemon.rss())
        assert answered >= 50, f"the bystanders were answered {answered} times, and not each of them"
        bound = 64 * 2**20 + 2 * (1 << 20) * (sum(ended) + HOGS)
        growth = most - daemon.start_rss
        assert growth < bound, f"{sum(ended)} hogs left {growth} bytes, more than {bound}"
        daemon.echoes()
        print(f"    {sum(ended)} ended, {answered} echoes beside them, {growth >> 20} MiB more than at the start")
