"""CoAP: libcoap's and aiocoap's clients against the node, and `squall ask coap://` against their servers."""

import json
import os
import pathlib
import re
import shutil
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
