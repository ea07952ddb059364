"""A node under test, the hosts around it, and what tests wait for."""

import atexit
import contextlib
import ctypes
import os
import pathlib
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

SQUALL = os.environ.get("SQUALL_BIN", "squall")

# Nodes keep what they keep, and take their orders, where nobody else does.
_HOME = tempfile.mkdtemp(prefix="squall-home-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)
os.environ["XDG_DATA_HOME"] = os.path.join(_HOME, "data")
os.environ["XDG_CONFIG_HOME"] = os.path.join(_HOME, "config")
os.environ["XDG_RUNTIME_DIR"] = os.path.join(_HOME, "run")
os.mkdir(os.environ["XDG_RUNTIME_DIR"], 0o700)

PATIENCE = 20.0
"""Seconds after which a test gives up on what should come at once."""

CTIME = r"(?:Sun|Mon|Tue|Wed|Thu|Fri|Sat) [A-Z][a-z]{2} [ 123]\d \d{2}:\d{2}:\d{2} \d{4}"
ROOT = os.geteuid() == 0

needs_root = unittest.skipUnless(ROOT, "needs root")
needs_hosts = unittest.skipUnless(ROOT and shutil.which("ip"), "needs root and ip (iproute2)")


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


needs_ipv6 = unittest.skipUnless(has_ipv6(), "this machine has no IPv6")


def raise_descriptor_limit():
    """As far as it goes; returns where that is."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def until(condition, what, patience=PATIENCE):
    """Polls `condition` until it gives something true, and returns that."""
    deadline = time.monotonic() + patience
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {patience} s: {what}")
        time.sleep(0.01)


class Host:
    """A network namespace: a host of its own, with a loopback interface."""

    _count = 0

    def __init__(self, name):
        Host._count += 1
        self.name = f"squall-{os.getpid()}-{Host._count}-{name}"
        run("ip", "netns", "add", self.name)
        self._path = f"/run/netns/{self.name}"
        self.ip("link", "set", "lo", "up")

    def ip(self, *arguments):
        run("ip", "-n", self.name, *arguments)

    def remove(self):
        run("ip", "netns", "del", self.name)

    @contextlib.contextmanager
    def entered(self):
        """Sockets that are opened and programs that are started meanwhile belong to this host."""
        with open("/proc/thread-self/ns/net") as home, open(self._path) as there:
            setns(there)
            try:
                yield
            finally:
                setns(home)

    def connect_to(self, other, ours, theirs, mtu=1500):
        """A cable between two hosts, with the addresses `ours` and `theirs` on its ends.

        Returns the names of the two interfaces.
        """
        Host._count += 1
        ends = (f"sq{Host._count}a", f"sq{Host._count}b")
        self.ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1], "netns", other.name)
        for host, end, addresses in ((self, ends[0], ours), (other, ends[1], theirs)):
            # No tentative addresses: everything is there once the interface is up.
            host.ip("link", "set", end, "addrgenmode", "none")
            # Under 1280 bytes there is no IPv6 any more.
            host.ip("link", "set", end, "mtu", str(mtu))
            for address in addresses:
                extra = ["nodad"] if ":" in address else ["broadcast", "+"]
                host.ip("address", "add", address, *extra, "dev", end)
            host.ip("link", "set", end, "up")
            if any(":" in address for address in addresses):
                # A metric of its own for each: one route over several cables would choose by chance.
                metric = str(256 + Host._count)
                host.ip("-6", "route", "add", "multicast", "ff00::/8", "dev", end, "table", "local", "metric", metric)
        return ends

    def udp_counters(self):
        """The kernel's own: datagrams received and sent by this host."""
        with self.entered(), open("/proc/thread-self/net/snmp") as file:
            names, values = [line.split()[1:] for line in file if line.startswith("Udp:")]
        counters = dict(zip(names, map(int, values)))
        return counters["InDatagrams"], counters["OutDatagrams"]

    def udp_waiting(self):
        """Bytes that lie at this host's UDP sockets and that nobody has read; the counters do not know of them."""
        with self.entered(), open("/proc/thread-self/net/udp") as file:
            return sum(int(line.split()[4].partition(":")[2], 16) for line in list(file)[1:])


def setns(file):
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newnet = 0x40000000
    if libc.setns(file.fileno(), clone_newnet) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


def own_disk(directory, size):
    """Gives the program that is about to start a small disk of its own at `directory`."""
    clone_newns, ms_rec, ms_private = 0x20000, 0x4000, 0x40000
    libc = ctypes.CDLL(None, use_errno=True)

    def prepare():
        done = libc.unshare(clone_newns) or libc.mount(b"none", b"/", None, ms_rec | ms_private, None)
        options = f"size={size}".encode()
        if done or libc.mount(b"tmpfs", os.fsencode(directory), b"tmpfs", 0, options):
            raise OSError(ctypes.get_errno(), "no disk of its own")

    return prepare


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


class Row:
    """A line of the table that a node prints."""

    def __init__(self, line):
        self.service, self.uri, *rest = line.split(None, 2)
        self.line = rest[0].strip() if rest else ""
        self.transport, _, where = self.uri.partition("://")
        if self.transport.startswith("unix"):
            self.transport, _, self.path = self.uri.partition(":")
            return
        host, _, port = where.rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET

    @property
    def address(self):
        return (self.host, self.port)


class Node:
    """`squall serve …`, running. Its log and statistics are kept for tests to read once it has ended."""

    def __init__(self, *arguments, host=None, verbose="-vv", **options):
        self._log = tempfile.TemporaryFile()
        command = [SQUALL, "serve", *arguments, *([verbose] if verbose else [])]
        self.data = tempfile.mkdtemp(dir=_HOME)
        options["env"] = {"SQUALL_DATA": self.data} | options.get("env", dict(os.environ))
        with host.entered() if host else contextlib.nullcontext():
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, **options
            )
        self.pid = self.process.pid
        self.rows = []
        try:
            self._read_table()
        except BaseException:
            self.kill()
            raise

    def _read_table(self):
        """The table is printed once every socket is open; it ends when nothing follows."""
        out, text = self.process.stdout.fileno(), b""
        deadline = time.monotonic() + PATIENCE
        while not (text.endswith(b"\n") and text.count(b"\n") > 1):
            ready, _, _ = select.select([out], [], [], deadline - time.monotonic())
            chunk = os.read(out, 65536) if ready else b""
            if not chunk:
                raise AssertionError(f"the node printed no table: {text!r} {self.log()}")
            text += chunk
        self.rows = [Row(line) for line in text.decode().splitlines()[1:]]

    def row(self, service=None, transport="udp", family=None):
        for row in self.rows:
            if service in (None, row.service) and row.transport == transport:
                if family is None or row.family == family:
                    return row
        raise AssertionError(f"no {service} on {transport} among {[row.uri for row in self.rows]}")

    def address(self, *which, **how):
        return self.row(*which, **how).address

    def log(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def resident(self, what="VmRSS"):
        """MiB, as /proc tells."""
        status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(rf"^{what}:\s*(\d+) kB", status, re.MULTILINE)[1]) / 1024

    def ticks(self):
        """User and system time spent, in clock ticks."""
        fields = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    @contextlib.contextmanager
    def paused(self):
        """Lets datagrams pile up at the node's sockets, so that it takes them in one batch."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            until(lambda: self._state() == "T", "the node has stopped")
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def sleeps(self):
        """Whether all its threads wait, and no program that it started runs."""
        tasks = pathlib.Path(f"/proc/{self.pid}/task")
        try:
            states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()]
            children = any((task / "children").read_text() for task in tasks.iterdir())
        except FileNotFoundError:
            # A thread ended meanwhile.
            return False
        return set(states) == {"S"} and not children

    def _state(self):
        return pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def wait(self):
        code = self.process.wait(PATIENCE)
        self.process.stdout.close()
        return code

    def stop(self, by=signal.SIGTERM):
        """Asks the node to end, and returns its exit code."""
        self.process.send_signal(by)
        return self.wait()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.wait()

    def close(self):
        self.kill()
        self.process.stdout.close()
        self._log.close()

    def counts(self, service=None):
        """What the node counted, over all its sockets or those of one service; after its end."""
        total = {}
        for line in self.log().splitlines():
            found = re.search(r" (\w+) (\S+) shard \d+:(.*)$", line)
            if found and service in (None, found[1]):
                for name, count in re.findall(r"(\w+)=(\d+)", found[3]):
                    total[name] = total.get(name, 0) + int(count)
        return total

    def last_line(self):
        return self.log().strip().splitlines()[-1]


class TestCase(unittest.TestCase):
    """Ends what a test started."""

    def node(self, *arguments, **options):
        node = Node(*arguments, **options)
        self.addCleanup(node.close)
        return node

    def host(self, name):
        host = Host(name)
        self.addCleanup(host.remove)
        return host

    def directory(self):
        directory = tempfile.mkdtemp(prefix="squall-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        return directory

    def udp(self, to=None, host=None, bind=None, family=socket.AF_INET):
        """A datagram socket, connected if `to` says where."""
        if to and ":" in to[0]:
            family = socket.AF_INET6
        with host.entered() if host else contextlib.nullcontext():
            udp = socket.socket(family, socket.SOCK_DGRAM)
        self.addCleanup(udp.close)
        udp.settimeout(PATIENCE)
        if bind:
            udp.bind(bind)
        if to:
            udp.connect(to)
        return udp

    def tcp(self, to, host=None):
        with host.entered() if host else contextlib.nullcontext():
            tcp = socket.create_connection(to, PATIENCE)
        self.addCleanup(tcp.close)
        return tcp

    def ask(self, to, text=b"hello", host=None):
        udp = self.udp(to, host)
        udp.send(text)
        return udp.recv(65536)

    def assert_no_answer(self, udp):
        """For a socket whose answer would have arrived before one that has arrived since."""
        udp.setblocking(False)
        with self.assertRaises(BlockingIOError):
            self.fail(f"an answer: {udp.recvfrom(65536)}")

    def config(self, text):
        """A configuration file's path."""
        path = os.path.join(self.directory(), "squall.toml")
        pathlib.Path(path).write_text(text)
        return path

    def every_service(self):
        """Arguments for the plain services on ports and paths that nobody else has."""
        directory = self.directory()
        text = ""
        for service in ("time", "length", "stamp", "reply", "echo"):
            on = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0"]
            if has_ipv6():
                on += ["udp://[::1]:0", "tcp://[::1]:0"]
            on += [f"unix:{directory}/{service}.sock", f"unixgram:{directory}/{service}.gram"]
            text += f'[[service]]\nname = "{service}"\non = {on}\n'
        return ["--config", self.config(text.replace("'", '"'))]
