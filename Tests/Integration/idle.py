"""Doing nothing costs nothing."""

from harness import *


@case("100 idle connections: at most one tick of CPU in three seconds, no growth")
def idle():
    with Daemon() as daemon:
        clients = [Client(daemon) for _ in range(100)]
        for client in clients:
            client.echo()
        memory = daemon.rss()
        # What others do on the machine can only add to it, so the best of a few times counts.
        used = []
        while len(used) < 4 and (not used or min(used) > 1):
            before = daemon.ticks()
            time.sleep(3)  # the waiting is the test
            used.append(daemon.ticks() - before)
        assert min(used) <= 1, f"{used} ticks"
        assert daemon.rss() - memory < 1 << 20
        for client in clients:
            client.close()
        still_well(daemon)
