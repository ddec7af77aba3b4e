# SPDX-License-Identifier: Apache-2.0
"""The servers under test and the load generator: where they lie, how they start, and how they end.

A server is named by its program and what it is started with: roost, roost+tls, roost+tls+deflate, nginx+tls (nginx that
ends TLS in front of a plain roost), node+deflate (no context takeover, level 1), node+default (ws's own settings).
These have rooms at /broadcast/ROOM: roost, node+broadcast, erlang, nchan (nginx with it), uws (uWebSockets).
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
LOADGEN = HERE / ".build" / "loadgen"
ERLANG_CODE = HERE / ".build" / "erlang"
ROOST = pathlib.Path(os.environ.get("ROOST_BINARY", ROOT / ".build" / "release" / "roost"))
ROOST_BENCH = pathlib.Path(os.environ.get("ROOST_BENCH_BINARY", ROOT / ".build" / "release" / "roost-bench"))
LOADTEST = pathlib.Path(os.environ.get("LOADTEST_BINARY", ROOT / ".build" / "release" / "loadtest"))
NIO = HERE / "NIOEcho" / ".build" / "release" / "NIOEcho"
NODE_ECHO, NODE_BROADCAST = HERE / "node" / "ws_echo.js", HERE / "node" / "ws_broadcast.js"
PYTHON = ROOT / ".build" / "venv" / "bin" / "python"
UWS_BROADCAST = HERE / "python" / "uws_broadcast.py"
NODE_PATH = "/usr/share/nodejs:/usr/lib/nodejs"  # where Debian puts node-ws; a node from elsewhere does not look there
CERTIFICATE = HERE / ".build" / "certificate"
CHAIN, KEY, AUTHORITY = (CERTIFICATE / name for name in ("localhost.pem", "localhost.key", "ca.pem"))
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
NCHAN = pathlib.Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
SERVER_CORE, GENERATOR_CORE = "0", "1"
START_DEADLINE_SECONDS = 10
STOP_DEADLINE_SECONDS = 5


class BenchError(Exception):
    """What kept a figure from being measured, in a sentence."""


def absences():
    """{program: why it is left out}, for those that are not built or installed here."""
    found = {
        "roost": (ROOST.exists(), "not built: make release"),
        "nio": (NIO.exists(), "not built: make bench-tools"),
        "erlang": (shutil.which("erl") and (ERLANG_CODE / "ws_echo.beam").exists(), "not built: make bench-tools"),
        "nginx": (NGINX and ROOST.exists(), "not installed: apt-get install nginx"),
        "nchan": (NGINX and NCHAN.exists(), "not installed: apt-get install nginx libnginx-mod-nchan"),
        "uws": (has_socketify(), "not installed: make bench-tools"),
        "node": (has_node_ws(), "not installed: apt-get install nodejs node-ws"),
    }
    return {name: reason for name, (is_there, reason) in found.items() if not is_there}


def has_node_ws():
    if not shutil.which("node"):
        return False
    found = subprocess.run(["node", "-e", "require('ws').WebSocketServer || process.exit(1)"], capture_output=True,
                           env=os.environ | {"NODE_PATH": NODE_PATH}, stdin=subprocess.DEVNULL)
    return found.returncode == 0


def has_socketify():
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", "import socketify"], capture_output=True,
                                              stdin=subprocess.DEVNULL).returncode == 0


def available():
    """The programs that are built or installed here, in the order of the table."""
    missing = absences()
    return [name for name in ("roost", "nio", "erlang", "nginx", "nchan", "uws", "node") if name not in missing]


def program(name):
    return name.split("+")[0]


def command(name, port, demo):
    """The command line of server `name`, with one scheduler, thread or event loop."""
    kind, *features = name.split("+")
    with_tls = "tls" in features
    if kind == "roost":
        line = [ROOST, "serve", "--listen", f"127.0.0.1:{port}", "--schedulers", "1", "--log-level", "error"]
        return line + (["--tls-chain", CHAIN, "--tls-key", KEY] if with_tls else []) + (["--demo"] if demo else [])
    if kind == "nio":
        return [NIO, str(port), "1"]
    if kind == "nchan":
        return nchan_command(port)
    if kind == "uws":
        return [PYTHON, UWS_BROADCAST, str(port)]
    if kind == "node" and "broadcast" in features:
        return ["node", NODE_BROADCAST, str(port)]
    if kind == "node":
        deflate = [mode for feature, mode in (("deflate", "lean"), ("default", "default")) if feature in features]
        return ["node", NODE_ECHO, str(port), *(["--tls", CHAIN, KEY] if with_tls else []),
                *(["--deflate", *deflate] if deflate else [])]
    return erlang_command("ws_echo", [str(port), *map(str, [CHAIN, KEY] if with_tls else [])])


def nginx_command(port, backend_port):
    """nginx with one worker that ends TLS and proxies WebSockets to `backend_port`, with its defaults otherwise."""
    return nginx_with(f"""    listen 127.0.0.1:{port} ssl backlog=4096;
    ssl_certificate {CHAIN};
    ssl_certificate_key {KEY};
    ssl_protocols TLSv1.2 TLSv1.3;
    location / {{
      proxy_pass http://127.0.0.1:{backend_port};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header Host $host;
      proxy_read_timeout 1h;
    }}""")


def nchan_command(port):
    """nginx with nchan: one worker, and no message is kept, which is its fastest way."""
    return nginx_with(rf"""    listen 127.0.0.1:{port} backlog=4096;
    location ~ ^/broadcast/(\w+)$ {{
      nchan_pubsub websocket;
      nchan_channel_id $1;
      nchan_store_messages off;
      nchan_subscriber_first_message newest;
    }}""", f"load_module {NCHAN};\n")


def nginx_with(server, head=""):
    """The command line of nginx with one worker and one server."""
    home = HERE / ".build" / "nginx"
    home.mkdir(parents=True, exist_ok=True)
    temporary = "".join(f"  {kind}_temp_path {home}/{kind};\n"
                        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (home / "nginx.conf").write_text(f"""{head}daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {home}/nginx.pid;
error_log stderr error;
events {{ worker_connections 20000; }}
http {{
{temporary}  access_log off;
  server {{
{server}
  }}
}}
""")
    return [NGINX, "-p", home, "-c", home / "nginx.conf"]


def erlang_command(module, arguments, schedulers=1):
    return ["erl", "-noshell", "-noinput", "+S", f"{schedulers}:{schedulers}", "+P", "2000000", "+Q", "65536",
            "-pa", ERLANG_CODE, "-run", module, "main", *arguments]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """One running server: its processes and port. `load` is what its clients have to ask for."""

    def __init__(self, name, processes, port):
        self.name, self.processes, self.port = name, processes, port
        self.pids = [pid for process in processes for pid in family(process.pid)]
        features = name.split("+")
        self.load = {"tls": AUTHORITY} if "tls" in features else {}
        if "deflate" in features or "default" in features:
            self.load["compress"] = "no-takeover" if "deflate" in features else "takeover"

    def memory(self):
        """User-space bytes of all its processes: private dirty pages and anonymous resident pages."""
        return {"private_dirty": sum(kilobytes(pid, "smaps_rollup", "Private_Dirty") for pid in self.pids) * 1024,
                "rss_anon": sum(kilobytes(pid, "status", "RssAnon") for pid in self.pids) * 1024}

    def check_alive(self):
        for process in self.processes:
            if process.poll() is not None:
                raise BenchError(f"{self.name} ended with code {process.returncode} under load")


def family(pid):
    """A process and those that it started: nginx's worker is its master's."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid] + [one for child in children for one in family(int(child))]


def kilobytes(pid, file, key):
    for line in pathlib.Path(f"/proc/{pid}/{file}").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1])
    raise BenchError(f"/proc/{pid}/{file} has no {key}")


@contextlib.contextmanager
def running(name, demo=False, **settings):
    """Starts server `name` on the server core, yields it once it accepts, and ends it. Settings are Roost's keys."""
    port = free_port()
    with contextlib.ExitStack() as ending:
        if program(name) == "nginx":
            backend_port = free_port()
            processes = [start(ending, "roost", backend_port, command("roost", backend_port, demo), settings)]
            processes.append(start(ending, name, port, nginx_command(port, backend_port), {}))
        else:
            processes = [start(ending, name, port, command(name, port, demo), settings)]
        yield Server(name, processes, port)


def start(ending, name, port, arguments, settings):
    log = ending.enter_context(open(HERE / ".build" / f"{name}.log", "w"))
    environment = os.environ | {f"ROOST_{key.upper()}": str(value) for key, value in settings.items()}
    environment["NODE_PATH"] = NODE_PATH
    line = ["taskset", "-c", SERVER_CORE, *map(str, arguments)]
    process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
                               start_new_session=True)
    ending.callback(stop_group, process)
    wait_until_listening(name, process, port)
    return process


def wait_until_listening(name, process, port, seconds=START_DEADLINE_SECONDS):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"{name} did not start (code {process.returncode}); see Benchmarks/.build/{name}.log")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            time.sleep(0.1)
            if process.poll() is None:  # else another program has taken the port meanwhile
                return
        time.sleep(0.02)
    raise BenchError(f"{name} did not listen within {seconds} s")


def stop_group(process):
    """Ends a server and what it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_DEADLINE_SECONDS)


def stop(process):
    if process.poll() is not None:
        return
    process.kill()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_DEADLINE_SECONDS)


def generator_command(server, mode, path, options):
    line = ["taskset", "-c", GENERATOR_CORE, str(LOADGEN), mode, "127.0.0.1", str(server.port), path]
    for pid in server.pids:
        line += ["--server-pid", str(pid)]
    for key, value in (server.load | options).items():
        line.append("--" + key.replace("_", "-"))
        if value is not True:
            line.append(str(value))
    return line


def report_of(text, stderr, strict):
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if not lines:
        raise BenchError("the load generator reported nothing: " + (stderr.strip() or "no reason given"))
    report = json.loads(lines[-1])
    if strict and report["errors"]:
        raise BenchError(f"{report['errors']} errors: {stderr.strip()}")
    return report


def generate(server, mode, path="/echo", strict=True, **options):
    """Runs the load generator to its end and returns its report; an error in it is raised when `strict`."""
    limit = float(options.get("seconds", 2)) + 90
    done = subprocess.run(generator_command(server, mode, path, options), capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=limit)
    server.check_alive()
    return report_of(done.stdout, done.stderr, strict)


class Background:
    """A load generator that runs beside others until `finish`."""

    def __init__(self, server, mode, path, strict, options):
        self.server, self.strict = server, strict
        line = generator_command(server, mode, path, {"until_eof": True, **options})
        self.process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)

    def wait_until_ready(self):
        line = self.process.stdout.readline()
        if not line.startswith("ready"):
            raise BenchError("connections did not open: " + self.process.stderr.read().strip())
        return int(line.split()[1])

    def finish(self):
        output, errors = self.process.communicate(timeout=60)
        self.server.check_alive()
        return report_of(output, errors, self.strict)


@contextlib.contextmanager
def beside(server, mode, path="/echo", strict=True, **options):
    """Runs a load generator until the block ends; `finish()` inside it returns its report."""
    background = Background(server, mode, path, strict, options)
    try:
        yield background
    finally:
        stop(background.process)
