"""What `squall serve` prints: each line of its table works as it stands there."""

import contextlib
import os
import re
import shutil
import subprocess
import unittest

from harness import CTIME, PATIENCE, SQUALL, TestCase, needs_hosts

ANSWERS = {
    "time": CTIME,
    "length": r"Your data was 6 bytes long",
    "stamp": rf"\[{CTIME}\] hello",
    "reply": "你好",
    "echo": "hello",
    "coap": CTIME,
    # Whoever asks at the same time is heard, too.
    "chat": r"(ack hello\n?)+",
    # Over datagrams nothing is answered, so the sender says what it sent; over QUIC what is stored.
    "files": r"(6 B sent to \S+ in 2 datagrams; nobody says whether they arrived|1 file stored; 6 B sent in .*)",
}


def is_openbsd_nc():
    if not shutil.which("nc"):
        return False
    usage = subprocess.run(["nc", "-h"], capture_output=True, text=True)
    return "OpenBSD" in usage.stdout + usage.stderr


def is_chat(line):
    return line.startswith("squall chat ")


def shown(line):
    """So that the copies of what is typed are printed, which a terminal would show."""
    return line + " --echo" if is_chat(line) else line


needs_nc = unittest.skipUnless(is_openbsd_nc(), "needs OpenBSD's nc (netcat-openbsd)")


class Table(TestCase):
    def assert_lines_work(self, node, host=None):
        """Runs all lines at once: each waits a second for more."""
        # Whatever the binary under test is called.
        programs = self.directory()
        os.symlink(SQUALL, os.path.join(programs, "squall"))
        path = programs + os.pathsep + os.environ["PATH"]
        with host.entered() if host else contextlib.nullcontext():
            started = [
                (row, subprocess.Popen(["sh", "-c", shown(row.line)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                       stderr=subprocess.PIPE, env=os.environ | {"PATH": path}))
                for row in node.rows
            ]
        for row, process in started:
            with self.subTest(row.line):
                out, err = process.communicate(b"hello\n" if is_chat(row.line) else b"", timeout=PATIENCE)
                answer = r"(\S+: hello\n?)+" if is_chat(row.line) else ANSWERS[row.service]
                if " nc " not in row.line:
                    # `squall ask` takes its text from the command line, without a line end.
                    answer = answer.replace("6 bytes", "5 bytes")
                self.assertRegex(out.decode().removesuffix("\n"), f"^{answer}$", err)

    @needs_hosts
    @needs_nc
    def test_each_line_of_the_default_table_is_answered(self):
        host = self.host("node")
        node = self.node(host=host)
        services = {(row.service, row.transport, row.host, row.port) for row in node.rows}
        expected = {("time", "udp", 20000), ("length", "udp", 1060), ("stamp", "udp", 21567),
                    ("stamp", "tcp", 21567), ("reply", "udp", 8888), ("coap", "coap", 5683),
                    ("chat", "udp", 9999), ("chat", "tcp", 9999), ("files", "udp", 7776), ("files", "quic", 4433)}
        both = {(name, transport, at, port) for name, transport, port in expected for at in ("127.0.0.1", "::1")}
        self.assertEqual(services, both)
        self.assert_lines_work(node, host)
        self.assertEqual(node.stop(), 0)
        # What the chat says is said to all, and no answer to anybody.
        answered = sum(row.service not in ("chat", "files") for row in node.rows)
        self.assertEqual(node.counts()["answered"], answered)

    @needs_nc
    def test_each_line_for_other_addresses_is_answered(self):
        node = self.node(*self.every_service())
        self.assertEqual({row.transport for row in node.rows}, {"udp", "tcp", "unix", "unixgram"})
        self.assert_lines_work(node)

    @needs_nc
    def test_a_node_on_every_interface_prints_lines_that_work(self):
        node = self.node("stamp", "--on", "udp://:0", "--on", "tcp://0.0.0.0:0")
        self.assertEqual(len(node.rows), 2)
        self.assert_lines_work(node)

    def test_a_closed_pipe_for_the_table_does_not_end_the_node(self):
        reading, writing = os.pipe()
        os.close(reading)
        process = subprocess.Popen([SQUALL, "serve", "length", "--on", "udp://127.0.0.1:0", "-vv"],
                                   stdin=subprocess.DEVNULL, stdout=writing, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)
        os.close(writing)
        for line in process.stderr:
            found = re.search(r"udp://127\.0\.0\.1:(\d+) has", line)
            if found:
                break
        answer = self.ask(("127.0.0.1", int(found[1])))
        self.assertEqual(answer, b"Your data was 5 bytes long")
