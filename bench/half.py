#!/usr/bin/env python3
"""`squall ask` through `squall relay --weather half`, many times: does it succeed as often as the arithmetic says?

`half` loses each request with probability 1/2 and no answer. `ask` asks five times, after 0, 0.1, 0.3, 0.7 and 1.5 s,
and gives up after 3.1 s. So it fails when five requests in a row are lost: with probability 1/2^5. It succeeds in
31 of 32 runs, and with exactly k tries in 1 of 2^k. Each count must lie within 4.9 standard deviations of its
binomial distribution, which chance alone misses once in a million times for each.

Then the same with a server that is down: each run must end with 69, not before 3.1 s and within --slack after.

Needs nothing but the program:  cargo build --release -p squall-cli && bench/half.py
"""

import argparse
import concurrent.futures
import json
import pathlib
import socket
import subprocess
import sys

TRIES = 5
GIVES_UP = 3.1
SIGMAS = 4.9


def main():
    options = arguments()
    with Server(options.squall) as server:
        with Relay(options.squall, server.address, options.seed) as relay:
            runs = ask(options, relay.address, options.runs)
        counts = relay.counts
    good = check_half(runs, counts)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        # Bound and never read: a server that is there and silent. Closed: one whose host says so.
        nobody.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % nobody.getsockname()[1]
        with Relay(options.squall, address, options.seed) as relay:
            silent = ask(options, relay.address, options.down)
    with Relay(options.squall, address, options.seed) as relay:
        refused = ask(options, relay.address, options.down)
    good &= check_down("silent", silent, options.slack)
    good &= check_down("not there", refused, options.slack)
    return 0 if good else 1


def arguments():
    here = pathlib.Path(__file__).resolve().parent.parent
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--squall", default=str(here / "target/release/squall"), help="the program")
    parser.add_argument("--runs", type=int, default=1000, help="runs in the weather [1000]")
    parser.add_argument("--down", type=int, default=100, help="runs with each server that is down [100]")
    parser.add_argument("--side-by-side", type=int, default=100, help="runs at a time [100]")
    parser.add_argument("--seed", type=int, default=7, help="the weather's seed [7]")
    parser.add_argument("--slack", type=float, default=0.5, help="seconds by which giving up may be late [0.5]")
    options = parser.parse_args()
    if not pathlib.Path(options.squall).exists():
        parser.error(f"{options.squall} is not there: cargo build --release -p squall-cli")
    return options


def ask(options, address, runs):
    """Exit codes, tries and seconds of so many runs."""
    def one(number):
        command = [options.squall, "ask", address, f"request {number}", "--json"]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        said = json.loads(ended.stdout)
        return ended.returncode, said["tries"], said["seconds"], said.get("text") == f"request {number}"

    with concurrent.futures.ThreadPoolExecutor(options.side_by_side) as pool:
        return list(pool.map(one, range(runs)))


def check_half(runs, counts):
    answered = [tries for code, tries, _, right in runs if code == 0 and right]
    failed = [code for code, *_ in runs if code == 69]
    odd = len(runs) - len(answered) - len(failed)
    print(f"half: {len(runs)} runs, {counts['up']['received']} requests, "
          f"{counts['up']['dropped']['loss']} of them lost, {counts['down']['received']} answers")
    good = within("answered", len(answered), len(runs), 1 - 0.5 ** TRIES)
    for tries in range(1, TRIES + 1):
        good &= within(f"with {tries} tries", answered.count(tries), len(runs), 0.5 ** tries)
    good &= within("requests lost", counts["up"]["dropped"]["loss"], counts["up"]["received"], 0.5)
    lost = sum(counts["down"]["dropped"].values())
    for name, value in [("other ends", odd), ("answers lost", lost)]:
        print(f"  {name:<16}{value:>6}{'' if value == 0 else '   WRONG: none is expected'}")
        good &= value == 0
    return good


def within(name, hits, runs, probability):
    expected = runs * probability
    bound = SIGMAS * (expected * (1 - probability)) ** 0.5
    good = abs(hits - expected) <= bound
    print(f"  {name:<16}{hits:>6}   expected {expected:.1f} ± {bound:.1f}{'' if good else '   WRONG'}")
    return good


def check_down(name, runs, slack):
    seconds = sorted(seconds for _, _, seconds, _ in runs)
    codes = {code for code, *_ in runs}
    tries = {tries for _, tries, *_ in runs}
    good = codes == {69} and tries == {TRIES} and GIVES_UP <= seconds[0] and seconds[-1] <= GIVES_UP + slack
    print(f"server {name}: {len(runs)} runs, exit codes {sorted(codes)}, tries {sorted(tries)}, "
          f"given up after {seconds[0]:.3f} to {seconds[-1]:.3f} s{'' if good else '   WRONG'}")
    return good


class Process:
    """A program whose first line tells where it listens."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        rest, _ = self.process.communicate(timeout=20)
        self.ended(rest)

    def ended(self, rest):
        pass


class Server(Process):
    def __init__(self, squall):
        super().__init__([squall, "serve", "echo", "--on", "udp://127.0.0.1:0"])
        self.process.stdout.readline()
        self.address = self.process.stdout.readline().split()[1].removeprefix("udp://")


class Relay(Process):
    def __init__(self, squall, to, seed):
        super().__init__([squall, "relay", "--on", "udp://127.0.0.1:0", "--to", f"udp://{to}", "--weather", "half",
                          "--seed", str(seed), "--json"])
        self.address = json.loads(self.process.stdout.readline())["listening"][0].removeprefix("udp://")

    def ended(self, rest):
        self.counts = json.loads(rest.splitlines()[-1])


if __name__ == "__main__":
    sys.exit(main())
