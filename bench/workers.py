#!/usr/bin/env python3
"""What a server in worker processes does with its peers while a worker is killed and replaced.

    cargo build --release --example process_server -p squall
    bench/workers.py [--workers 4] [--peers 10000] [--rate 20000] [--seconds 6] [--program PATH]

Two runs against the example process_server, which answers each request with its worker's process id. All traffic
stays on loopback; each peer is an address of its own, 127.1.A.B.

1. Stickiness: every peer asks once, a worker is killed, every peer asks again. A peer must be heard by the same worker,
   or by the one that took the killed worker's place.
2. Loss: peers ask at a steady rate, and a worker is killed in the middle. Lost is what the killed worker had taken
   from its socket and not answered; what waited in the socket is answered by its successor.

Prints one line of JSON for each run. Ends with 1 when a peer changed its worker, or more was lost than a worker holds.
"""

import argparse
import json
import os
import pathlib
import selectors
import signal
import socket
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = ROOT / "target" / "release" / "examples" / "process_server"
# What a worker takes from its socket with one call.
BATCH = 64


def start(program, workers):
    if not program.exists():
        sys.exit("build it first: cargo build --release --example process_server -p squall")
    server = subprocess.Popen([program, str(workers)], stdout=subprocess.PIPE, text=True)
    line = server.stdout.readline()
    host, port = line.rsplit("udp://", 1)[1].strip().rsplit(":", 1)
    return server, (host, int(port))


def stop(server):
    server.send_signal(signal.SIGKILL)
    server.wait()


def peer_address(number):
    return f"127.1.{number // 250}.{number % 250 + 1}"


def open_socket(number, port):
    peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    peer.bind((peer_address(number), port))
    return peer


def ask(peer, address, text=b"?"):
    """The process id that answers, asked again for as long as a worker may be starting."""
    for wait in (0.2, 0.4, 0.8, 1.6, 3.2):
        peer.settimeout(wait)
        peer.sendto(text, address)
        try:
            return int(peer.recv(200).split()[1])
        except socket.timeout:
            pass
    raise SystemExit("a peer got no answer")


def stickiness(program, workers, peers):
    server, address = start(program, workers)
    try:
        port = 21000
        heard = []
        for number in range(peers):
            with open_socket(number, port) as peer:
                heard.append(ask(peer, address))
        shares = {pid: heard.count(pid) for pid in sorted(set(heard))}
        victim = max(shares, key=shares.get)
        os.kill(victim, signal.SIGKILL)
        moved, successors = 0, set()
        for number in range(peers):
            with open_socket(number, port) as peer:
                now = ask(peer, address)
            if heard[number] == victim:
                successors.add(now)
            elif now != heard[number]:
                moved += 1
        moved += len(successors & set(heard))
        result = {
            "run": "stickiness",
            "workers": workers,
            "peers": peers,
            "shares": list(shares.values()),
            "killed_share": shares[victim],
            "successors": len(successors),
            "peers_that_changed_their_worker": moved,
        }
        print(json.dumps(result), flush=True)
        return moved == 0 and len(successors) == 1
    finally:
        stop(server)


def loss(program, workers, peers, rate, seconds):
    server, address = start(program, workers)
    try:
        sockets = [open_socket(number, 22000) for number in range(peers)]
        waiting = selectors.DefaultSelector()
        for peer in sockets:
            peer.setblocking(False)
            waiting.register(peer, selectors.EVENT_READ)
        asked, answered, victim, longest = {}, 0, None, 0.0
        begin = time.monotonic()
        sent = 0
        while True:
            now = time.monotonic() - begin
            due = min(int(now * rate), int(seconds * rate))
            while sent < due:
                sockets[sent % peers].sendto(b"%d" % sent, address)
                asked[sent] = time.monotonic()
                sent += 1
            for key, _ in waiting.select(0 if sent < int(seconds * rate) else 0.1):
                try:
                    while True:
                        words = key.fileobj.recv(200).split()
                        when = asked.pop(int(words[3]), None)
                        if when is not None:
                            answered += 1
                            longest = max(longest, time.monotonic() - when)
                        pid = int(words[1])
                except BlockingIOError:
                    pass
            if victim is None and now > seconds / 2:
                victim = pid
                os.kill(victim, signal.SIGKILL)
            if now > seconds + 3 or (sent == int(seconds * rate) and not asked):
                break
        result = {
            "run": "loss",
            "workers": workers,
            "peers": peers,
            "requests_per_second": rate,
            "requests": sent,
            "answered": answered,
            "lost": sent - answered,
            "longest_wait_ms": round(longest * 1000, 1),
        }
        print(json.dumps(result), flush=True)
        return sent - answered <= BATCH
    finally:
        stop(server)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--peers", type=int, default=10000)
    parser.add_argument("--rate", type=int, default=20000)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--program", type=pathlib.Path, default=PROGRAM)
    options = parser.parse_args()
    good = stickiness(options.program, options.workers, options.peers)
    good &= loss(options.program, options.workers, min(options.peers, 256), options.rate, options.seconds)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
