"""Certificates for the tests, made by the openssl command when they are first asked for, gone when the run ends."""

import atexit
import collections
import functools
import inspect
import os
import shutil
import subprocess
import tempfile
import threading

Certificate = collections.namedtuple("Certificate", "chain key")
LOCK = threading.RLock()
MADE = set()  # names: each stands for files


@functools.cache
def folder():
    path = tempfile.mkdtemp(prefix="roost-certificates-")
    # The run ends without its threads, and so without `atexit` where it fails to: the system's cleaner has the rest.
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def openssl(*arguments, given=""):
    done = subprocess.run(["openssl", *arguments], cwd=folder(), input=given, capture_output=True, text=True)
    assert done.returncode == 0, f"openssl {' '.join(arguments)}: {done.stderr}"
    return done.stdout


def path(name):
    return os.path.join(folder(), name)


def read(name):
    with open(path(name)) as file:
        return file.read()


def write(name, text):
    with open(path(name), "w") as file:
        file.write(text)
    return path(name)


def once(function):
    """As `functools.cache`, for several threads, and however the arguments are written: nothing is made twice."""
    cached, signature = functools.cache(function), inspect.signature(function)

    @functools.wraps(function)
    def locked(*arguments, **named):
        bound = signature.bind(*arguments, **named)
        bound.apply_defaults()
        with LOCK:
            return cached(*bound.args)

    return locked


def make_key(name, kind="EC"):
    assert name not in MADE, f"two certificates are called {name}"
    MADE.add(name)
    options = ["-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "EC" else ["-pkeyopt", "rsa_keygen_bits:2048"]
    openssl("genpkey", "-algorithm", kind, *options, "-out", f"{name}.key")


@once
def authority(name="root"):
    """A root's certificate in PEM."""
    make_key(name)
    extensions = ["-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    openssl("req", "-new", "-x509", "-key", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", *extensions)
    return path(f"{name}.pem")


def sign(name, signer, extensions, days):
    openssl("req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    write(f"{name}.ext", extensions)
    files = ["-CA", f"{signer}.pem", "-CAkey", f"{signer}.key", "-set_serial", str(int.from_bytes(os.urandom(8)) >> 1)]
    openssl("x509", "-req", "-in", f"{name}.csr", *files, "-days", str(days), "-extfile", f"{name}.ext",
            "-out", f"{name}.pem")  # fmt: skip


@once
def intermediate(root="root"):
    """The name of an authority that `root` has signed."""
    authority(root)
    name = f"{root}-intermediate"
    make_key(name)
    sign(name, root, "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n", 30)
    return name


@once
def certificate(name, hosts="DNS:localhost,IP:127.0.0.1", root="root", days=30, kind="EC"):
    """A certificate for `hosts`, with the intermediate that signed it. `days` below 0: it has expired."""
    signer = intermediate(root)
    make_key(name, kind)
    uses = "extendedKeyUsage=serverAuth,clientAuth\n"
    sign(name, signer, f"{uses}subjectAltName={hosts}\n" if hosts else uses, days)
    chain = write(f"{name}-chain.pem", read(f"{name}.pem") + read(f"{signer}.pem"))
    return Certificate(chain, path(f"{name}.key"))


def fingerprint(certificate):
    """SHA-256 of the certificate itself, in hex."""
    text = openssl("x509", "-in", certificate.chain, "-noout", "-fingerprint", "-sha256")
    return text.split("=", 1)[1].strip().replace(":", "").lower()
