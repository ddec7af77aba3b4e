# SPDX-License-Identifier: Apache-2.0
"""One function per figure. Each returns {server: [one report per round]}; rounds of all servers are interleaved."""
import json
import subprocess
import sys
import time

import counts as counts_figure
import loadtester as loadtester_figure
import runtime as runtime_figure
import servers
from servers import BenchError, beside, generate, running

TRAP_KINDS = ["index", "nil", "overflow", "divide", "fatal", "precondition", "cast", "exclusivity"]
IDLE_CONNECTIONS = 19_000
IDLE_PROXIED_CONNECTIONS = 9_000
COMPRESSED_BYTES = 2048  # above the threshold of every server


def note(text):
    print(text, file=sys.stderr, flush=True)


def interleave(options, names, measure, rounds=None, demo=False, **settings):
    """Calls `measure(server)` on a fresh server, every server once a round."""
    absences = servers.absences()
    for name in dict.fromkeys(map(servers.program, names)):
        if name in absences:
            note(f"  {name} is left out; {absences[name]}")
    names = [name for name in names if servers.program(name) in options.servers]
    results = {name: [] for name in names}
    for turn in range(rounds or options.rounds):
        for name in names:
            try:
                with running(name, demo=demo and name == "roost", **settings) as server:
                    report = measure(server)
            except BenchError as error:  # the others are measured all the same
                options.failures.append(f"round {turn + 1} of {name}: {error}")
                note(f"  round {turn + 1} {name}: not measured: {error}")
                continue
            results[name].append(report | {"round": turn + 1})
            note(f"  round {turn + 1} {name}: {summary(report)}")
    return {name: reports for name, reports in results.items() if reports}


def summary(report):
    keys = ["per_cpu_second", "per_second", "wire_bytes_each", "resumed", "p50_us", "p99_us", "bytes_each", "lost",
            "growth_bytes"]
    parts = [f"{key} {report[key]:,.0f}" for key in keys if key in report]
    parts += [report["tls"]] if "tls" in report else []
    return ", ".join(parts) or json.dumps(report)


def echo_servers(options):
    """Roost and SwiftNIO; the small Erlang server only when asked for, since it is no Cowboy."""
    return ["roost", "nio"] + (["erlang"] if options.with_erlang else [])


def echo(options, **load):
    measure = lambda server: generate(server, "echo", seconds=options.seconds, **load)
    return interleave(options, echo_servers(options), measure)


def echo64x1(options):
    return echo(options, connections=100, size=64, in_flight=1)


def echo64x16(options):
    return echo(options, connections=100, size=64, in_flight=16)


def echo4k(options):
    return echo(options, connections=100, size=4096, in_flight=1)


def echo64k(options):
    return echo(options, connections=20, size=65536, in_flight=1)


def connect(options):
    measure = lambda server: generate(server, "connect", seconds=options.seconds, connections=50)
    return interleave(options, echo_servers(options), measure)


def tls_servers(options):
    """Roost, nginx that ends TLS in front of Roost, and node-ws."""
    return ["roost+tls", "nginx+tls", "node+tls"] + (["erlang+tls"] if options.with_erlang else [])


def tls_echo(options, **load):
    """Echo over TLS 1.3, AES-128-GCM: the generator offers nothing else."""
    return interleave(options, tls_servers(options), lambda server: secured(
        generate(server, "echo", seconds=options.seconds, **load)))


def secured(report):
    if not report["tls"].startswith("TLSv1.3"):
        raise BenchError(f"TLS 1.3 was not negotiated but {report['tls']}")
    return report


def tls64x1(options):
    return tls_echo(options, connections=100, size=64, in_flight=1)


def tls64x16(options):
    return tls_echo(options, connections=100, size=64, in_flight=16)


def tls4096x1(options):
    return tls_echo(options, connections=100, size=4096, in_flight=1)


def tlsconnect(options):
    """Connect, full TLS handshake, one echo, close."""
    return interleave(options, tls_servers(options), lambda server: secured(
        generate(server, "connect", seconds=options.seconds, connections=50)))


def tlsresume(options):
    """Connect, TLS handshake with the session of an earlier connection, one echo, close."""
    return interleave(options, tls_servers(options), lambda server: secured(
        generate(server, "connect", seconds=options.seconds, connections=50, resume=True)))


def deflate_echo(options, size):
    """Echo of JSON-like text with permessage-deflate."""
    return interleave(options, ["roost+deflate", "node+deflate", "node+default"], lambda server: generate(
        server, "echo", seconds=options.seconds, connections=100, size=size, in_flight=1))


def deflate256(options):
    return deflate_echo(options, 256)


def deflate4096(options):
    return deflate_echo(options, 4096)


def fanout(options, in_flight):
    """One publisher, 5,000 subscribers of its room, 100 B; the next message goes out when one has reached all."""
    names = ["roost", "nchan", "uws", "node+broadcast", "erlang"]
    return interleave(options, names, lambda server: generate(
        server, "fanout", "/broadcast/room", seconds=max(options.seconds, 3), connections=5_000, size=100,
        in_flight=in_flight))


def fanout1(options):
    return fanout(options, 1)


def fanout8(options):
    return fanout(options, 8)


def idle(options):
    """Plain, then what TLS and compression add, both fewer: a proxy needs two descriptors for each connection."""
    rounds = min(options.rounds, 3)
    # A turn that is taken for long has the program's symbols read once, to name it: 2.7 MB that no connection holds.
    settings = {"long_schedule": "10s"}
    results = interleave(options, echo_servers(options) + ["node"], idle_memory, rounds, **settings)
    names = [*tls_servers(options), "roost+deflate", "node+deflate", "node+default", "roost+tls+deflate",
             "node+tls+deflate"]
    fewer = lambda server: idle_memory(server, IDLE_PROXIED_CONNECTIONS)
    return results | interleave(options, names, fewer, rounds, **settings)


def idle_memory(server, connections=IDLE_CONNECTIONS):
    """User-space bytes per connection: each was upgraded, echoed one message, and waits."""
    size = COMPRESSED_BYTES if "compress" in server.load else 64
    generate(server, "connect", connections=10, seconds=0.3, warm_up=0.1)  # what is paid once is paid now
    time.sleep(0.5)
    before = server.memory()
    with beside(server, "idle", connections=connections, size=size) as holder:
        count = holder.wait_until_ready()
        time.sleep(2)
        after = server.memory()
        report = holder.finish()
    if report["open"] < count:
        raise BenchError(f"{server.name} closed {count - report['open']} idle connections")
    each = {key: (after[key] - before[key]) / count for key in before}
    return {"connections": count, "bytes_each": each["private_dirty"], "rss_anon_bytes_each": each["rss_anon"]}


def spawn(options):
    """Processes spawned and parked in `receive`: `roost-bench spawn` and Erlang, one scheduler each, interleaved."""
    commands = {}
    if servers.ROOST_BENCH.exists():
        commands["roost"] = [servers.ROOST_BENCH, "spawn"]
    if "erlang" in options.servers:
        commands["erlang"] = servers.erlang_command("spawn_bench", ["100000", "1000000"])
    results = {name: [] for name in commands}
    for turn in range(options.rounds):
        for name, line in commands.items():
            pinned = ["taskset", "-c", servers.SERVER_CORE, *map(str, line)]
            done = subprocess.run(pinned, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
            found = [json.loads(row) for row in done.stdout.splitlines() if row.startswith("{")]
            if done.returncode or not found:
                raise BenchError(f"{name} printed no figures: {(done.stderr or done.stdout).strip()[:300]}")
            results[name].append(found)
            note(f"  round {turn + 1} {name}: " + "; ".join(
                f"{row.get('kind', 'parked')} {row['count']:,}: {row['ns_each']:.0f} ns, {row['bytes_each']:.0f} B"
                for row in found))
    return results


def spinners(options):
    """Fault (a): echo latency at 10,000 messages a second, without and with 100 spinning handlers beside it."""
    names = [name for name in options.servers if name in ("roost", "erlang")]
    return interleave(options, names, lambda server: spin_round(server, options.seconds), demo=True)


def spin_round(server, seconds):
    load = {"connections": 100, "size": 64, "rate": 10_000, "seconds": seconds}
    quiet = generate(server, "rate", **load)
    with beside(server, "idle", "/demo/spin", connections=100, say="go") as spinning:
        spinning.wait_until_ready()
        time.sleep(0.3)
        report = generate(server, "rate", **load)
    report["quiet_p50_us"], report["quiet_p99_us"] = quiet["p50_us"], quiet["p99_us"]
    return report


def traps(options):
    """Fault (b): contained traps of each kind in a row while 1,000 other connections echo 5,000 messages a second."""
    if "roost" not in options.servers:
        return {}
    results = {}
    for kind in TRAP_KINDS:
        try:
            with running("roost", demo=True) as server:
                results[kind] = [trap_round(server, kind, options.traps)]
            note(f"  {kind}: {json.dumps(results[kind][0])}")
        except BenchError as error:
            options.failures.append(f"traps, {kind}: {error}")
            note(f"  {kind}: {error}")
    return results


def trap_round(server, kind, count):
    path = f"/demo/trap/{kind}"
    generate(server, "trap", path, strict=False, connections=20, count=200, seconds=20)  # what is paid once
    with beside(server, "rate", strict=False, connections=1000, size=64, rate=5000) as others:
        time.sleep(1.5)
        before = server.memory()["rss_anon"]
        trapped = generate(server, "trap", path, strict=False, connections=20, count=count, seconds=90)
        after = server.memory()["rss_anon"]
        echoed = others.finish()
    return {"traps": trapped["traps"], "restarts": trapped["restarts"], "stalls": trapped["stalls"],
            "trap_errors": trapped["errors"], "seconds": trapped["seconds"], "growth_bytes": after - before,
            "growth_bytes_each": (after - before) / max(1, trapped["traps"]), "echoed": echoed["received"],
            "lost": echoed["lost"], "other_errors": echoed["errors"], "p99_us": echoed["p99_us"]}


def neverread(options):
    """Fault (c): 20 clients that send and never read, and 4 handlers that hoard, beside 100 echo clients."""
    results = {}
    for name in (name for name in echo_servers(options) if name in options.servers):
        with running(name, demo=name == "roost") as server:
            results[name + " 20 never read"] = [deaf_clients(server)]
        note(f"  {name} 20 never read: {json.dumps(results[name + ' 20 never read'][0])}")
        if name != "roost":
            continue
        with running(name, demo=True) as server:
            results["roost 4 hogs"] = [hogs(server)]
        note(f"  roost 4 hogs: {json.dumps(results['roost 4 hogs'][0])}")
    return results


def with_bystanders(server, disturb, seconds):
    """Echo latency of 100 bystanders while `disturb` is under way, and the server's highest memory above its first."""
    before = server.memory()["rss_anon"]
    with disturb as under_way, beside(server, "rate", strict=False, connections=100, size=64, rate=5000) as others:
        peak, end = before, time.monotonic() + seconds
        while time.monotonic() < end:
            server.check_alive()
            peak = max(peak, server.memory()["rss_anon"])
            time.sleep(0.05)
        echoed = others.finish()
        under_way.process.stdin.close()
        under_way.process.wait(30)
    return {"growth_bytes": peak - before, "p50_us": echoed["p50_us"], "p99_us": echoed["p99_us"],
            "lost": echoed["lost"], "other_errors": echoed["errors"]}


def deaf_clients(server):
    """20 clients that send 4 KiB messages and never read their echoes."""
    load = beside(server, "neverread", strict=False, connections=20, size=4096, seconds=60)
    return with_bystanders(server, load, seconds=4)


def hogs(server, count=4):
    """Handlers that hoard memory until their heap limit ends them; each is abandoned with what it hoarded."""
    load = beside(server, "idle", "/demo/hog", strict=False, connections=count, say="go")
    return with_bystanders(server, load, seconds=4)


def hoards(options):
    """50 handlers at once that hoard memory until their limit ends them, over and over, beside 1,000 echo clients."""
    if "roost" not in options.servers:
        return {}
    settings = {"max_handler_bytes": "1536KiB", "max_leaked_bytes": "1TiB", "restart_intensity": 1_000}
    load = {"connections": 1000, "size": 64, "rate": 5000}
    with running("roost", demo=True, **settings) as server:
        quiet = generate(server, "rate", seconds=3, **load)
        with beside(server, "rate", strict=False, **load) as others:
            time.sleep(1)
            before, start = server.memory()["rss_anon"], time.monotonic()
            hoarded = generate(server, "trap", "/demo/hog", strict=False, connections=50, count=1_000, seconds=60)
            seconds = time.monotonic() - start
            after = server.memory()["rss_anon"]
            report = others.finish()
        server.check_alive()
    report |= {"quiet_p50_us": quiet["p50_us"], "quiet_p99_us": quiet["p99_us"], "ended": hoarded["traps"],
               "mebibytes_per_second": hoarded["traps"] * 2 / seconds, "growth_bytes": after - before}
    note(f"  hoards: {json.dumps(report)}")
    return {"roost": [report]}


def stuck(options):
    """Echo latency of 100 connections on one scheduler while a handler there is stuck in native code for 5 s."""
    if "roost" not in options.servers:
        return {}
    results = {}
    for _ in range(min(options.rounds, 3)):
        for kind in ("sleep", "read", "compute"):
            with running("roost", demo=True) as server:
                report = stuck_round(server, kind)
            results.setdefault(kind, []).append(report)
            note(f"  stuck in {kind}: {json.dumps(report)}")
    return results


def stuck_round(server, kind):
    load = {"connections": 100, "size": 64, "rate": 10_000, "seconds": 4}
    quiet = generate(server, "rate", **load)
    with beside(server, "rate", strict=False, **load) as others:
        time.sleep(1)
        with beside(server, "idle", f"/demo/stuck/{kind}", connections=1, say="go") as one:
            one.wait_until_ready()
            report = others.finish()
    report["quiet_p50_us"], report["quiet_p99_us"] = quiet["p50_us"], quiet["p99_us"]
    return report


def runtime(options):
    """Processes and messages: every program of `roost-bench` beside the same one on the BEAM."""
    return runtime_figure.measure(options, note)


def counts(options):
    """Instructions and allocations per echoed message, counted by callgrind."""
    return counts_figure.measure(options, note)


def loadtester(options):
    """Echoes a second of Roost's load tester, and of the C generator on the same server."""
    return of_load_tester(options, lambda server: loadtester_figure.compare(server, options.seconds))


def loadtester_idle(options):
    """User-space bytes of the load tester for each idle connection, in one process and in several."""
    results = of_load_tester(options, loadtester_figure.hold, min(options.rounds, 3))
    try:
        results |= loadtester_figure.hold_many()
    except BenchError as error:
        options.failures.append(f"{error}")
        note(f"  {error}")
    return results


def of_load_tester(options, measure, rounds=None):
    if not servers.LOADTEST.exists():
        raise BenchError("loadtest is not built: make release")
    found = interleave(options, ["roost"], lambda server: {"generators": measure(server)}, rounds)
    return loadtester_figure.by_generator(found.get("roost", []))


FIGURES = {function.__name__.replace("_", "-"): function for function in (
    echo64x1, echo64x16, echo4k, echo64k, connect, tls64x1, tls64x16, tls4096x1, tlsconnect, tlsresume,
    deflate256, deflate4096, fanout1, fanout8, idle, counts, spawn, runtime, spinners, stuck, hoards, traps, neverread,
    loadtester, loadtester_idle)}
