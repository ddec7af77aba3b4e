"""The load tester finds what is known to be wrong with a server, and nothing else."""

import knowingly
from harness import case, equal
from tester import error_count, milliseconds, report


@case("an open loop shows a stall of 500 ms in p99, a closed loop cannot")
def stall():
    with knowingly.StallingEcho(after=1.5, seconds=0.5) as server:
        # Some 500 of 2,000 messages were due in the stall: p99 is near its whole length.
        found = report("rate", server.url, "-c", 10, "--rate", 500, "--duration", 4, "--warmup", 0)
        assert server.has_stalled
        equal(found["errors"], [])
        assert milliseconds(found, "p99") >= 400, found["latency_ns"]
        assert milliseconds(found, "max") >= 490, found["latency_ns"]
    with knowingly.StallingEcho(after=1.5, seconds=0.5) as server:
        # One message of each client was under way then: 10 of thousands.
        found = report("echo", server.url, "-c", 10, "--duration", 4, "--warmup", 0)
        assert server.has_stalled
        equal(found["errors"], [])
        assert found["round_trips"] > 1_100, "too few for the stall to be rarer than one in a hundred"
        assert milliseconds(found, "p99") < 400, found["latency_ns"]
        assert milliseconds(found, "max") >= 490, found["latency_ns"]


@case("every 1,000th broadcast that a server loses is counted, to the message")
def losses():
    with knowingly.LosingRoom(every=1_000) as server:
        found = report(
            "fanout", server.url, "--publishers", 1, "--subscribers", 5, "--rate", 600, "--duration", 4, "--warmup", 0,
            status=1,
        )
        assert server.publishes >= 2_000, server.publishes
        equal(found["lost"], server.lost, "losses")
        equal(error_count(found, "a delivery was lost"), server.lost)
        equal(found["duplicated"], 0)
        equal(found["reordered"], 0)


@case("what a server loses at the end is counted, too: nothing comes behind it")
def lastLosses():
    with knowingly.LosingRoom(every=1) as server:
        found = report(
            "fanout", server.url, "--publishers", 1, "--subscribers", 5, "--rate", 100, "--duration", 1, "--warmup", 0,
            status=1,
        )
        assert server.publishes > 50, server.publishes
        equal(found["lost"], server.lost, "losses")


@case("deliveries that a server swaps are counted, and are no losses")
def swaps():
    with knowingly.SwappingRoom(every=100) as server:
        found = report(
            "fanout", server.url, "--publishers", 1, "--subscribers", 4, "--rate", 300, "--duration", 3, "--warmup", 0
        )
        assert server.swapped > 0
        equal(found["reordered"], server.swapped, "reordered")
        equal(found["duplicated"], 0)
        # The last may have been held for one after it that never came.
        equal(found["lost"], len(server.held), "losses")


@case("deliveries that a server repeats are counted")
def repeats():
    with knowingly.RepeatingRoom(every=100) as server:
        found = report(
            "fanout", server.url, "--publishers", 1, "--subscribers", 4, "--rate", 300, "--duration", 3, "--warmup", 0
        )
        assert server.repeated > 0
        equal(found["duplicated"], server.repeated, "duplicated")
        equal(found["lost"], 0)


@case("a room that does as it should has no faults")
def sound_room():
    with knowingly.Room() as server:
        found = report(
            "fanout", server.url, "--publishers", 3, "--subscribers", 10, "--rate", 200, "--duration", 3, "--warmup", 0,
            status=0,
        )
        equal(found["errors"], [])
        equal((found["lost"], found["duplicated"], found["reordered"]), (0, 0, 0))
        assert found["round_trips"] > 0


@case("one wrong byte is an error of each connection, and the first alone counts")
def wrong():
    with knowingly.WrongEcho(number=50) as server:
        found = report("echo", server.url, "-c", 7, "--duration", 2, "--warmup", 0, status=1)
        equal(error_count(found, "an answer is not what was sent"), 7)
        equal(found["round_trips"], 7 * 49)


@case("what a server never answers is counted as lost")
def forgotten():
    with knowingly.ForgetfulEcho(every=500) as server:
        found = report(
            "rate", server.url, "-c", 5, "--rate", 500, "--duration", 3, "--warmup", 0, "--end-timeout", 1, status=1
        )
        assert server.forgotten > 0
        equal(found["lost"], server.forgotten, "losses")
        equal(error_count(found, "a message was not answered"), server.forgotten)
