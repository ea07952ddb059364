"""Random and huge datagrams on every port, ten thousand connections, and a node that has nothing to do."""

import os
import pathlib
import random
import resource
import socket
import subprocess
import time

from harness import PATIENCE, SQUALL, TestCase, needs_hosts, raise_descriptor_limit, until

AT_REST_MIB, AFTER_FLOOD_MIB = 20, 36
SERVICES = ("time", "length", "stamp", "reply")
DATAGRAMS = ("udp", "coap")
# An empty confirmable message, which is reset.
COAP_PING = b"\x40\x00\x12\x34"


def read_if_there(file):
    """A temporary file may have got its name meanwhile."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        return None


class Floods(TestCase):
    def default_node(self):
        """The default services on their default ports, on a host of their own."""
        self.alone = self.host("node")
        return self.node(host=self.alone, verbose=None)

    def assert_every_port_answers(self, node):
        for row in node.rows:
            if row.transport == "quic":
                self.assert_takes_files_over_quic(row)
            elif row.service == "files":
                self.assert_takes_files(node, row)
            elif row.transport in DATAGRAMS:
                # A flood may have left the queue full.
                udp = self.udp(row.address, self.alone)
                udp.settimeout(0.2)
                question = COAP_PING if row.transport == "coap" else b"a question"
                until(lambda: self.is_answered(udp, question), f"{row.uri} answers")
            else:
                tcp = self.tcp(row.address, self.alone)
                # The chat reads lines, and whoever joins hears what others still have to say.
                tcp.send(b"hello\n" if row.service == "chat" else b"hello")
                answer = b""
                while not answer.rstrip(b"\n").endswith(b"hello"):
                    received = tcp.recv(1024)
                    self.assertTrue(received, f"{row.uri} ended behind {answer[-100:]}")
                    answer += received

    def assert_takes_files(self, node, row):
        """Nobody is answered there: what was sent lies in its folder, sooner or later."""
        folder, content = pathlib.Path(node.data, "files"), os.urandom(16)

        def is_kept():
            udp = self.udp(row.address, self.alone)
            udp.send(content)
            udp.send(b"bye")
            return content in map(read_if_there, folder.iterdir())

        until(is_kept, f"{row.uri} takes files")

    def assert_takes_files_over_quic(self, row):
        """The line of the table, as it is typed."""
        programs = self.directory()
        os.symlink(SQUALL, os.path.join(programs, "squall"))
        path = programs + os.pathsep + os.environ["PATH"]
        with self.alone.entered():
            sent = subprocess.run(["sh", "-c", row.line], capture_output=True, text=True,
                                  env=os.environ | {"PATH": path}, timeout=PATIENCE)
        self.assertEqual(sent.returncode, 0, sent.stderr)
        self.assertIn("1 file stored", sent.stdout)

    def is_answered(self, udp, question):
        udp.send(question)
        try:
            return bool(udp.recv(1024))
        except TimeoutError:
            return False

    def assert_memory(self, node, limit):
        resident, peak = node.resident(), node.resident("VmHWM")
        print(f"{resident:.1f} MiB resident, {peak:.1f} MiB at most ", end="", flush=True)
        self.assertLess(peak, limit)

    @needs_hosts
    def test_at_rest_a_node_is_small_and_takes_no_time(self):
        node = self.default_node()
        self.assert_every_port_answers(node)
        self.assert_memory(node, AT_REST_MIB)
        before = node.ticks()
        # It is this time that is measured.
        time.sleep(3)
        # The chat looks at the clock and the log four times a second: a tick, of which there are a hundred a second,
        # may fall into that.
        self.assertLessEqual(node.ticks() - before, 1)

    @needs_hosts
    def test_empty_and_longest_datagrams_on_every_port_leave_it_small(self):
        node = self.default_node()
        longest = bytes(65507)
        udp = {}
        for row in node.rows:
            if row.transport in DATAGRAMS:
                udp[row.uri] = self.udp(row.address, self.alone)
        # Several senders, so that every shard has its share.
        for _ in range(4):
            for row in node.rows:
                if row.transport in DATAGRAMS:
                    sender = self.udp(row.address, self.alone)
                    for _ in range(500):
                        sender.send(longest)
                        sender.send(b"")
                    sender.close()
        self.assert_every_port_answers(node)
        self.assert_memory(node, AFTER_FLOOD_MIB)
        self.assertEqual(node.stop(), 0)
        self.assertRegex(node.last_line(), r"answered \d+ requests")

    @needs_hosts
    def test_a_million_random_datagrams_leave_it_answering_and_small(self):
        node = self.default_node()
        seed = random.SystemRandom().randrange(1 << 32)
        print(f"seed {seed} ", end="", flush=True)
        chance = random.Random(seed)
        noise = chance.randbytes(1 << 20)
        targets = [self.udp(row.address, self.alone) for row in node.rows if row.transport == "udp"]
        for sender in targets:
            # Answers are not read; they shall not fill memory either.
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        streams = [row for row in node.rows if row.transport == "tcp"]
        each = 1_000_000 // len(targets)
        for sender in targets:
            send = sender.send
            for _ in range(each):
                where = int(chance.random() * 1_000_000)
                send(noise[where:where + where % 1473])
        for row in streams:
            tcp = self.tcp(row.address, self.alone)
            for _ in range(100):
                tcp.sendall(noise[:1000])
            tcp.close()
        self.assert_every_port_answers(node)
        self.assert_memory(node, AFTER_FLOOD_MIB)
        self.assertEqual(node.stop(), 0)

    def test_shapes_that_decoders_trip_over_get_an_answer_or_none_and_harm_nobody(self):
        node = self.node(*self.every_service(), "--no-rate-limit")
        shapes = [b"", b"\0", b"\xff" * 1472, b"[" * 27, b"\r\n", b"%s%n", b"\x1b[2J", "\u202e".encode(),
                  b"\xf0\x28\x8c\x28", b"Your data was ", b"GET / HTTP/1.1\r\n\r\n"]
        for row in node.rows:
            if row.transport in DATAGRAMS:
                udp = self.udp(row.address)
                for shape in shapes:
                    udp.send(shape)
                udp.send(b"the last")
        for row in node.rows:
            if row.transport in DATAGRAMS:
                self.assertTrue(self.ask(row.address, b"a question"))
        self.assertEqual(node.stop(), 0)
        log = node.log()
        self.assertNotIn("\x1b[2J", log, "peer text does not reach a terminal as it is")
        self.assertNotIn("\u202e", log)


class Connections(TestCase):
    WANTED = 10_000

    def test_ten_thousand_connections_are_open_at_once_and_each_is_answered(self):
        limit = raise_descriptor_limit()
        # The node has as many as this process, and both need a few besides.
        count = min(self.WANTED, limit - 100)
        if count < self.WANTED:
            print(f"\n*** ONLY {count} CONNECTIONS: the hard limit on descriptors is {limit} (ulimit -Hn) ***")
        node = self.node("stamp", "--on", "tcp://127.0.0.1:0", verbose=None)
        address = node.address("stamp", "tcp")
        clients = []
        self.addCleanup(lambda: [client.close() for client in clients])
        for _ in range(count):
            client = socket.create_connection(address, PATIENCE)
            clients.append(client)
        for number, client in enumerate(clients):
            client.send(b"%d" % number)
        for number, client in enumerate(clients):
            self.assertTrue(client.recv(1024).endswith(b"] %d" % number))
        print(f"{count} open: {node.resident():.1f} MiB resident ", end="", flush=True)
        for client in clients:
            client.close()
        self.assertEqual(node.stop(), 0)
        self.assertIn(f"answered {count} requests", node.last_line())

    def test_more_clients_than_descriptors_wait_and_the_node_does_not_spin(self):
        few = 64
        node = self.node("stamp", "--on", "tcp://127.0.0.1:0",
                         preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (few, few)))
        address = node.address("stamp", "tcp")
        clients = [self.tcp(address) for _ in range(2 * few)]
        clients[0].send(b"hello")
        self.assertTrue(clients[0].recv(1024).endswith(b"hello"))
        until(lambda: "Too many open files" in node.log(), "accepting fails")
        before = node.ticks()
        time.sleep(1)
        # A spin takes a hundred of them.
        self.assertLess(node.ticks() - before, os.sysconf("SC_CLK_TCK") // 10)
        for client in clients[:-1]:
            client.close()
        clients[-1].send(b"hello")
        self.assertTrue(clients[-1].recv(1024).endswith(b"hello"))
        self.assertEqual(node.stop(), 0)
        self.assertGreater(node.counts()["accept_failed"], 0)

    def test_a_line_without_an_end_is_cut_off_and_costs_no_memory(self):
        node = self.node("echo", "--on", "tcp://127.0.0.1:0", "--framing", "lines")
        greedy, other = (self.tcp(node.address("echo", "tcp")) for _ in range(2))
        with self.assertRaises(ConnectionError):
            for _ in range(10_000):
                greedy.sendall(bytes(100_000))
        other.send(b"hello\n")
        self.assertEqual(other.recv(1024), b"hello\n")
        self.assertLess(node.resident("VmHWM"), AT_REST_MIB)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.counts()["closed_bad_frame"], 1)

    def test_a_client_that_never_reads_is_closed_and_others_are_served_meanwhile(self):
        node = self.node("echo", "--on", "tcp://127.0.0.1:0")
        deaf, other = (self.tcp(node.address("echo", "tcp")) for _ in range(2))
        deaf.setblocking(False)
        with self.assertRaises(BlockingIOError):
            while True:
                deaf.send(bytes(65536))
        other.send(b"hello")
        self.assertEqual(other.recv(1024), b"hello")

        def is_closed():
            # More and more, until every buffer on the way is full.
            try:
                return deaf.send(bytes(65536)) < 0
            except BlockingIOError:
                return False
            except ConnectionError:
                return True

        until(is_closed, "the connection is closed")
        self.assertLess(node.resident("VmHWM"), AT_REST_MIB)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.counts()["closed_slow_reader"], 1)
