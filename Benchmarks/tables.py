# SPDX-License-Identifier: Apache-2.0
"""Every group of figures: its table, its plot and what is said of it. bench.py prints them, report.py writes them."""
from typing import Callable, NamedTuple, Optional

import counts
import runtime
from plots import Bar, Panel, Plot
from quantities import (BYTES, COUNT, MEBIBYTES, MICROSECONDS, MILLISECONDS, NANOSECONDS, PERCENT, THOUSANDS, TIMES,
                        full, ratios, short, spread, table, values)

ECHO_TITLES = {
    "echo64x1": "echo 64 B, 100 connections, 1 in flight",
    "echo64x16": "echo 64 B, 100 connections, 16 in flight",
    "echo4k": "echo 4 KiB, 100 connections, 1 in flight",
    "echo64k": "echo 64 KiB, 20 connections, 1 in flight",
    "connect": "connect, one echo, close",
}
ECHO_TARGETS = {"echo64x1": 1.75, "echo64x16": 4.5, "echo4k": 2.0, "echo64k": 3.2, "connect": 1.8}  # times SwiftNIO
TLS_TITLES = {
    "tls64x1": "TLS echo 64 B, 100 connections, 1 in flight",
    "tls64x16": "TLS echo 64 B, 100 connections, 16 in flight",
    "tls4096x1": "TLS echo 4 KiB, 100 connections, 1 in flight",
    "tlsconnect": "connect, full handshake, one echo, close",
    "tlsresume": "connect, resumed handshake, one echo, close",
}
DEFLATE_TITLES = {"deflate256": "compressed echo of 256 B of JSON", "deflate4096": "compressed echo of 4 KiB of JSON"}
FANOUT_TITLES = {"fanout1": "1 message in flight", "fanout8": "8 messages in flight"}
PEERS = {"roost": "Roost", "nio": "SwiftNIO", "nginx": "nginx before Roost", "nchan": "nginx with nchan",
         "uws": "uWebSockets", "node": "node-ws", "erlang": "Erlang"}
FEATURES = {"tls": "TLS", "deflate": "compressed", "default": "default compression"}
LOAD_GENERATORS = {"loadtest": "Roost's load tester", "loadgen": "the generator in C"}
STUCK_TITLES = {"sleep": "`sleep`", "read": "`read` of a silent pipe", "compute": "a loop without reduction points"}
GENERATOR_LIMIT = 0.95  # of its core: from there on it may have been the limit of messages a second


class Group(NamedTuple):
    name: str
    title: str
    figures: list
    table: Callable
    plot: Optional[Callable]
    text: str


def peer(server):
    """A server's program as a table heads it."""
    return PEERS[server.split("+")[0]]


def label(server):
    """A server and what it was started with."""
    found = [FEATURES[feature] for feature in server.split("+")[1:] if feature in FEATURES]
    return ", ".join([peer(server), *found])


def is_ours(server):
    return server.split("+")[0] == "roost"


def servers_of(results, figures):
    """Those that any of these figures has, Roost first."""
    found = dict.fromkeys(server for figure in figures for server in results.get(figure, {}))
    return sorted(found, key=lambda server: (not is_ours(server), list(PEERS).index(server.split("+")[0])))


def rate_rows(results, titles, servers):
    """For each figure: each server's messages per second of its CPU, then Roost's ratio to each of the others."""
    ours = servers[0]
    for figure, title in titles.items():
        found = results.get(figure)
        if found:
            yield [title, *(full(found.get(server), "per_cpu_second", THOUSANDS) for server in servers),
                   *(spread(ratios(found.get(ours), found.get(server), "per_cpu_second"), TIMES)
                     for server in servers[1:])]


def rate_table(results, titles, what, targets=None):
    servers = servers_of(results, titles)
    head = [what, *map(peer, servers), *(f"{peer(servers[0])} / {peer(server)}" for server in servers[1:])]
    rows = list(rate_rows(results, titles, servers))
    if targets:
        head.append("to reach")
        rows = [[*row, f"≥ {targets[figure]} x"] for row, figure in zip(rows, filter(results.get, titles))]
    return table(head, rows)


def bars(found, key, name=label):
    return [Bar(name(server), values(found[server], key), is_ours(server)) for server in servers_of({0: found}, [0])]


def rate_plot(results, titles, title, note, name=label):
    panels = [Panel(text, THOUSANDS, bars(results[figure], "per_cpu_second", name))
              for figure, text in titles.items() if figure in results]
    return Plot(title, note + "; the line is the spread of the rounds", panels)


def echo_table(results):
    return rate_table(results, ECHO_TITLES, "messages per second of server CPU", ECHO_TARGETS)


def echo_plot(results):
    return rate_plot(results, ECHO_TITLES, "Echo and connect", "messages per second of server CPU, more is better")


def tls_table(results):
    spoken = {report["tls"] for figure in TLS_TITLES for reports in results.get(figure, {}).values()
              for report in reports}
    return rate_table(results, TLS_TITLES, f"per second of server CPU, {', '.join(sorted(spoken))}")


def tls_plot(results):
    note = "messages or connections per second of server CPU, more is better"
    return rate_plot(results, TLS_TITLES, "TLS 1.3", note, peer)


def deflate_table(results):
    rows = []
    for figure, title in DEFLATE_TITLES.items():
        found = results.get(figure, {})
        for server in servers_of(results, [figure]):
            rows.append([title, label(server), full(found[server], "per_cpu_second", THOUSANDS),
                         short(found[server], "wire_bytes_each", BYTES),
                         spread(ratios(found.get("roost+deflate"), found[server], "per_cpu_second"), TIMES)])
    head = ["permessage-deflate", "server", "messages per second of server CPU", "answer on the wire", "Roost / this"]
    return table(head, rows)


def deflate_plot(results):
    return rate_plot(results, DEFLATE_TITLES, "Compression", "messages per second of server CPU, more is better")


def fanout_table(results):
    rows = []
    for figure, title in FANOUT_TITLES.items():
        found = results.get(figure, {})
        nchan = found.get("nchan")
        for server in servers_of(results, [figure]):
            reports = found[server]
            rows.append([title, peer(server), full(reports, "per_cpu_second", THOUSANDS),
                         full(reports, "per_second", THOUSANDS), short(reports, "p50_us", MILLISECONDS),
                         short(reports, "p99_us", MILLISECONDS),
                         spread(ratios(reports, nchan, "per_cpu_second"), TIMES)])
    head = ["fan-out to 5,000, 100 B", "server", "deliveries per second of server CPU", "deliveries per second",
            "p50 to delivery", "p99", "this / nchan"]
    return table(head, rows)


def fanout_plot(results):
    return rate_plot(results, FANOUT_TITLES, "Fan-out of 100 B to 5,000 subscribers",
                     "deliveries per second of server CPU, more is better")


def idle_table(results):
    found = results["idle"]
    rows = [[label(server), full(found[server], "bytes_each", BYTES), full(found[server], "rss_anon_bytes_each", BYTES),
             short(found[server], "connections", COUNT)] for server in idle_order(found)]
    return table(["idle connection", "private dirty, each", "anonymous, each", "held"], rows)


def idle_order(found):
    """What is alike beside each other: plain, TLS, compressed, both."""
    return sorted(servers_of({0: found}, [0]), key=lambda server: ("+tls" in server, "+de" in server))


def idle_plot(results):
    found, kinds = results["idle"], {}
    for server in idle_order(found):
        kinds.setdefault(("+tls" in server, "+de" in server), []).append(server)
    names = {(False, False): "plain", (True, False): "TLS", (False, True): "compressed",
             (True, True): "TLS, compressed"}
    panels = [Panel(names[kind], BYTES, [Bar(label(server), values(found[server], "bytes_each"), is_ours(server))
                                         for server in servers]) for kind, servers in kinds.items()]
    return Plot("Memory of an idle connection", "private dirty bytes in user space, each; less is better", panels)


def runtime_table(results):
    return table(*runtime.rows(results["runtime"]))


def runtime_plot(results):
    units = {"ns": NANOSECONDS, "µs": MICROSECONDS}
    panels = []
    for title, program, kind, count, key, unit, _ in runtime.ROWS:
        found = results["runtime"].get(program, {})
        panels.append(Panel(title.replace("`", ""), units[unit], [
            Bar(PEERS[name], runtime.values(found.get(name, []), kind, count, key), name == "roost")
            for name in ("roost", "erlang")]))
    return Plot("Processes and messages", "time of each, less is better; the line is the spread of the rounds", panels)


def spawn_table(results):
    by_kind = {}
    for name, rounds in results["spawn"].items():
        for row in (row for one in rounds for row in one):
            by_kind.setdefault((name, row.get("kind", "parked"), row["count"]), []).append(row)
    rows = [[PEERS[name], kind, f"{count:,}", full(reports, "ns_each", NANOSECONDS), full(reports, "bytes_each", BYTES)]
            for (name, kind, count), reports in by_kind.items()]
    return table(["processes", "kind", "count", "time, each", "memory, each"], rows)


LATENCIES = {"quiet_p50_us": "p50 without", "quiet_p99_us": "p99 without", "p50_us": "p50 with", "p99_us": "p99 with",
             "max_us": "max with"}


def latency_row(title, reports):
    lost = str(max(report["lost"] for report in reports))
    return [title, *(full(reports, key, MILLISECONDS) for key in LATENCIES), lost]


def spinner_table(results):
    rows = [latency_row(PEERS[name], reports) for name, reports in results["spinners"].items()]
    return table(["beside 100 spinners", *LATENCIES.values(), "lost"], rows)


def spinner_plot(results):
    found = results["spinners"]
    panels = [Panel(title, MILLISECONDS, bars(found, key)) for key, title in (
        ("quiet_p50_us", "p50 without spinners"), ("p50_us", "p50 beside 100 spinners"),
        ("quiet_p99_us", "p99 without spinners"), ("p99_us", "p99 beside 100 spinners"))]
    return Plot("10,000 echoes a second beside handlers that loop", "latency from the time due, less is better", panels)


def stuck_table(results):
    rows = [latency_row(STUCK_TITLES[kind], reports) for kind, reports in results["stuck"].items()]
    return table(["one handler stuck for 5 s in", *LATENCIES.values(), "lost"], rows)


def hoard_table(results):
    rows = [[f"{report['ended']:,}", f"{report['mebibytes_per_second'] / 1024:.2f} GiB/s",
             MEBIBYTES.text(report["growth_bytes"]), MILLISECONDS.text(report["quiet_p99_us"]),
             MILLISECONDS.text(report["p99_us"]), str(report["lost"] + report["errors"])]
            for reports in results["hoards"].values() for report in reports]
    return table(["50 hogs: ended", "hoarded", "lost memory", "others' p99 without", "with", "others' lost"], rows)


def trap_table(results):
    rows = [[kind, f"{report['traps']:,}", str(report["stalls"] + report["trap_errors"]), f"{report['echoed']:,}",
             str(report["lost"] + report["other_errors"]), BYTES.text(report["growth_bytes_each"]),
             MILLISECONDS.text(report["p99_us"])] for kind, (report, *_) in results["traps"].items()]
    head = ["trap", "contained", "unanswered", "others' echoes", "others' lost", "memory per trap", "others' p99"]
    return table(head, rows)


def neverread_table(results):
    rows = []
    for name, (report, *_) in results["neverread"].items():
        server, what = name.split(" ", 1)
        rows.append([f"{PEERS[server]}, {what}", MEBIBYTES.text(report["growth_bytes"]),
                     MILLISECONDS.text(report["p50_us"]), MILLISECONDS.text(report["p99_us"]),
                     str(report["lost"] + report["other_errors"])])
    return table(["misbehaving", "memory, at most", "others' p50", "others' p99", "others' lost"], rows)


def counts_table(results):
    return table(*counts.rows(results["counts"]))


def loadtester_table(results):
    rows = [[name, full(reports, "per_second", THOUSANDS), full(reports, "per_generator_cpu_second", THOUSANDS),
             full(reports, "generator_cpu_share", PERCENT), short(reports, "p50_us", MILLISECONDS),
             short(reports, "p99_us", MILLISECONDS)] for name, reports in results["loadtester"].items()]
    head = ["64 B, 100 connections", "echoes per second", "per second of generator CPU", "of its core", "p50", "p99"]
    return table(head, rows)


def loadtester_plot(results):
    panels = {}
    for name, reports in results["loadtester"].items():
        generator, load = name.split(", ")
        for key, what in (("per_second", "echoes per second"),
                          ("per_generator_cpu_second", "per second of its own CPU")):
            panels.setdefault(f"{load}, {what}", []).append(
                Bar(LOAD_GENERATORS[generator], values(reports, key), generator == "loadtest"))
    return Plot("The load tester beside the generator in C", "64 B, 100 connections, one Roost; more is better",
                [Panel(title, THOUSANDS, found) for title, found in panels.items()])


def loadtester_idle_table(results):
    rows = [[name, short(reports, "connections", COUNT), full(reports, "bytes_each", BYTES)]
            for name, reports in results["loadtester-idle"].items()]
    return table(["load tester in", "connections", "user-space memory, each"], rows)


GROUPS = [
    Group("echo", "Echo and connect", list(ECHO_TITLES), echo_table, echo_plot, """
          Each client sends messages of a given length and keeps so many in flight; every echo is checked. `connect`
          opens 50 connections at a time, each for one echo."""),
    Group("tls", "TLS", list(TLS_TITLES), tls_table, tls_plot, """
          TLS 1.3 with AES-128-GCM over X25519 and an ECDSA P-256 certificate for all. nginx before Roost: one worker
          ends TLS and proxies to a plain Roost on the same core; both count."""),
    Group("deflate", "Compression", list(DEFLATE_TITLES), deflate_table, deflate_plot, """
          JSON-like records with permessage-deflate: the server inflates them and compresses its answer. Roost and
          *node-ws, compressed* use level 1 without context takeover."""),
    Group("fanout", "Fan-out", list(FANOUT_TITLES), fanout_table, fanout_plot, """
          One publisher sends 100 B to a room with 5,000 subscribers, and the next message when one has reached them
          all, with so many in flight; number, order, length and content of every delivery are checked. nchan keeps no
          messages; uWebSockets runs natively under Python, which has one call for each message published."""),
    Group("idle", "Memory of idle connections", ["idle"], idle_table, idle_plot, """
          Growth of private dirty pages from no connection to all of them, each upgraded and having echoed one
          message, of 2 KiB where compression was agreed on. Fewer are held where a proxy needs two descriptors for
          each."""),
    Group("runtime", "Processes and messages", ["runtime"], runtime_table, runtime_plot, """
          The same programs in Roost and in Erlang/OTP with the JIT, by turns, on one core unless it says two.
          `Benchmarks/README.md` tells what each does."""),
    Group("spawn", "Spawning", ["spawn"], spawn_table, None, """
          Processes spawned and parked in `receive`, and hibernated in Erlang."""),
    Group("spinners", "Beside handlers that loop", ["spinners"], spinner_table, spinner_plot, """
          100 connections echo 10,000 messages a second; then 100 others' handlers loop without end on the same
          scheduler."""),
    Group("stuck", "Beside a handler stuck in native code", ["stuck"], stuck_table, None, """
          100 connections echo 10,000 messages a second on one scheduler while one handler there is stuck for 5 s."""),
    Group("hoards", "Beside handlers that hoard memory", ["hoards"], hoard_table, None, """
          50 handlers at once hoard memory until their limit ends them, over and over, while 1,000 connections echo
          5,000 messages a second."""),
    Group("traps", "Traps contained", ["traps"], trap_table, None, """
          Handlers trap in a row, each kind on a fresh server, while 1,000 other connections echo 5,000 messages a
          second."""),
    Group("neverread", "Beside clients that never read", ["neverread"], neverread_table, None, """
          20 clients send 4 KiB messages and never read their echoes, or 4 handlers hoard memory, while 100
          connections echo 5,000 messages a second."""),
    Group("counts", "Instructions and allocations", ["counts"], counts_table, None, """
          For an echoed message, counted by callgrind, without the kernel's: no busy machine alters them."""),
    Group("loadtester", "The load tester", ["loadtester"], loadtester_table, loadtester_plot, """
          Roost's load tester and the C generator that all other figures use, by turns on one core, against one Roost
          on the other."""),
    Group("loadtester-idle", "Idle clients of the load tester", ["loadtester-idle"], loadtester_idle_table, None, """
          User-space memory that the load tester needs for each connection it holds: 19,000 in one process and in
          four, 250,000 in fourteen, against as many servers. What programs need themselves is spread over them."""),
]


def generator_limits(results):
    """Where the generator may have bounded messages a second, though not those per second of server CPU."""
    is_limited = lambda report: isinstance(report, dict) and report.get("generator_cpu_share", 0) > GENERATOR_LIMIT
    limited = [f"{figure} of {name}" for figure, found in results.items() if figure != "loadtester"
               for name, reports in found.items() if isinstance(reports, list) and any(map(is_limited, reports))]
    return "The generator's core was full in: " + ", ".join(limited) + "." if limited else ""
