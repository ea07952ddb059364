#!/usr/bin/env python3
"""Measures what `squall under` does to packets, beside what it was asked to do.

  cargo build --release -p squall-cli
  bench/under.py                      all of it, about 40 s
  bench/under.py --seconds 2          shorter
  bench/under.py --against COMMAND    iperf3's throughput too, beside that of another emulator (see below)

One-way delays are timed by the clock that both hosts share, from before the call that sends to after the one that
receives, so that two wake-ups are in them. Loss is counted by the receiver, not by squall. It ends with 1 when a
figure is not what was asked: delay within 0.2 ms in the median, loss within 4.9 standard deviations (one false
alarm in a million), rate within 1 %, a clear link at 2 Gbit/s of TCP at least.

With --against, COMMAND is a shell command that runs iperf3 for SECONDS over 25 ms each way, 1 % loss, 1 Gbit/s and a
queue of 6 MB made by something else, with the seed SEED, and prints iperf3's JSON; both are variables of its
environment. Needs iperf3 and many runs: the throughput of one is a matter of luck.
"""

import argparse
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

CONNECT = """
import os, socket, struct, sys, time
def udp():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect((os.environ['SQUALL_SERVER'], 7))
    return sock
def server():
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
    sock.bind(('', 7))
    return sock
"""

ECHO_TIMES = CONNECT + """
sock = server()
while True:
    data, peer = sock.recvfrom(99)
    sock.sendto(data + struct.pack('!Q', time.monotonic_ns()), peer)
"""

ASK_TIMES = CONNECT + """
sock = udp()
sock.settimeout(0.5)
until = time.monotonic() + SECONDS
while time.monotonic() < until:
    sock.send(struct.pack('!Q', time.monotonic_ns()))
    try: data = sock.recv(99)
    except TimeoutError: continue
    sent, there, back = *struct.unpack('!QQ', data), time.monotonic_ns()
    print(there - sent, back - there)
"""

# Every datagram has a number; the last ones say how many there were, and are sent until the server has gone.
COUNT = CONNECT + """
sock = server()
seen, begin, end, size = set(), None, None, 0
while True:
    data = sock.recv(65536)
    if data.startswith(b'end'): break
    number = struct.unpack('!I', data[:4])[0]
    seen.add(number)
    end, size = time.monotonic(), len(data)
    begin = begin or end
print('COUNTED', len(seen), end - begin if begin else 0, size, flush=True)
"""

SEND = CONNECT + """
sock = udp()
for number in range(COUNT):
    sock.send(struct.pack('!I', number) + bytes(SIZE - 4))
    if number % 50 == 49: time.sleep(0.002)
time.sleep(0.2)
while True:
    try:
        sock.send(b'end')
        time.sleep(0.02)
    except ConnectionRefusedError: break
"""

TAKE = """
import socket
with socket.create_server(('', 80)) as listener:
    peer, _ = listener.accept()
    with peer:
        buffer = bytearray(1 << 20)
        while peer.recv_into(buffer): pass
        peer.sendall(b'done')
"""

GIVE = """
import os, socket, time
total, chunk = 0, bytes(1 << 20)
with socket.create_connection((os.environ['SQUALL_SERVER'], 80)) as peer:
    begin = time.monotonic()
    while time.monotonic() < begin + SECONDS:
        peer.sendall(chunk)
        total += len(chunk)
    peer.shutdown(socket.SHUT_WR)
    peer.recv(9)
    print(total * 8 / (time.monotonic() - begin) / 1e9)
"""

PROGRAM = pathlib.Path(__file__).resolve().parent.parent / "target" / "release" / "squall"
OVER = "delay=25ms,loss=1%,rate=1gbit,queue=6MB"
ALARM = 4.9


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--program", default=PROGRAM, help="squall itself [%(default)s]")
    arguments.add_argument("--seconds", type=float, default=8, help="how long each is measured [%(default)s]")
    arguments.add_argument("--against", metavar="COMMAND", help="runs iperf3 over another emulator")
    arguments.add_argument("--runs", type=int, default=5, help="with --against, of each [%(default)s]")
    options = arguments.parse_args()
    squall = Squall(options.program)
    table = Table()
    delay(squall, table, options.seconds)
    loss(squall, table, options.seconds)
    rate(squall, table, options.seconds)
    clear(squall, table, options.seconds)
    if options.against:
        against(squall, table, options)
    return 0 if table.kept else 1


class Squall:
    def __init__(self, program):
        self.program = program

    def under(self, weather, server, client, seed=1):
        """What server and client printed, and the summary."""
        server = server if isinstance(server, str) else " ".join(quoted(word) for word in server)
        with tempfile.NamedTemporaryFile("r") as summary:
            command = [self.program, "under", "--json", "--summary", summary.name, "--weather", weather,
                       "--seed", str(seed), "--server", server, "--", *client]
            result = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
            if result.returncode != 0:
                sys.exit(f"{weather}: ended with {result.returncode}: {result.stderr}")
            return result.stderr, result.stdout, json.load(summary)


class Table:
    def __init__(self):
        self.kept = True
        print(f"{'what':34} {'asked':>14} {'measured':>14}  kept")

    def row(self, what, asked, measured, kept):
        self.kept &= kept
        print(f"{what:34} {asked:>14} {measured:>14}  {'yes' if kept else 'NO'}", flush=True)


def python(script, **values):
    for name, value in values.items():
        script = script.replace(name, str(value))
    return ["python3", "-c", script]


def quoted(word):
    return "'" + word.replace("'", "'\\''") + "'"


def delay(squall, table, seconds):
    _, out, _ = squall.under(OVER, python(ECHO_TIMES), python(ASK_TIMES, SECONDS=seconds))
    ways = [[int(word) / 1e6 for word in line.split()] for line in out.splitlines()]
    for name, times in zip(("up", "down"), zip(*ways)):
        median, tenth = statistics.median(times), sorted(times)[len(times) * 9 // 10]
        table.row(f"delay {name}, median of {len(times)}", "25 ms", f"{median:.3f} ms", 25 <= median < 25.2)
        table.row(f"delay {name}, least", "25 ms", f"{min(times):.3f} ms", min(times) >= 25)
        print(f"{'  90th percentile':34} {'':>14} {tenth:11.3f} ms")


def loss(squall, table, seconds):
    count = max(20_000, int(seconds * 5000))
    counted, _, summary = squall.under("up.loss=1%,up.delay=25ms", python(COUNT), python(SEND, COUNT=count, SIZE=100))
    received = int(counted.split("COUNTED ")[1].split()[0])
    share, sigma = 1 - received / count, math.sqrt(0.01 * 0.99 / count)
    kept = abs(share - 0.01) < ALARM * sigma
    table.row(f"loss of {count} datagrams", f"1% ±{ALARM * sigma:.2%}", f"{share:.2%}", kept)
    drops = summary["client"]["send_drops"] + summary["server"]["receive_drops"]
    table.row("lost by the interfaces", "0", str(drops), drops == 0)


def rate(squall, table, seconds):
    size, bits = 1400, 100e6
    count = int(seconds * bits / 8 / (size + 28))
    counted, _, _ = squall.under("up.rate=100mbit,up.queue=1GB", python(COUNT), python(SEND, COUNT=count, SIZE=size))
    received, took, _ = counted.split("COUNTED ")[1].split()[:3]
    measured = (int(received) - 1) * (size + 28) * 8 / float(took)
    table.row(f"rate of {received} datagrams", "100 Mbit/s", f"{measured / 1e6:.2f} Mbit/s", abs(measured / bits - 1) < 0.01)


def clear(squall, table, seconds):
    _, out, _ = squall.under("clear", python(TAKE), python(GIVE, SECONDS=seconds))
    table.row("TCP over a clear link", "≥ 2 Gbit/s", f"{float(out):.2f} Gbit/s", float(out) >= 2)
    _, out, _ = squall.under("delay=1ms", python(TAKE), python(GIVE, SECONDS=seconds))
    print(f"{'TCP with 1 ms of delay':34} {'':>14} {float(out):7.2f} Gbit/s")


def against(squall, table, options):
    ours, theirs = [], []
    client = ["sh", "-c", f"exec iperf3 -J -C cubic -t {options.seconds:.0f} -c $SQUALL_SERVER"]
    for run in range(options.runs):
        seed = run + 1
        _, out, _ = squall.under(OVER, "exec iperf3 -s -1 >/dev/null", client, seed)
        ours.append(throughput(out))
        environment = {**os.environ, "SEED": str(seed), "SECONDS": f"{options.seconds:.0f}"}
        result = subprocess.run(["sh", "-c", options.against], capture_output=True, text=True, env=environment)
        theirs.append(throughput(result.stdout))
    ratio = statistics.mean(ours) / statistics.mean(theirs)
    spread = [f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})" for values in (ours, theirs)]
    print(f"iperf3, cubic, Mbit/s, {options.runs} runs: under {spread[0]}, the other {spread[1]}")
    table.row("ratio", "1 ±15%", f"{ratio:.3f}", abs(ratio - 1) < 0.15)


def throughput(text):
    return json.loads(text)["end"]["sum_received"]["bits_per_second"] / 1e6


if __name__ == "__main__":
    sys.exit(main())
