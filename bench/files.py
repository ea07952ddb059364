#!/usr/bin/env python3
"""Times squall send beside scp and rsync in one run, with the spread, and prints the ratios.

    bench/files.py                       all of it, with what is installed
    bench/files.py large small again     some of it
    bench/files.py weather --loss 0 1 5  through a bottleneck of 1 Gbit/s, 50 ms and 6 MB of queue (squall under)
    bench/files.py --quick               in small: that it runs

large: a file, until it is on the receiver's disk; scp and rsync are timed with a sync of that disk and without.
small: 10,000 files of 4 KB in 50 directories. again: the same tree of 1 GB sent a second time.
Peers need sshd, which is started on loopback with keys of its own and ended.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SSH_PORT = 22022


def main():
    arguments = parse()
    parts = arguments.parts or ["large", "small", "again", "weather"]
    with tempfile.TemporaryDirectory(prefix="squall-bench-", dir=arguments.dir) as place:
        bench = Bench(arguments, pathlib.Path(place))
        for part in parts:
            getattr(bench, part)()


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help="large, small, again, weather")
    parser.add_argument("--squall", default=ROOT / "target/release/squall", help="the binary")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bytes", type=int, default=500_000_000, help="of the large file")
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--loss", type=float, nargs="*", default=[0, 1, 5], help="per cent, in the weather")
    parser.add_argument("--dir", help="where files lie; by default the system's temporary directory")
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - {"large", "small", "again", "weather"}:
        parser.error(f"there is no part {', '.join(unknown)}")
    if arguments.quick:
        arguments.rounds, arguments.bytes, arguments.files, arguments.loss = 1, 20_000_000, 500, [1]
    return arguments


class Bench:
    def __init__(self, arguments, place):
        self.squall, self.rounds = str(pathlib.Path(arguments.squall).resolve()), arguments.rounds
        self.bytes, self.files, self.losses = arguments.bytes, arguments.files, arguments.loss
        self.place, self.count = place, 0
        self.environment = os.environ | {"HOME": str(place), "XDG_CONFIG_HOME": str(place / "config")}

    def fresh(self):
        """A directory that nobody has used: removing files is work for the disk too."""
        self.count += 1
        path = self.place / f"to{self.count}"
        path.mkdir()
        return path

    def large(self):
        source = self.place / "large"
        fill(source, self.bytes)
        with self.peers() as peers, self.receiver() as (inbox, line):
            ways = {"squall": lambda: self.send(source, line, inbox)}
            for name, copy in peers.items():
                ways[name] = lambda copy=copy: copy(source, self.fresh())
                ways[f"{name}, synced"] = lambda copy=copy: synced(copy, source, self.fresh())
            compare(f"a file of {self.bytes / 1e6:.0f} MB", ways, self.rounds)

    def small(self):
        source = self.place / "tree"
        for index in range(self.files):
            path = source / f"d{index % 50}" / f"f{index}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(4096))
        with self.peers(recursive=True) as peers, self.receiver() as (inbox, line):
            ways = {"squall": lambda: self.send(source, line, inbox)}
            for name, copy in peers.items():
                ways[name] = lambda copy=copy: copy(source, self.fresh())
            compare(f"{self.files} files of 4 KB", ways, min(self.rounds, 3))

    def again(self):
        source = self.place / "again"
        source.mkdir()
        each = self.bytes // 50
        for index in range(100):
            fill(source / str(index), each)
        with self.receiver() as (inbox, line):
            self.run_send(source, line)
            took = timed(lambda: self.run_send(source, line))
            end = self.run_send(source, line)
            print(f"again: {each * 100 / 1e6:.0f} MB unchanged: {took:.3f} s, {end['sent']} bytes of content sent, "
                  f"{end['unchanged']} files unchanged", flush=True)

    def weather(self):
        source = self.place / "weather"
        size = self.bytes * 2
        fill(source, size)
        for loss in self.losses:
            weather = f"delay=25ms,rate=1gbit,queue=6MB,loss={loss}%"
            inbox, events = self.fresh(), self.place / "events"
            token = self.place / "config/squall/token"
            command = [
                self.squall, "under", "--weather", weather, "--server", f"{self.squall} receive {inbox}",
                "--server-ready", "4433", "--", "sh", "-c",
                'exec "$0" send "$1" "$SQUALL_SERVER" --token-file "$2" --json', self.squall, source, token,
            ]
            with open(events, "w") as out:
                done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, env=self.environment)
            lines = [json.loads(line) for line in events.read_text().splitlines() if line.startswith("{")]
            ends = [line for line in lines if line["event"] == "end"]
            if done.returncode or not ends:
                sys.exit(f"weather: {done.stderr.strip()[-500:]}")
            ticks = [line for line in lines if line["event"] == "progress"]
            rate = size * 8 / ends[0]["seconds"] / 1e6
            queues = [tick["queue_ms"] for tick in ticks[1:] if tick["queue_ms"] is not None]
            queue = f", queue {statistics.mean(queues):.1f} ms by its own estimate" if queues else ""
            steady = "over before a third second"
            if len(ticks) > 2:
                mean = self.between(ticks[min(2, len(ticks) - 2)], ticks[-1])
                each = ", ".join(f"{self.between(*pair):.0f}" for pair in zip(ticks, ticks[1:]))
                steady = f"{mean:.0f} from the second second on ({each})"
            print(f"weather {weather}: {rate:.0f} Mbit/s over all of {size / 1e6:.0f} MB, {steady}{queue}", flush=True)

    @staticmethod
    def between(first, last):
        return (last["sent"] - first["sent"]) * 8 / 1e6 / (last["seconds"] - first["seconds"])

    def send(self, source, line, inbox):
        self.run_send(source, line)
        # Out of the way of the next round, without work for the disk.
        os.rename(inbox / source.name, self.fresh() / source.name)

    def run_send(self, source, line):
        command = [self.squall, "send", "--json", source, *line]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=self.environment, check=True)
        return json.loads(done.stdout.splitlines()[-1])

    @contextlib.contextmanager
    def receiver(self):
        inbox = self.fresh()
        command = [self.squall, "receive", inbox, "--on", "127.0.0.1:0", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.environment)
        try:
            line = json.loads(process.stdout.readline())["send"].split()
            yield inbox, line[3:]
            peak = pathlib.Path(f"/proc/{process.pid}/status").read_text().partition("VmHWM:")[2].split()[0]
            print(f"  the receiver had {int(peak) / 1024:.0f} MiB resident at most", flush=True)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()

    @contextlib.contextmanager
    def peers(self, recursive=False):
        """scp and rsync to this machine, if they and sshd are installed."""
        sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        if not sshd:
            print("  sshd is not installed: no peers", flush=True)
            yield {}
            return
        ssh = self.place / "ssh"
        if not ssh.exists():
            ssh.mkdir(0o700)
            for name in ("host", "user"):
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", ssh / name], check=True)
            shutil.copy(ssh / "user.pub", ssh / "allowed")
            (ssh / "config").write_text(
                f"Port {SSH_PORT}\nListenAddress 127.0.0.1\nHostKey {ssh}/host\nAuthorizedKeysFile {ssh}/allowed\n"
                f"StrictModes no\nUsePAM no\nPermitRootLogin yes\nPidFile none\nSubsystem sftp internal-sftp\n"
            )
        pathlib.Path("/run/sshd").mkdir(exist_ok=True)
        server = subprocess.Popen([sshd, "-D", "-f", ssh / "config"], stderr=subprocess.DEVNULL)
        options = ["-i", str(ssh / "user"), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
                   "-o", "LogLevel=ERROR"]
        run = lambda *command: subprocess.run([str(part) for part in command], check=True)
        scp = ["scp", "-q", *(["-r"] if recursive else []), "-P", SSH_PORT, *options]
        ways = {
            "scp": lambda source, to: run(*scp, source, f"127.0.0.1:{to}/"),
            "scp, aes128-gcm": lambda source, to: run(
                *scp, "-c", "aes128-gcm@openssh.com", source, f"127.0.0.1:{to}/"
            ),
        }
        if shutil.which("rsync"):
            shell = " ".join(["ssh", "-p", str(SSH_PORT), *options])
            ways["rsync"] = lambda source, to: run("rsync", "-a", "-e", shell, source, f"127.0.0.1:{to}/")
        try:
            until_open(options)
            yield ways
        finally:
            server.terminate()
            server.wait()


def until_open(options):
    deadline = time.monotonic() + 10
    command = ["ssh", "-p", str(SSH_PORT), *options, "127.0.0.1", "true"]
    while subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
        if time.monotonic() > deadline:
            sys.exit("sshd does not answer")
        time.sleep(0.1)


def synced(copy, source, to):
    copy(source, to)
    subprocess.run(["sync", "-f", to], check=True)


def fill(path, size):
    with open(path, "wb") as file:
        for start in range(0, size, 1 << 20):
            file.write(os.urandom(min(1 << 20, size - start)))


def timed(way):
    start = time.monotonic()
    way()
    return time.monotonic() - start


def compare(what, ways, rounds):
    """In turn, so that what else the machine does meets all alike."""
    times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            os.sync()
            times[name].append(timed(way))
    own = statistics.median(times["squall"])
    print(f"{what}, {rounds} rounds:", flush=True)
    for name, all_times in times.items():
        median = statistics.median(all_times)
        print(f"  {name:24} {median:7.3f} s ({min(all_times):.3f} to {max(all_times):.3f}), "
              f"{median / own:.2f} times squall's", flush=True)


main()
