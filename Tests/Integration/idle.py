"""Doing nothing costs nothing."""

from harness import *


@case("100 idle connections: at most one tick of CPU in three seconds, no growth")
def idle():
    with Daemon(long_schedule="10s") as daemon:  # no symbols are read for a log line about the opening
        clients = [Client(daemon) for _ in range(100)]
        for client in clients:
            client.echo()
        before, memory = daemon.ticks(), daemon.rss()
        time.sleep(3)  # the waiting is the test
        used = daemon.ticks() - before
        assert used <= 1, f"{used} ticks"
        assert daemon.rss() - memory < 1 << 20
        for client in clients:
            client.close()
        still_well(daemon)
