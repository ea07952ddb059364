"""Commands that answer: one process for each request, and a pool of those that stay."""

import os
import pathlib
import shlex
import signal
import socket
import sys

from harness import TestCase, until

WORKER = """
import os, struct, sys

while header := sys.stdin.buffer.read(4):
    request = sys.stdin.buffer.read(struct.unpack("!I", header)[0])
    if request == b"end":
        sys.exit(1)
    if request == b"hang":
        while True:
            os.read(0, 1)
    if request == b"who":
        request = str(os.getpid()).encode()
    sys.stdout.buffer.write(struct.pack("!I", len(request)) + request.swapcase())
    sys.stdout.buffer.flush()
"""


def processes(marker):
    """Those whose command line has `marker` in it."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if marker.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


class Each(TestCase):
    def serve(self, command, *arguments, on="udp://127.0.0.1:0"):
        return self.node("exec", "--on", on, "--command", command, *arguments)

    def test_a_command_gets_the_request_and_its_output_is_the_reply(self):
        node = self.serve("tr a-z A-Z")
        self.assertEqual(self.ask(node.rows[0].address, b"hello"), b"HELLO")
        self.assertEqual(self.ask(node.rows[0].address, b""), b"")

    def test_a_command_answers_though_the_nodes_starter_ignores_its_children(self):
        node = self.node("exec", "--on", "udp://127.0.0.1:0", "--command", "echo hi",
                         preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN))
        for _ in range(5):
            self.assertEqual(self.ask(node.rows[0].address, b"?"), b"hi\n")

    def test_a_command_that_reads_nothing_answers_all_the_same(self):
        node = self.serve("echo no")
        for payload in (b"", bytes(65507)):
            self.assertEqual(self.ask(node.rows[0].address, payload), b"no\n")

    def test_a_command_learns_who_asks_and_how(self):
        directory = self.directory()
        command = 'printf %s "$SQUALL_TRANSPORT $SQUALL_PEER $SQUALL_LOCAL"'
        node = self.serve(command)
        udp = self.udp(node.rows[0].address)
        udp.send(b"?")
        peer, local = ("%s:%d" % address for address in (udp.getsockname(), node.rows[0].address))
        self.assertEqual(udp.recv(1024).decode(), f"udp {peer} {local}")
        node = self.serve(command, on="tcp://127.0.0.1:0")
        tcp = self.tcp(node.rows[0].address)
        tcp.send(b"?")
        peer, local = ("%s:%d" % address for address in (tcp.getsockname(), node.rows[0].address))
        self.assertEqual(tcp.recv(1024).decode(), f"tcp {peer} {local}")
        node = self.serve(command, on=f"unix:{directory}/s")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(f"{directory}/s")
            client.send(b"?")
            self.assertTrue(client.recv(1024).startswith(b"unix "))

    def test_a_request_is_data_and_never_part_of_the_command(self):
        node = self.serve("cat")
        for payload in (b"$(id)", b"; id", b"`id`", b"\0\n'\""):
            self.assertEqual(self.ask(node.rows[0].address, payload), payload)

    def test_a_command_that_fails_or_prints_too_much_gives_no_answer_and_the_next_is_answered(self):
        node = self.serve("read what; case $what in fail) exit 3;; much) head -c 70000 /dev/zero;; "
                          "*) echo $what;; esac")
        udp = self.udp(node.rows[0].address)
        for what in (b"fail\n", b"much\n"):
            udp.send(what)
        until(lambda: node.log().count("gave no answer") == 2, "both are said")
        udp.send(b"fine\n")
        self.assertEqual(udp.recv(1024), b"fine\n")
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.counts()["refused_failed"], 2)

    def test_a_command_that_hangs_is_killed_at_the_deadline_with_all_that_it_started(self):
        nap = f"86400.{os.getpid()}"
        for command in (f"exec sleep {nap}", f"sleep {nap}; true"):
            with self.subTest(command):
                node = self.serve(f"read what; [ $what = hang ] && {{ {command}; }}; echo $what",
                                  "--deadline", "300ms")
                udp = self.udp(node.rows[0].address)
                udp.send(b"hang\n")
                udp.send(b"other\n")
                self.assertEqual(udp.recv(1024), b"other\n", "nobody waits for the one that hangs")
                until(lambda: "the command was killed" in node.log(), "it is killed")
                until(lambda: not processes(f"sleep\0{nap}"), "nothing of it is left")
                self.assertEqual(node.stop(), 0)
                self.assertEqual(node.counts()["refused_failed"], 1)


    def test_a_command_that_hangs_ends_with_the_node(self):
        nap = f"86401.{os.getpid()}"
        node = self.serve(f"sleep {nap}; true", "--deadline", "1s")
        self.udp(node.rows[0].address).send(b"?")
        until(lambda: processes(f"sleep\0{nap}"), "it runs")
        self.assertEqual(node.stop(), 0)
        until(lambda: not processes(f"sleep\0{nap}"), "nothing of it is left")


class Pool(TestCase):
    def serve(self, *arguments):
        worker = pathlib.Path(self.directory(), "worker.py")
        worker.write_text(WORKER)
        self.marker = str(worker)
        command = f"exec {shlex.quote(sys.executable)} {shlex.quote(str(worker))}"
        return self.node("exec", "--on", "udp://127.0.0.1:0", "--command", command, "--pool", "2", *arguments)

    def test_workers_answer_frames_and_stay(self):
        node = self.serve()
        for payload in (b"hello", b"", b"x" * 65507):
            self.assertEqual(self.ask(node.rows[0].address, payload), payload.swapcase())
        self.assertEqual(len({self.ask(node.rows[0].address, b"who") for _ in range(10)}), 1)
        self.assertLessEqual(len(processes(self.marker)), 2)
        self.assertEqual(node.stop(), 0)
        until(lambda: not processes(self.marker), "the workers end with the node")

    def test_a_worker_that_ends_or_hangs_is_replaced(self):
        node = self.serve("--deadline", "500ms")
        udp = self.udp(node.rows[0].address)
        for number, what in enumerate((b"end", b"hang", b"end"), 1):
            udp.send(what)
            until(lambda: node.log().count("WARN") == number, f"{what} is said")
            udp.send(b"hello")
            self.assertEqual(udp.recv(1024), b"HELLO")
        self.assertLessEqual(len(processes(self.marker)), 2)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.counts()["refused_failed"], 3)
        until(lambda: not processes(self.marker), "the workers end with the node")
