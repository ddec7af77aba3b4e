# SPDX-License-Identifier: Apache-2.0
"""What a figure was measured with: the machine, the commit, and the version of each program."""
import json
import os
import pathlib
import platform
import re
import subprocess
import time

import servers

NIO_RESOLVED = servers.HERE / "NIOEcho" / "Package.resolved"
SOCKETIFY_VERSION = "import importlib.metadata; print(importlib.metadata.version('socketify'))"
WS_PACKAGE = pathlib.Path("/usr/share/nodejs/ws/package.json")


def machine():
    lines = open("/proc/cpuinfo").read().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "?")
    return {"cpu": model.replace("(R)", "").replace("(TM)", ""), "cores": os.cpu_count(),
            "kernel": numbers(platform.release())}


def now():
    return {"date": time.strftime("%Y-%m-%d"), "load_at_start": round(os.getloadavg()[0], 1)}


def commit():
    """The commit that is checked out, with a word on what is not in it; for a binary from elsewhere that is said."""
    if any(name in os.environ for name in ("ROOST_BINARY", "ROOST_BENCH_BINARY", "LOADTEST_BINARY")):
        return f"{output(['git', 'rev-parse', '--short=10', 'HEAD'])}, with a binary built elsewhere"
    changed = output(["git", "status", "--porcelain", "--", "Sources", "loadtest", "Package.swift", "Benchmarks"])
    changed = [line for line in changed.splitlines() if "Benchmarks/results/" not in line]
    return output(["git", "rev-parse", "--short=10", "HEAD"]) + (", with changes" if changed else "")


def versions(names):
    """{program: its title and version}, for those of `names` that tell one."""
    known = {"roost": lambda: "Roost " + numbers(output([servers.ROOST, "--version"])),
             "nio": lambda: "SwiftNIO " + resolved("swift-nio"),
             "nginx": nginx, "nchan": lambda: f"nchan {package('libnginx-mod-nchan')} in {nginx()}",
             "node": lambda: f"node-ws {json.loads(WS_PACKAGE.read_text())['version']} on Node.js "
                             + numbers(output(["node", "--version"])),
             "erlang": lambda: "Erlang/OTP " + erlang(),
             "uws": lambda: "uWebSockets of socketify " + output([servers.PYTHON, "-c", SOCKETIFY_VERSION])}
    return {name: known[name]() for name in known if name in names}


def numbers(text):
    """The first thing in `text` that looks like a version."""
    found = re.search(r"\d+(\.\d+)+", text)
    return found.group() if found else "?"


def nginx():
    return "nginx " + numbers(output([servers.NGINX, "-v"], with_errors=True))


def package(name):
    return numbers(output(["dpkg-query", "-W", "-f", "${Version}", name]))


def resolved(identity):
    pins = json.loads(NIO_RESOLVED.read_text())["pins"] if NIO_RESOLVED.exists() else []
    return next((pin["state"]["version"] for pin in pins if pin["identity"] == identity), "?")


def erlang():
    return output(["erl", "-noshell", "-noinput", "-eval", """
        {ok, Version} = file:read_file(filename:join([code:root_dir(), "releases", erlang:system_info(otp_release),
                                                      "OTP_VERSION"])),
        io:format("~s", [string:trim(Version)]), halt()."""])


def output(line, with_errors=False):
    done = subprocess.run([str(part) for part in line], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          cwd=servers.ROOT)
    return (done.stdout + (done.stderr if with_errors else "")).strip()
