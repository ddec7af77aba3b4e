# SPDX-License-Identifier: Apache-2.0
"""The runtime's figure: processes and messages, by `roost-bench` and by the same programs on the BEAM.

Both run on the same cores, a fresh program each, Roost and Erlang by turns; a ratio is the median of the rounds' own.
"""
import json
import statistics
import subprocess

import servers
from quantities import TIMES, Unit, spread
from servers import BenchError

ONE_CORE, TWO_CORES = servers.SERVER_CORE, f"{servers.SERVER_CORE},{servers.GENERATOR_CORE}"
PROGRAM_SECONDS_MAX = 60

# Program: what follows `roost-bench`, then the Erlang module with its arguments (None: it has no peer), then cores.
PROGRAMS = {
    "spawn": ("spawn", ("spawn_bench", "100000 1000000"), ONE_CORE),
    "pingpong": ("pingpong --messages 4000000", ("runtime_bench", "pingpong 4000000"), ONE_CORE),
    "ring": ("ring --processes 1000 --rounds 4000", ("runtime_bench", "ring 1000 4000"), ONE_CORE),
    "stream": ("stream --messages 4000000", ("runtime_bench", "stream 4000000"), ONE_CORE),
    "monitor": ("monitor --processes 1000000", ("runtime_bench", "monitor 1000000"), ONE_CORE),
    "fanout": ("fanout --receivers 5000 --rounds 400", ("runtime_bench", "fanout 5000 400"), ONE_CORE),
    "pairs_one": ("pairs --pairs 1000 --rounds 2000 --schedulers 1", None, ONE_CORE),
    "pairs": ("pairs --pairs 1000 --rounds 2000 --schedulers 2", ("runtime_bench", "pairs 1000 2000"), TWO_CORES),
    "timers": ("timers --timers 1000000", ("runtime_bench", "timers 1000000"), ONE_CORE),
    "latency": ("latency --echoes 100 --spinners 1000 --rounds 200", ("runtime_bench", "latency 100 1000 200"),
                ONE_CORE),
    "churn": ("churn --echoes 1000 --churners 10", None, ONE_CORE),
    "call": ("call --calls 1000000", ("call_bench", "1000000"), ONE_CORE),
    "top": ("top --processes 1000000", None, ONE_CORE),
    "memory": ("memory-return --processes 1000000", None, ONE_CORE),
}

# Title, program, kind, count (None: the only one), key, unit, and how many times better than Erlang to be.
ROWS = [
    ("spawn 100,000 parked processes", "spawn", "parked", 100_000, "ns_each", "ns", 5),
    ("spawn 1,000,000 parked processes", "spawn", "parked", 1_000_000, "ns_each", "ns", 5),
    ("ping-pong between two processes, a message", "pingpong", "pingpong", None, "ns_each", "ns", 4),
    ("ring of 1,000 processes, a hop", "ring", "ring", None, "ns_each", "ns", 4),
    ("one sender to one receiver, a message", "stream", "stream", None, "ns_each", "ns", 2),
    ("spawn with monitor, exit, `DOWN` received", "monitor", "monitor", None, "ns_each", "ns", 4),
    ("one sender to 5,000 receivers, a send and receive", "fanout", "fanout", None, "ns_each", "ns", 3),
    ("two cores: 1,000 pairs of ping-pong, a message", "pairs", "pairs", None, "ns_each", "ns", 3),
    ("`call` round trip (gen_server:call)", "call", "call", None, "ns_each", "ns", 4),
    ("timers: 1,000,000 armed, 99 % cancelled, each", "timers", "timers", None, "ns_each", "ns", 3),
    ("100 echo processes beside 1,000 spinners, p99", "latency", "latency", None, "p99_us", "µs", 1),
]
PARKED_BYTES_MAX = 512
TWO_CORE_GAIN = 1.8
CHURN_FACTOR_MAX = 1.5
MEMORY_KEPT_MAX = 1.10


def run_program(name, line, cores):
    """Runs one program on `cores` and returns what it printed: {(kind, count): row}."""
    done = subprocess.run(["taskset", "-c", cores, *map(str, line)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=PROGRAM_SECONDS_MAX)
    rows = [json.loads(text) for text in done.stdout.splitlines() if text.startswith("{")]
    if done.returncode or not rows:
        raise BenchError(f"{name} printed no figures: {(done.stderr or done.stdout).strip()[:300]}")
    return {(row["kind"], row["count"]): row for row in rows}


def erlang_line(peer, cores):
    module, arguments = peer
    schedulers = len(cores.split(","))
    return servers.erlang_command(module, arguments.split(), schedulers)


def measure(options, note):
    """{program: {"roost": [rows of each round], "erlang": [...]}}; a program that fails is named and left out."""
    if not servers.ROOST_BENCH.exists():
        raise BenchError("roost-bench is not built; run `make release`")
    results, failed = {name: {"roost": [], "erlang": []} for name in PROGRAMS}, set()
    for turn in range(options.rounds):
        for name, (arguments, peer, cores) in PROGRAMS.items():
            if name in failed:
                continue
            lines = {"roost": [servers.ROOST_BENCH, *arguments.split()]}
            if peer and "erlang" in options.servers:
                lines["erlang"] = erlang_line(peer, cores)
            try:
                for runtime, line in lines.items():
                    results[name][runtime].append(as_list(run_program(f"{runtime} {name}", line, cores)))
            except (BenchError, subprocess.TimeoutExpired) as error:
                failed.add(name)
                options.failures.append(f"runtime, {name}: {error}")
            note(f"  round {turn + 1} {name}: {brief(results[name])}")
    return {name: found for name, found in results.items() if name not in failed}


def as_list(rows):
    """As JSON has it: no pairs for keys."""
    return list(rows.values())


def brief(found):
    def last(rounds):
        rows = rounds[-1] if rounds else []
        return ", ".join(f"{row['kind']} " + (f"{row['ns_each']:.0f} ns" if "ns_each" in row else
                         f"p99 {row['p99_us']:.0f} µs" if "p99_us" in row else
                         f"{row['bytes']:,} B") for row in rows)
    return "; ".join(f"{runtime} {last(rounds)}" for runtime, rounds in found.items() if rounds)


def values(rounds, kind, count, key):
    """The figure of each round."""
    return [row[key] for rows in rounds for row in rows
            if row["kind"] == kind and count in (None, row["count"]) and key in row]


def median_ratio(over, under):
    """The median of the rounds' own ratios: neighbours in time share the machine's mood."""
    return statistics.median(a / b for a, b in zip(over, under)) if over and under else None


def quantity(figures, unit):
    return spread(figures, Unit(f" {unit}", is_whole=unit == "B"))


def verdict(ratio, target):
    return [TIMES.text(ratio), target]


def compared_rows(results):
    for title, program, kind, count, key, unit, target in ROWS:
        found = results.get(program, {"roost": [], "erlang": []})
        ours, theirs = (values(found[name], kind, count, key) for name in ("roost", "erlang"))
        wanted = "lower (> 1 x)" if target == 1 else f"≥ {target} x"
        yield [title, quantity(ours, unit), quantity(theirs, unit), *verdict(median_ratio(theirs, ours), wanted)]


def memory_row(results):
    found = results.get("spawn", {"roost": [], "erlang": []})
    ours, theirs = (values(found[name], "parked", 1_000_000, "bytes_each") for name in ("roost", "erlang"))
    hibernated = values(found["erlang"], "hibernated", 1_000_000, "bytes_each")
    peer = quantity(theirs, "B") + (f" (hibernated {quantity(hibernated, 'B')})" if hibernated else "")
    return ["memory of a process parked in `receive`", quantity(ours, "B"), peer,
            *verdict(median_ratio(theirs, ours), f"≤ {PARKED_BYTES_MAX} B")]


def gain_row(results):
    one, two = (values(results.get(name, {"roost": []})["roost"], "pairs", None, "ns_each")
                for name in ("pairs_one", "pairs"))
    return ["… and Roost's two cores beside its one", quantity(two, "ns"), f"Roost, one core: {quantity(one, 'ns')}",
            *verdict(median_ratio(one, two), f"≥ {TWO_CORE_GAIN} x")]


def churn_row(results):
    rounds = results.get("churn", {"roost": []})["roost"]
    quiet, loud = values(rounds, "churn_quiet", None, "p99_us"), values(rounds, "churn", None, "p99_us")
    rate = values(rounds, "churn", None, "bytes_per_second")
    made = f"{statistics.median(rate) / 2**30:.2f} GiB/s" if rate else "–"
    return [f"p99 of 1,000 echo processes, ten others making {made} of garbage", quantity(loud, "µs"),
            f"Roost, without: {quantity(quiet, 'µs')}", *verdict(median_ratio(loud, quiet), f"≤ {CHURN_FACTOR_MAX} x")]


def kept_row(results):
    rounds = results.get("memory", {"roost": []})["roost"]
    kept, after = values(rounds, "memory_idle", None, "times_before"), values(rounds, "memory_idle", None, "bytes")
    peak = values(rounds, "memory_parked", None, "bytes")
    mebibytes = lambda figures: [figure / 2**20 for figure in figures]
    return ["memory after 1,000,000 processes came and went", quantity(mebibytes(after), "MiB"),
            f"Roost, with them: {quantity(mebibytes(peak), 'MiB')}",
            *verdict(statistics.median(kept) if kept else None, f"≤ {MEMORY_KEPT_MAX:.2f} x the start")]


def top_row(results):
    rounds = results.get("top", {"roost": []})["roost"]
    found = [values(rounds, f"top_{figure}", None, "ns_each") for figure in ("memory", "reductions", "mailbox")]
    times = " / ".join(quantity([time / 1e6 for time in figures], "ms") if figures else "–" for figures in found)
    return ["topProcesses of 1,000,000, by memory / reductions / mailbox", times, "–", "–", "well under 100 ms"]


def rows(results):
    """(head, rows) of the table."""
    head = ["runtime", "Roost", "Erlang/OTP 25", "ratio", "to reach"]
    compared = list(compared_rows(results))
    body = compared[:2] + [memory_row(results)] + compared[2:8] + [gain_row(results)] + compared[8:]
    return head, body + [churn_row(results), kept_row(results), top_row(results)]
