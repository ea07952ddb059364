"""`squall serve coap` and other people's CoAP clients: libcoap's `coap-client` and aiocoap."""

import contextlib
"""CoAP: libcoap's and aiocoap's clients against the node, and `squall ask coap://` against their servers."""

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
import socket
import subprocess
import textwrap
import time
import unittest

from harness import CTIME, PATIENCE, SQUALL, TestCase, until

HERE = pathlib.Path(__file__).resolve().parent


def libcoap(program):
    """Debian gives the programs of libcoap3-bin a suffix for their TLS library."""
    for suffix in ("", "-notls", "-openssl", "-gnutls"):
        found = shutil.which(f"coap-{program}{suffix}")
        if found:
            return found
    return None


def aiocoap():
    """A Python that has aiocoap: that of the environment which `.ci/run` makes, or the one at hand."""
    named = os.environ.get("SQUALL_AIOCOAP_PYTHON")
    for python in [named] if named else ["python3"]:
        try:
            if subprocess.run([python, "-c", "import aiocoap"], capture_output=True).returncode == 0:
                return python
        except OSError:
            pass
    return None


CLIENT, SERVER, AIOCOAP = libcoap("client"), libcoap("server"), aiocoap()
needs_client = unittest.skipUnless(CLIENT, "needs coap-client (libcoap3-bin)")
needs_server = unittest.skipUnless(SERVER, "needs coap-server (libcoap3-bin)")
needs_aiocoap = unittest.skipUnless(AIOCOAP, "needs a Python with aiocoap; `.ci/run install_packages` makes one")

BODY = bytes((index * 7 + index // 251) % 256 for index in range(100_000))
"""As many bytes as a block-wise transfer is tried with; no two blocks are equal."""


class CoapTest(TestCase):
    def coap_node(self):
        """A node's URI, without a path."""
        return self.node("coap", "--on", "coap://127.0.0.1:0").row("coap", "coap").uri

    def file(self, content=b""):
        path = os.path.join(self.directory(), "file")
        pathlib.Path(path).write_bytes(content)
        return path

    def squall(self, *arguments, code=0):
        done = subprocess.run([SQUALL, "ask", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=4 * PATIENCE)
        self.assertEqual(done.returncode, code, done)
        return done.stdout

    def free_port(self):
        with self.udp(bind=("127.0.0.1", 0)) as probe:
            return probe.getsockname()[1]

    def program(self, *command, uri):
        """Starts a server and waits until it answers a ping."""
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        ping = [SQUALL, "ask", uri, "--ping", "--timeout", "1s"]
        until(lambda: subprocess.run(ping, capture_output=True).returncode == 0, f"{command[0]} answers")


@needs_client
class LibcoapsClient(CoapTest):
    """`coap-client` asks a node."""

    def ask(self, *arguments):
        done = subprocess.run([CLIENT, "-B", "20", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=2 * PATIENCE)
        self.assertEqual(done.returncode, 0, done)
        return done.stdout

    def test_get_and_post_are_answered(self):
        node = self.coap_node()
        self.assertRegex(self.ask("-m", "get", f"{node}/time").decode(), rf"^{CTIME}\s*$")
        self.assertRegex(self.ask("-m", "post", "-e", "hello", f"{node}/stamp").decode(), rf"^\[{CTIME}\] hello\s*$")
        self.assertIn(b"5 bytes", self.ask("-N", "-m", "post", "-e", "hello", f"{node}/length"))

    def test_what_is_not_there_is_4_04(self):
        done = subprocess.run([CLIENT, "-B", "20", f"{self.coap_node()}/nothing"], capture_output=True,
                              timeout=PATIENCE)
        self.assertIn(b"4.04", done.stdout + done.stderr)

    def test_a_long_body_is_put_and_got_in_blocks_of_any_size(self):
        node = self.coap_node()
        for size in ("1024", "256", "64"):
            with self.subTest(size=size):
                got = self.file()
                self.ask("-b", size, "-m", "put", "-f", self.file(BODY), f"{node}/scratch/long")
                self.ask("-b", size, "-m", "get", "-o", got, f"{node}/scratch/long")
                self.assertTrue(pathlib.Path(got).read_bytes() == BODY)
        self.ask("-m", "delete", f"{node}/scratch/long")
        self.assertIn(b"4.04", subprocess.run([CLIENT, "-B", "20", f"{node}/scratch/long"], capture_output=True,
                                              timeout=PATIENCE).stderr)

    def test_a_long_body_comes_back_from_the_resource_that_it_is_posted_to(self):
        got = self.file()
        self.ask("-m", "post", "-f", self.file(BODY), "-o", got, f"{self.coap_node()}/echo")
        self.assertTrue(pathlib.Path(got).read_bytes() == BODY)

    def test_the_time_is_observed_each_second(self):
        states = re.findall(CTIME, self.ask("-s", "4", "-m", "get", f"{self.coap_node()}/time").decode())
        self.assertGreaterEqual(len(states), 4, states)
        self.assertEqual(len(set(states)), len(states))

    def test_discovery_lists_what_there_is(self):
        node = self.coap_node()
        links = self.ask("-m", "get", f"{node}/.well-known/core").decode()
        for path in ("time", "length", "stamp", "reply", "echo", "scratch"):
            self.assertIn(f"</{path}>", links)
        only = self.ask("-m", "get", f"{node}/.well-known/core?href=/time").decode()
        self.assertIn("</time>", only)
        self.assertNotIn("</echo>", only)


class APing(CoapTest):
    def test_an_empty_confirmable_message_is_reset(self):
        host, port = self.coap_node().removeprefix("coap://").split(":")
        self.assertEqual(self.ask_bytes((host, int(port)), b"\x40\x00\x12\x34"), b"\x70\x00\x12\x34")

    def ask_bytes(self, to, message):
        udp = self.udp(to)
        udp.send(message)
        return udp.recv(64)


@needs_aiocoap
class Aiocoap(CoapTest):
    """aiocoap's client asks a node."""

    SCRIPT = textwrap.dedent("""
        import asyncio, hashlib, json, sys
        from aiocoap import Code, Context, Message

        async def main(uri, path):
            body = open(path, "rb").read()
            context = await Context.create_client_context()
            async def ask(code, path, **options):
                return await context.request(Message(code=code, uri=uri + path, **options)).response
            seen = {}
            seen["time"] = (await ask(Code.GET, "/time")).payload.decode()
            seen["stamp"] = (await ask(Code.POST, "/stamp", payload=b"hello")).payload.decode()
            seen["nothing"] = str((await ask(Code.GET, "/nothing")).code)
            seen["put"] = str((await ask(Code.PUT, "/scratch/a", payload=body)).code)
            seen["got"] = hashlib.sha256((await ask(Code.GET, "/scratch/a")).payload).hexdigest()
            seen["echo"] = hashlib.sha256((await ask(Code.POST, "/echo", payload=body)).payload).hexdigest()
            seen["delete"] = str((await ask(Code.DELETE, "/scratch/a")).code)
            seen["gone"] = str((await ask(Code.GET, "/scratch/a")).code)
            seen["links"] = (await ask(Code.GET, "/.well-known/core")).payload.decode()
            request = context.request(Message(code=Code.GET, uri=uri + "/time", observe=0))
            states = [(await request.response).payload.decode()]
            async for state in request.observation:
                states.append(state.payload.decode())
                if len(states) == 4:
                    break
            request.observation.cancel()
            seen["states"] = states
            await context.shutdown()
            print(json.dumps(seen))

        asyncio.run(main(*sys.argv[1:]))
    """)

    def test_everything_works(self):
        import hashlib
        done = subprocess.run([AIOCOAP, "-c", self.SCRIPT, self.coap_node(), self.file(BODY)], capture_output=True,
                              timeout=3 * PATIENCE)
        self.assertEqual(done.returncode, 0, done.stderr.decode())
        seen = json.loads(done.stdout)
        digest = hashlib.sha256(BODY).hexdigest()
        self.assertRegex(seen["time"], f"^{CTIME}$")
        self.assertRegex(seen["stamp"], rf"^\[{CTIME}\] hello$")
        self.assertEqual((seen["got"], seen["echo"]), (digest, digest))
        self.assertEqual((seen["nothing"], seen["delete"], seen["gone"]),
                         ("4.04 Not Found", "2.02 Deleted", "4.04 Not Found"))
        self.assertTrue(seen["put"].startswith("2."), seen["put"])
        self.assertIn("</time>", seen["links"])
        self.assertEqual(len(set(seen["states"])), 4, seen["states"])


@needs_server
class LibcoapsServer(CoapTest):
    """`squall ask` asks `coap-server`."""

    def coap_server(self, *options):
        port = self.free_port()
        uri = f"coap://127.0.0.1:{port}"
        self.program(SERVER, "-A", "127.0.0.1", "-p", str(port), "-d", "10", *options, uri=uri)
        return uri

    def test_requests_are_answered(self):
        server = self.coap_server()
        self.assertRegex(self.squall(f"{server}/time").decode(), r"^[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d$")
        self.assertIn(b"libcoap", self.squall(server))
        self.assertIn(b"libcoap", self.squall(server, "--non"))
        # It acknowledges, and answers a moment later.
        self.assertEqual(self.squall(f"{server}/async"), b"done")
        self.squall(f"{server}/nothing", code=1)

    def test_it_is_found_out_what_there_is(self):
        links = self.squall(f"{self.coap_server()}/.well-known/core").decode().splitlines()
        self.assertTrue(any(re.match(r"/time .*  obs", line) for line in links), links)

    def test_a_long_body_is_put_and_got(self):
        server = self.coap_server()
        path = self.file(BODY)
        for size in ("1024", "256", "16"):
            with self.subTest(size=size):
                there = f"{server}/long{size}"
                self.squall(there, "--method", "put", "--payload", f"@{path}", "--block-size", size)
                self.assertTrue(self.squall(there, "--block-size", size) == BODY)
        self.squall(f"{server}/long16", "--method", "delete")

    def test_example_data_is_changed(self):
        there = f"{self.coap_server()}/example_data"
        self.squall(there, "--method", "put", "new")
        self.assertEqual(self.squall(there), b"new")

    def test_the_time_is_observed(self):
        states = self.squall(f"{self.coap_server()}/time", "--observe=3").decode().splitlines()
        self.assertEqual(len(set(states)), 3, states)

    def test_a_lost_answer_is_asked_for_again(self):
        # Its first datagram, which would answer the first ping, is lost, and so is the third.
        server = self.coap_server("-l", "1,3")
        started = time.monotonic()
        [answer] = map(json.loads, self.squall(f"{server}/time", "--json").splitlines())
        self.assertEqual((answer["code"], answer["messages"]), ("2.05", 2))
        self.assertGreaterEqual(time.monotonic() - started, 2.0)


@needs_aiocoap
class AiocoapsServer(CoapTest):
    """`squall ask` asks a server that is made with aiocoap."""

    SCRIPT = textwrap.dedent("""
        import asyncio, sys
        import aiocoap, aiocoap.resource as resource

        class Keeper(resource.Resource):
            body = b""
            async def render_get(self, request):
                return aiocoap.Message(payload=self.body)
            async def render_put(self, request):
                self.body = request.payload
                return aiocoap.Message(code=aiocoap.CHANGED)
            async def render_post(self, request):
                return aiocoap.Message(code=aiocoap.CHANGED, payload=request.payload)

        class Slow(resource.Resource):
            async def render_get(self, request):
                await asyncio.sleep(1)
                return aiocoap.Message(payload=b"at last")

        class Ticker(resource.ObservableResource):
            count = 0
            async def tick(self):
                while True:
                    await asyncio.sleep(0.1)
                    self.count += 1
                    self.updated_state()
            async def render_get(self, request):
                return aiocoap.Message(payload=b"%d" % self.count)

        async def main():
            site = resource.Site()
            ticker = Ticker()
            site.add_resource([".well-known", "core"], resource.WKCResource(site.get_resources_as_linkheader))
            site.add_resource(["keeper"], Keeper())
            site.add_resource(["slow"], Slow())
            site.add_resource(["ticker"], ticker)
            await aiocoap.Context.create_server_context(site, bind=("127.0.0.1", int(sys.argv[1])))
            await ticker.tick()

        asyncio.run(main())
    """)

    def test_everything_works(self):
        port = self.free_port()
        server = f"coap://127.0.0.1:{port}"
        self.program(AIOCOAP, "-c", self.SCRIPT, str(port), uri=server)
        path = self.file(BODY)
        self.squall(f"{server}/keeper", "--method", "put", "--payload", f"@{path}")
        self.assertTrue(self.squall(f"{server}/keeper") == BODY)
        self.assertTrue(self.squall(f"{server}/keeper", "--payload", f"@{path}") == BODY)
        self.assertEqual(self.squall(f"{server}/slow"), b"at last")
        states = [int(state) for state in self.squall(f"{server}/ticker", "--observe=4").split()]
        self.assertEqual((len(states), states), (4, sorted(set(states))))
        self.assertIn("/ticker", self.squall(f"{server}/.well-known/core").decode())
        self.squall(f"{server}/nothing", code=1)


class NobodyThere(CoapTest):
    def test_a_silent_server_ends_with_69_at_the_promised_time(self):
        with self.udp(bind=("127.0.0.1", 0)) as silent:
            uri = "coap://127.0.0.1:%d" % silent.getsockname()[1]
            started = time.monotonic()
            self.squall(uri, "--tries", "2", code=69)
            # 2 s, and 4 s.
            self.assertAlmostEqual(time.monotonic() - started, 6.0, delta=1.0)
            silent.setblocking(False)
            copies = [silent.recv(64), silent.recv(64)]
            self.assertEqual(copies[0], copies[1])
            with self.assertRaises(BlockingIOError):
                silent.recv(64)
        self.assertIsInstance(silent, socket.socket)

    def test_a_port_that_nobody_has_ends_with_69_at_once(self):
        started = time.monotonic()
        self.squall(f"coap://127.0.0.1:{self.free_port()}", code=69)
        self.assertLess(time.monotonic() - started, 1.5)
