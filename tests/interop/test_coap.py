"""`squall serve coap` and other people's CoAP clients: libcoap's `coap-client` and aiocoap."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

from coap_body import body
from harness import CTIME, PATIENCE, TestCase, needs_hosts

LIBCOAP = next(filter(None, map(shutil.which, ("coap-client-notls", "coap-client"))), None)
AIOCOAP = os.environ.get("SQUALL_AIOCOAP", "")
HERE = pathlib.Path(__file__).resolve().parent

needs_libcoap = unittest.skipUnless(LIBCOAP, "needs libcoap's coap-client (libcoap3-bin)")
needs_aiocoap = unittest.skipUnless(
    os.access(AIOCOAP, os.X_OK), "needs aiocoap (pip install aiocoap) and SQUALL_AIOCOAP, a Python that has it"
)
LENGTH = 100_000


def call(command, host=None):
    with host.entered() if host else contextlib.nullcontext():
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=2 * PATIENCE)
    return done


class CoapCase(TestCase):
    def libcoap(self, *arguments, host=None):
        """What it prints of the payload, and what it says on standard error, where the codes of errors are."""
        done = call([LIBCOAP, "-B", "20", *arguments], host)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout, done.stderr.decode()

    def aiocoap(self, *arguments, host=None):
        done = call([AIOCOAP, HERE / "aiocoap_peer.py", *map(str, arguments)], host)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        return [json.loads(line) for line in done.stdout.splitlines()]

    def file(self, content=b""):
        path = os.path.join(self.directory(), "body")
        pathlib.Path(path).write_bytes(content)
        return path


class OnThisMachine(CoapCase):
    def setUp(self):
        row = self.node("coap", "--on", "coap://127.0.0.1:0").row(transport="coap")
        self.address = row.address
        self.base = row.uri

    @needs_libcoap
    def test_libcoap_gets_posts_and_deletes(self):
        self.assertRegex(self.libcoap(f"{self.base}/time")[0].decode().strip(), f"^{CTIME}$")
        self.assertEqual(self.libcoap("-m", "post", "-e", "hello", f"{self.base}/length")[0], b"Your data was 5 bytes long\n")
        self.assertIn("4.04", self.libcoap(f"{self.base}/nothing")[1])
        self.assertIn("4.05", self.libcoap("-m", "put", "-e", "x", f"{self.base}/time")[1])
        self.libcoap("-m", "put", "-e", "kept", f"{self.base}/scratch/name")
        self.assertEqual(self.libcoap(f"{self.base}/scratch/name")[0], b"kept\n")
        self.libcoap("-m", "delete", f"{self.base}/scratch/name")
        self.assertIn("4.04", self.libcoap(f"{self.base}/scratch/name")[1])

    @needs_libcoap
    def test_libcoap_puts_and_gets_100_kilobytes_in_blocks(self):
        content = body(LENGTH)
        self.libcoap("-m", "put", "-f", self.file(content), f"{self.base}/scratch/large")
        for block in ("1024", "64"):
            with self.subTest(block=block):
                out = self.file()
                self.libcoap("-b", block, "-o", out, f"{self.base}/scratch/large")
                self.assertEqual(pathlib.Path(out).read_bytes(), content)

    @needs_libcoap
    def test_libcoap_observes_and_discovers(self):
        out, _ = self.libcoap("-s", "3", f"{self.base}/time")
        self.assertGreaterEqual(len(set(re.findall(CTIME, out.decode()))), 3)
        links = self.libcoap(f"{self.base}/.well-known/core")[0].decode()
        for path in ("time", "length", "stamp", "reply", "echo", "scratch"):
            self.assertIn(f"</{path}>", links)
        only = self.libcoap(f"{self.base}/.well-known/core?rt=squall.time")[0].decode()
        self.assertRegex(only.strip(), "^</time>;[^,]*;obs$")

    def test_a_ping_is_answered_with_a_reset(self):
        udp = self.udp(self.address)
        udp.send(b"\x40\x00\x12\x34")
        self.assertEqual(udp.recv(100), b"\x70\x00\x12\x34")

    def test_a_repeated_request_with_effect_gets_the_same_answer(self):
        udp = self.udp(self.address)
        put = b"\x44\x03\x00\x07abcd\xb7scratch\x01a\xff%d"
        answers = []
        for content in (1, 2, 1):
            udp.send(put % content)
            answers.append(udp.recv(100))
        # 2.01 Created, 2.04 Changed, and again 2.01: the third is the first, and does not undo the second.
        self.assertEqual([answer[1] for answer in answers], [0x41, 0x44, 0x41])
        udp.send(b"\x40\x01\x00\x08\xb7scratch\x01a")
        self.assertTrue(udp.recv(100).endswith(b"\xff2"))

    @needs_aiocoap
    def test_aiocoap_gets_posts_observes_and_discovers(self):
        self.assertRegex(self.aiocoap(self.base, "get", "/time")[0]["text"], f"^{CTIME}$")
        answer = self.aiocoap(self.base, "get", "/.well-known/core")[0]
        self.assertIn("</time>;", answer["text"])
        observed = self.aiocoap(self.base, "observe", "/time")
        self.assertEqual(len({answer["text"] for answer in observed}), 4, observed)

    @needs_aiocoap
    def test_aiocoap_puts_gets_and_echoes_100_kilobytes_in_blocks(self):
        self.assertEqual(self.aiocoap(self.base, "put", "/scratch/large", LENGTH)[0]["code"], "2.01 Created")
        self.assertEqual(self.aiocoap(self.base, "get", "/scratch/large")[0]["length"], LENGTH)
        echoed = self.aiocoap(self.base, "post", "/echo", LENGTH)[0]
        self.assertTrue(echoed["same"], echoed)


@needs_hosts
class FromAnotherHost(CoapCase):
    """Peers whose address is not validated, which get small blocks and an Echo first."""

    def setUp(self):
        self.server, self.client = self.host("server"), self.host("client")
        _, self.end = self.server.connect_to(self.client, ["10.77.0.1/24"], ["10.77.0.2/24"])
        self.node("coap", "--on", "coap://", host=self.server)
        self.base = "coap://10.77.0.1"

    @needs_libcoap
    def test_libcoap_carries_on_from_a_small_block(self):
        self.assertIn(b"</scratch>", self.libcoap(f"{self.base}/.well-known/core", host=self.client)[0])
        content = body(LENGTH)
        out = self.file()
        self.libcoap("-m", "post", "-f", self.file(content), "-o", out, f"{self.base}/echo", host=self.client)
        self.assertEqual(pathlib.Path(out).read_bytes(), content)

    @needs_libcoap
    def test_libcoap_observes_after_an_echo(self):
        out, _ = self.libcoap("-s", "3", f"{self.base}/time", host=self.client)
        self.assertGreaterEqual(len(set(re.findall(CTIME, out.decode()))), 3)

    @needs_aiocoap
    def test_aiocoap_carries_on_from_a_small_block(self):
        answer = self.aiocoap(self.base, "get", "/.well-known/core", host=self.client)[0]
        self.assertIn("</scratch>", answer["text"])
        echoed = self.aiocoap(self.base, "post", "/echo", LENGTH, host=self.client)[0]
        self.assertTrue(echoed["same"], echoed)

    @needs_libcoap
    def test_strangers_do_not_reach_scratch(self):
        self.assertIn("4.03", self.libcoap("-m", "put", "-e", "x", f"{self.base}/scratch/a", host=self.client)[1])

    @needs_libcoap
    def test_a_group_is_answered(self):
        self.client.ip("route", "add", "224.0.0.0/4", "dev", self.end)
        found = self.libcoap("-N", "-B", "6", "coap://224.0.1.187/.well-known/core?rt=squall.time", host=self.client)
        self.assertIn(b"</time>", found[0])

    def test_a_spoofed_request_gets_at_most_three_times_its_size(self):
        udp = self.udp(("10.77.0.1", 5683), self.client)
        requests = [
            b"\x40\x01\x00\x01\xbb.well-known\x04core",
            b"\x40\x01\x00\x02\xb4time",
            b"\x40\x01\x00\x03\x60\x54time",
            b"\x40\x02\x00\x04\xb5reply",
            b"\x40\x03\x00\x05\xb7scratch\x01a\xff" + b"x" * 100,
            b"\x40\x01\x00\x06",
        ]
        for request in requests:
            udp.send(request)
            answer = udp.recv(65536)
            self.assertLessEqual(len(answer) + 28, 3 * (len(request) + 28), request)
        udp.settimeout(2)
        with self.assertRaises(TimeoutError):
            self.fail(f"it was not asked for: {udp.recv(65536)}")
