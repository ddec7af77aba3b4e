"""What a user meets who has made a mistake, or found a limit: each is told what it is and what to do."""

import os
import re
import socket
import subprocess
import sys

import certificates
from harness import Daemon, binary, case, equal
from runner import NotChecked
from tester import Server, load

ANSWERS = {
    "200": (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "status 200", "check host, port and path"),
    "302": (
        b"HTTP/1.1 302 Found\r\nLocation: wss://elsewhere/x\r\nContent-Length: 0\r\n\r\n",
        "the server redirects",
        "use the URL it names, wss://elsewhere/x",
    ),
    "another protocol": (b"SSH-2.0-OpenSSH_9\r\n\r\n", "no HTTP/1.1", "check that it speaks WebSocket"),
    "an alert of TLS": (b"\x15\x03\x03\x00\x02\x02\x46", "the server speaks TLS on this port", "use wss://"),
}


def fails(url, *parts, options=()):
    """A run to `url` ends with 1 and says each of `parts`."""
    code, out, err = load("idle", url, "-c", 2, "-d", 0.2, *options)
    equal(code, 1, out + err)
    assert all(part in out + err for part in parts), f"{parts} is not in: {out}{err}"


@case("where nobody listens")
def refused():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        fails(f"ws://127.0.0.1:{port}/", f"127.0.0.1:{port}: Connection refused", "start the server")
    fails("ws+unix:/tmp/there is none:/", "no socket is there", "start the server, or correct the path")


@case("a wrong path")
def not_found():
    with Daemon() as daemon:
        fails(daemon.url + "/nothing", "/nothing: server answered with status 404", "check the URL's path")


@case("a name that nobody has")
def no_name():
    fails("ws://host.invalid/", "host 'host.invalid' was not found", "check the name, or give an address")


@case("a URL that is none")
def no_url():
    fails("http://127.0.0.1:1/", "the scheme 'http' is not WebSocket's", "use ws:// or wss://")


@case("a server that is none of WebSocket")
def strangers():
    for answer, what, remedy in ANSWERS.values():
        with Server(lambda request, answer=answer: answer) as server:
            fails(f"ws://{server.address}/", what, remedy)


@case("a server that does not answer")
def silent():
    with Server(lambda request: None) as server:
        options = ["--connect-timeout", 0.3]
        fails(f"ws://{server.address}/", "no answer to the upgrade request in time", "check that", options=options)


@case("ws:// where TLS is spoken, and the reverse")
def wrong_scheme():
    served = certificates.certificate("remedies")
    root = certificates.authority()
    with Daemon(tls_chain=served.chain, tls_key=served.key) as daemon:
        fails(f"ws://{daemon.address}/echo", "use wss:// where it speaks TLS")
        code, out, err = load("idle", f"wss://{daemon.address}/echo", "-c", 2, "-d", 0.2, "--ca", root)
        equal(code, 0, out + err)
    with Daemon() as daemon:
        fails(f"wss://{daemon.address}/echo", "does not speak TLS on this port", "try ws://")


@case("certificates that do not pass")
def certificates_refused():
    root = certificates.authority()
    named = certificates.certificate("remedies-named", hosts="DNS:elsewhere.example")
    with Daemon(tls_chain=named.chain, tls_key=named.key) as daemon:
        url = f"wss://{daemon.address}/echo"
        what = "the certificate is for elsewhere.example and not for 127.0.0.1"
        fails(url, what, "connect by a name that it has", options=["--ca", root])
        fails(url, "an authority that is not trusted", "give --ca FILE")
        code, out, err = load("idle", url, "-c", 2, "-d", 0.2, "--insecure")
        equal(code, 0, out + err)
        fails(url, "cannot be opened: No such file", "check the path", options=["--ca", "/nothing.pem"])
    expired = certificates.certificate("remedies-expired", days=-1)
    with Daemon(tls_chain=expired.chain, tls_key=expired.key) as daemon:
        fails(f"wss://{daemon.address}/echo", "has expired", "have it renewed", options=["--ca", root])


@case("a source address that this machine does not have, and one that is none")
def wrong_source():
    with Daemon() as daemon:
        url = daemon.url + "/echo"
        fails(url, "cannot connect from 192.0.2.1", "`ip address` shows", options=["--source-address", "192.0.2.1"])
        fails(url, "source address 'x' is no IPv4", options=["--source-address", "x"])


NARROW = """
import subprocess, sys
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
open("/proc/sys/net/ipv4/ip_local_port_range", "w").write("40000 40009")
sys.argv.pop(0)
server = subprocess.Popen(sys.argv[:sys.argv.index("--")], stdout=subprocess.PIPE, text=True)
address = server.stdout.readline().split()[2]
command = [part.replace("ADDRESS", address) for part in sys.argv[sys.argv.index("--") + 1:]]
code = subprocess.run(command).returncode
server.terminate()
server.wait()
sys.exit(code)
"""


@case("more clients than ports: foretold, and said when it happens")
def ports():
    if subprocess.run(["unshare", "-rn", "ip", "link", "set", "lo", "up"], capture_output=True).returncode:
        raise NotChecked("needs `unshare -rn` and `ip`")

    def narrow(*options):
        # Nobody else is in its network.
        server = [binary(), "serve", "--listen", "127.0.0.1:9001", "--log-level", "error"]
        tester = [binary("loadtest"), "idle", "ws://ADDRESS/echo", "-d", "0.2", *options]
        command = ["unshare", "-rn", sys.executable, "-c", NARROW, *server, "--", *tester]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=os.environ)
        return done.returncode, done.stdout, done.stderr

    code, out, err = narrow("-c", "25")
    equal(code, 1, out + err)
    foretold = r"warning: 25 clients .* 10 local ports .*15 will not connect; use 3 or more --source-address"
    assert re.search(foretold, err), err
    assert "15 times" in out and "no local port is left" in out and "ip_local_port_range" in out, out
    code, out, err = narrow("-c", "25", "--source-address", "127.0.0.2", "127.0.0.3")
    equal(code, 1, out + err)
    assert "5 will not connect; use 3 or more" in err, err
    assert re.search(r"cannot connect to \S+ from 127\.0\.0\.[23]", out) and "no local port is left" in out, out
    code, out, err = narrow("-c", "25", "--quiet", "--source-address", "127.0.0.2", "127.0.0.3", "127.0.0.4")
    equal(code, 0, out + err)
    equal(err, "")
