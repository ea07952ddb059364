"""`squall ask coap://` against the servers of libcoap and aiocoap, and against a node on another host."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import textwrap
import time
import unittest

from coap_body import body
from harness import CTIME, PATIENCE, SQUALL, TestCase, needs_hosts, until

SERVER = next(filter(None, map(shutil.which, ("coap-server-notls", "coap-server"))), None)
AIOCOAP = os.environ.get("SQUALL_AIOCOAP", "")

needs_server = unittest.skipUnless(SERVER, "needs libcoap's coap-server (libcoap3-bin)")
needs_aiocoap = unittest.skipUnless(
    os.access(AIOCOAP, os.X_OK), "needs aiocoap (pip install aiocoap) and SQUALL_AIOCOAP, a Python that has it"
)
BODY = body(100_000)


class AskCoap(TestCase):
    def file(self, content=b""):
        path = os.path.join(self.directory(), "body")
        pathlib.Path(path).write_bytes(content)
        return path

    def squall(self, *arguments, code=0, host=None):
        with host.entered() if host else contextlib.nullcontext():
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


@needs_server
class LibcoapsServer(AskCoap):
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
class AiocoapsServer(AskCoap):
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


class NobodyThere(AskCoap):
    def test_a_silent_server_ends_with_69_at_the_promised_time(self):
        with self.udp(bind=("127.0.0.1", 0)) as silent:
            uri = "coap://127.0.0.1:%d" % silent.getsockname()[1]
            started = time.monotonic()
            self.squall(uri, "--tries", "2", code=69)
            # 2 to 3 s, and twice that.
            elapsed = time.monotonic() - started
            self.assertTrue(6.0 <= elapsed <= 10.0, elapsed)
            silent.setblocking(False)
            copies = [silent.recv(64), silent.recv(64)]
            self.assertEqual(copies[0], copies[1])
            with self.assertRaises(BlockingIOError):
                silent.recv(64)

    def test_a_port_that_nobody_has_ends_with_69_at_once(self):
        started = time.monotonic()
        self.squall(f"coap://127.0.0.1:{self.free_port()}", code=69)
        self.assertLess(time.monotonic() - started, 1.5)


class Told(AskCoap):
    def test_a_node_tells_of_requests_in_the_words_of_the_client(self):
        node = self.node("coap", "--on", "coap://127.0.0.1:0", verbose="-v")
        [row] = node.rows
        self.squall(f"{row.uri}/scratch/a", "--method", "put", "--content-format", "50", "{}")
        node.stop()
        self.assertRegex(node.log(), r"coap .* bytes CON 0x[0-9a-f]{4} PUT token [0-9a-f]{16} Uri-Path=scratch "
                                     r"Uri-Path=a Content-Format=50 and 2 bytes: answered")


@needs_hosts
class FromAnotherHost(AskCoap):
    """A client whose address the node does not know: long answers begin with a small block and an Echo."""

    def setUp(self):
        server, self.client = self.host("server"), self.host("client")
        _, self.end = server.connect_to(self.client, ["10.78.0.1/24"], ["10.78.0.2/24"])
        self.node("coap", "--on", "coap://", host=server)
        self.base = "coap://10.78.0.1"

    def test_a_long_answer_is_asked_for_again_in_large_blocks(self):
        [answer] = map(json.loads, self.squall(f"{self.base}/.well-known/core", "--json", host=self.client).splitlines())
        self.assertIn("</scratch>", answer["text"])
        # A small one, and the whole.
        self.assertEqual(answer["messages"], 2)

    def test_a_long_body_comes_back(self):
        path = self.file(BODY)
        self.assertTrue(self.squall(f"{self.base}/echo", "--payload", f"@{path}", host=self.client) == BODY)

    def test_the_time_is_observed(self):
        states = self.squall(f"{self.base}/time", "--observe=3", host=self.client).decode().splitlines()
        self.assertEqual(len(set(states)), 3, states)
        self.assertTrue(all(re.fullmatch(CTIME, state) for state in states), states)

    def test_the_members_of_a_group_are_heard(self):
        # No route leads to the group; each interface does. The answer is longer than a first block.
        group = "coap://224.0.1.187/.well-known/core"
        state = ["ip", "-n", self.client.name, "-o", "link", "show", "dev", self.end]
        until(lambda: b"state UP" in subprocess.check_output(state), "the cable carries")
        [answer] = map(json.loads, self.squall(group, "--json", host=self.client).splitlines())
        self.assertEqual(answer["server"], "coap://10.78.0.1:5683")
        self.assertNotIn("truncated", answer)
        alone = self.squall(f"{self.base}/.well-known/core", "--json", host=self.client)
        self.assertEqual(answer["text"], json.loads(alone)["text"])
        shown = self.squall(group, "--interface", self.end, host=self.client).decode().splitlines()
        self.assertEqual(shown[0], "from 10.78.0.1:5683")
        self.assertTrue(any(line.startswith("/time ") for line in shown), shown)
        self.squall("coap://224.0.1.187/nothing", "--for", "200ms", code=69, host=self.client)

    def test_a_group_that_no_interface_leads_to_fails_at_once(self):
        self.client.ip("link", "set", self.end, "down")
        started = time.monotonic()
        [failure] = map(json.loads, self.squall("coap://224.0.1.187", "--json", code=1, host=self.client).splitlines())
        self.assertIn("cannot reach coap://224.0.1.187:5683: Network is unreachable", failure["error"])
        self.assertLess(time.monotonic() - started, 1.5)
