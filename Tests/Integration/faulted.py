"""Every other case once more, while the kernel does what it may and rarely does: nobody may notice.

Short reads and writes, EINTR, spurious EAGAIN, ENOBUFS, events that come one at a time (Tests/Faults). The same cases
under another seed: `Tests/Integration/run --faults SEED [PATTERN...]`.
"""

import concurrent.futures
import functools
import os
import subprocess
import time

import faulting
import harness
from harness import case

SEEDS = [1, 2, 3]

# What no peer may notice, and how often it happens: most calls that can go wrong do within a few messages.
READS = "rate=0.15;faults=short-read,eintr,eagain-read,few-events"
BENIGN = "rate=0.15;faults=short-read,short-write,eintr,eagain,enobufs:0.05,few-events"

# Of these modules nothing: they inject faults, or peers', of their own.
MODULES_LEFT_OUT = {"faultlayer", "faulted", "malign"}
# Of these modules each case is run under one of the seeds, by turns: all under all of them would take too long.
MODULES_BY_TURNS = {"tls", "compression", "doors", "requests"} | {
    f"hostile_{name}" for name in ("tls", "compressed", "doors", "requests")
}
# Cases that are not run under faults, each with the reason.
LEFT_OUT = {
    "100 idle connections: at most one tick of CPU in three seconds, no growth": "measures what the daemon uses",
    "waiting for descriptors takes no CPU": "measures what the daemon uses",
    "a handler stuck in native code holds up no other connection of its scheduler, and goes on afterwards": "14 s long",
    "a port that is taken is told in a sentence": "has no connection that anything could happen to",
    "silent surplus clients do not keep others out for good": "takes 11 s, all of it waiting",
    "TLS: paths that are wrong end the start: the file and what to do in a sentence, and no listening": "serves nobody",
    "TLS 1.3: updates of keys without end, and nothing else, are no conversation: the connection ends": "reads short",
    "compression: 200 MB of it leave the memory as it was": "measures what the daemon uses",
    "compression: an idle connection that has agreed on it, without takeover, costs no more than a plain one":
        "measures what the daemon uses",
    "compression: bombs end with 1009, in every mode, and the memory comes back": "measures what the daemon uses",
    "TLS: a thousand that open at once and stay idle; all answer; memory comes back": "measures what the daemon uses",
}
# A pong that the socket does not take at once may be overtaken by data, and pings in one go answered by the last alone
# (RFC 6455 §5.5.3): some cases expect each pong in its place, so their daemon's writes go well. So do those of the
# cases that expect an alert of TLS behind which the connection ends, a close_notify among them: it is tried only once.
READS_ONLY = {
    "TLS: ALPN: http/1.1 is chosen wherever it stands, h2 alone is refused, nothing is chosen from nothing",
    "TLS: with require-server-name, clients that ask for no name or an unknown one are refused",
    "TLS: SSL 3, TLS 1.0 and 1.1 are refused, by an alert that says so, whatever suites come along",
    "TLS: suites without forward secrecy or AEAD are refused, family by family, and each by itself",
    "TLS: compression is not agreed to (CRIME), a hello without the null method is refused",
    "TLS 1.2: a client that asks for renegotiation gets none (CVE-2011-1473)",
    "TLS: the end of the stream without a close_notify is a loss; what came before it is answered",
    "TLS: clients' certificates: none, optional, required × none, valid, another authority's, expired",
    "TLS: sessions are resumed, in both versions, by Python and s_client, also after a reload",
    "TLS: SIGHUP: new connections get the new certificate, open ones go on, broken files change nothing",
    "TLS 1.2 and 1.3: echoes of every size, both key types, each cipher suite of ours",
    "TLS: 16 MiB there and back, whole and in fragments, in both versions",
    "TLS: a slow reader, policy close: whole messages, then 1008; memory is bounded",
    "TLS: a slow reader, policy drop-oldest: whole frames in order, the newest kept, memory bounded",
    "TLS: drain: 1001 through TLS, close_notify behind it, nobody new, exit code 0",
    "TLS: a handler that crashes is restarted within the same TLS session",
    "TLS: a close_notify behind a request, or a message: the answer comes, then the server's own",
    "compression: a message split at every byte, by packets and by fragments, with pings between",
    "a head split anywhere, with frames behind it, is answered the same",
    "fragments with control frames between them, split at every byte",
    "the same, byte by byte",
    "pings are answered with their payload, in order",
}


def scenarios():
    """The names and functions of what is run under faults."""
    unknown = {*LEFT_OUT, *READS_ONLY} - {name for name, _ in harness.CASES}
    assert not unknown, f"no cases: {unknown}"
    for name, function in harness.CASES:
        if function.__module__ not in MODULES_LEFT_OUT and name not in LEFT_OUT:
            yield f"{function.__module__}: {name}", function


def run_under(seed, name, function):
    """One case under `seed`; how many faults it met with. One of a few calls may meet with none."""
    is_reads_only = name.split(": ", 1)[1] in READS_ONLY
    with faulting.faults(f"seed={seed};{READS if is_reads_only else BENIGN}") as faults:
        function()
        assert all(map(os.path.exists, faults.reports)), "a daemon ran without the fault layer"
        return sum(faults.counts().values())


def under(seed):
    """As cases of their own."""
    for name, function in scenarios():
        yield name, functools.partial(run_under, seed, name, function)


def every_scenario(seed):
    """All of them; each failure, and how to see it again."""
    failed, count, injected, start = [], 0, 0, time.monotonic()
    for number, (name, function) in enumerate(scenarios()):
        if function.__module__ in MODULES_BY_TURNS and SEEDS[number % len(SEEDS)] != seed:
            continue
        count += 1
        try:
            injected += run_under(seed, name, function)
        except (AssertionError, harness.Ended, OSError, subprocess.TimeoutExpired) as error:
            notes = " ".join(getattr(error, "__notes__", []))
            failed.append(f"Tests/Integration/run --faults {seed} '{name}'\n    {error!r}\n    {notes}")
    print(f"    seed {seed}: {injected} faults in {time.monotonic() - start:.0f} s")
    if injected < 10 * count:
        failed.append(f"seed {seed}: {injected} faults in {count} cases: the test tested hardly anything")
    return failed


@case(f"under short reads and writes, EINTR, EAGAIN, ENOBUFS everything goes as it went: seeds {SEEDS}")
def benign():
    faulting.library()
    # Beside each other: much of their time is waiting.
    with concurrent.futures.ThreadPoolExecutor(len(SEEDS)) as threads:
        failed = [failure for failures in threads.map(every_scenario, SEEDS) for failure in failures]
    assert not failed, "\n".join(failed)
