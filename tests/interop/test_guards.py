"""Datagrams that must not be answered, from other hosts: loops, reflection, broadcast."""

import socket
import struct

from harness import TestCase, needs_hosts, until

LOW_PORTS = (1, 7, 13, 19, 37, 53, 123, 1023)
DEFAULT_PORTS = (20000, 1060, 21567, 8888, 9999, 7776)
SERVER, CLIENT = "10.77.0.1", "10.77.0.2"


def packet(source, target, payload):
    """An IPv4 packet with whatever source it is told; the kernel fills in the checksum of its header."""
    udp = struct.pack("!HHHH", source[1], target[1], 8 + len(payload), 0) + payload
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    return struct.pack("!BBHHHBBH", 0x45, 0, 0, 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses + udp


@needs_hosts
class Guards(TestCase):
    def setUp(self):
        self.server, self.client = self.host("server"), self.host("client")
        _, self.client_end = self.server.connect_to(
            self.client,
            [f"{SERVER}/24", "fd77::1/64"],
            [f"{CLIENT}/24", "fd77::2/64"],
        )

    def serve(self, *arguments, on=f"udp://{SERVER}:0"):
        # One shard: its socket takes datagrams in the order of their arrival, whoever sent them.
        return self.node(*arguments, "--on", on, "--shards", "1", host=self.server)

    def spoof(self, source, target, payload=b"hello"):
        with self.client.entered():
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with raw:
            raw.sendto(packet(source, target, payload), target)

    def services(self):
        yield self.serve("time")
        yield self.serve("length")
        yield self.serve("stamp")
        yield self.serve("reply")
        yield self.serve("echo")
        yield self.serve("exec", "--command", "cat")

    def test_ports_of_other_servers_get_no_answer_from_any_service(self):
        for node in self.services():
            row = node.rows[0]
            others = [self.udp(row.address, self.client, ("", port)) for port in LOW_PORTS + DEFAULT_PORTS]
            with self.subTest(row.service):
                for other in others:
                    other.send(b"hello")
                self.assertTrue(self.ask(row.address, host=self.client))
                for other in others:
                    self.assert_no_answer(other)
                self.assertEqual(node.stop(), 0)
                self.assertEqual(node.counts()["refused_loop"], len(others))
                self.assertEqual(node.counts()["answered"], 1)
            for other in others:
                other.close()

    def test_ports_of_other_servers_get_no_answer_over_ipv6(self):
        node = self.serve("stamp", on="udp://[fd77::1]:0")
        others = [self.udp(node.rows[0].address, self.client, ("", port)) for port in LOW_PORTS]
        for other in others:
            other.send(b"hello")
        self.assertTrue(self.ask(node.rows[0].address, host=self.client))
        for other in others:
            self.assert_no_answer(other)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.counts()["refused_loop"], len(others))

    def test_source_port_0_gets_no_answer(self):
        node = self.serve("stamp")
        address = node.rows[0].address
        self.spoof((CLIENT, 0), address)
        self.assertTrue(self.ask(address, host=self.client))
        self.assertEqual(node.stop(), 0)
        counts = node.counts()
        self.assertEqual((counts["refused_loop"], counts["answered"]), (1, 1))
        self.assertNotIn("send_failed", counts)

    def test_the_node_s_own_port_on_another_host_gets_no_answer(self):
        node = self.serve("stamp")
        address = node.rows[0].address
        same = self.udp(address, self.client, ("", address[1]))
        same.send(b"hello")
        self.assertTrue(self.ask(address, host=self.client))
        self.assert_no_answer(same)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.counts()["refused_loop"], 1)

    def test_what_looks_like_an_answer_gets_none_from_whatever_port(self):
        node = self.serve("length")
        udp = self.udp(node.rows[0].address, self.client)
        answers = [b"Wed Aug 15 20:35:08 2012", b"Your data was 5 bytes long",
                   b"[Wed Aug 15 20:35:08 2012] hello", "你好".encode()]
        for answer in answers:
            udp.send(answer)
        udp.send(b"a question")
        self.assertEqual(udp.recv(1024), b"Your data was 10 bytes long")
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.counts()["refused_loop"], len(answers))

    def loop(self, first, second):
        """Starts a loop between two nodes on two hosts, and tells what each received in all."""
        one = self.node(*first, "--on", f"udp://{SERVER}:0", host=self.server)
        two = self.node(*second, "--on", f"udp://{CLIENT}:0", host=self.client)
        self.spoof(two.rows[0].address, one.rows[0].address)
        before = None

        def is_quiet():
            nonlocal before
            # A node that was not given the processor has not read what lies at its socket.
            waiting = self.server.udp_waiting() + self.client.udp_waiting()
            now = (self.server.udp_counters(), self.client.udp_counters(), waiting)
            was, before = before, now
            return was == now and now[0][0] > 0 and not waiting and one.sleeps() and two.sleeps()

        until(is_quiet, "the loop has ended")
        self.assertEqual((one.stop(), two.stop()), (0, 0))
        return one.counts()["received"], two.counts().get("received", 0)

    def test_two_nodes_that_are_made_to_answer_each_other_end_at_the_first_exchange(self):
        for first, second in (("stamp", "stamp"), ("length", "time"), ("reply", "stamp"), ("time", "echo")):
            with self.subTest(f"{first} and {second}"):
                self.assertLessEqual(sum(self.loop([first], [second])), 3)

    def test_services_whose_answers_have_no_shape_end_soon(self):
        cat = ["exec", "--command", "cat"]
        text = ["reply", "--text", "so it goes"]
        for first, second in ((["echo"], ["echo"]), (["echo"], text), (text, text), (cat, ["echo"])):
            with self.subTest(f"{first} and {second}"):
                received = sum(self.loop(first, second))
                self.assertGreater(received, 3, "the loop began")
                self.assertLess(received, 200)

    def test_an_empty_datagram_gets_56_bytes_and_not_57(self):
        empty = self.udp(host=self.client)
        for length in (56, 57):
            node = self.serve("reply", "--text", "x" * length)
            empty.sendto(b"", node.rows[0].address)
            asked = self.ask(node.rows[0].address, b"a longer question", self.client)
            self.assertEqual(asked, b"x" * length)
            if length == 56:
                self.assertEqual(empty.recv(1024), b"x" * length)
            else:
                self.assert_no_answer(empty)
            self.assertEqual(node.stop(), 0)
            self.assertEqual(node.counts().get("refused_amplification", 0), length - 56)

    def test_ipv6_headers_count_in_the_limit_of_96_bytes(self):
        empty = self.udp(host=self.client, family=socket.AF_INET6)
        for length in (96, 97):
            node = self.serve("reply", "--text", "x" * length, on="udp://[fd77::1]:0")
            empty.sendto(b"", node.rows[0].address)
            self.ask(node.rows[0].address, b"a longer question", self.client)
            if length == 96:
                self.assertEqual(empty.recv(1024), b"x" * length)
            else:
                self.assert_no_answer(empty)
            self.assertEqual(node.stop(), 0)
            self.assertEqual(node.counts().get("refused_amplification", 0), length - 96)

    def test_what_a_command_prints_is_held_to_the_same_limit(self):
        node = self.serve("exec", "--command", "head -c 1000 /dev/zero")
        udp = self.udp(node.rows[0].address, self.client)
        udp.send(b"")
        udp.send(bytes(400))
        self.assertEqual(len(udp.recv(2000)), 1000)
        udp.send(b"")
        udp.send(bytes(400))
        self.assertEqual(len(udp.recv(2000)), 1000)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.counts()["refused_amplification"], 2)

    def test_a_trusted_network_gets_long_answers(self):
        for network, answered in (("10.77.0.0/24", True), ("10.78.0.0/24", False)):
            node = self.serve("reply", "--text", "x" * 1000, "--trust-network", network)
            udp = self.udp(node.rows[0].address, self.client)
            udp.send(b"")
            udp.send(bytes(400))
            self.assertEqual(len(udp.recv(2000)), 1000)
            if answered:
                self.assertEqual(len(udp.recv(2000)), 1000)
            self.assertEqual(node.stop(), 0)
            self.assert_no_answer(udp)
            self.assertEqual(node.counts()["answered"], 2 if answered else 1)

    def test_streams_get_long_answers(self):
        node = self.serve("reply", "--text", "x" * 1000, on=f"tcp://{SERVER}:0")
        tcp = self.tcp(node.rows[0].address, self.client)
        tcp.send(b"?")
        with tcp.makefile("rb") as answers:
            self.assertEqual(answers.read(1000), b"x" * 1000)

    def test_what_came_by_broadcast_or_multicast_gets_no_answer(self):
        node = self.serve("stamp", on="udp://0.0.0.0:0")
        port = node.rows[0].port
        udp = self.udp(host=self.client)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        udp.bind((CLIENT, 0))
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(CLIENT))
        for target in ("10.77.0.255", "224.0.0.1"):
            udp.sendto(b"hello", (target, port))
        udp.sendto(b"hello", (SERVER, port))
        self.assertEqual(udp.recvfrom(1024)[1], (SERVER, port))
        self.assert_no_answer(udp)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.counts()["refused_multicast"], 2)

    def test_what_came_by_ipv6_multicast_gets_no_answer(self):
        node = self.serve("stamp", on="udp://[::]:0")
        port = node.rows[0].port
        udp = self.udp(host=self.client, family=socket.AF_INET6)
        udp.bind(("fd77::2", 0))
        with self.client.entered():
            interface = socket.if_nametoindex(self.client_end)
        udp.sendto(b"hello", ("ff02::1", port, 0, interface))
        udp.sendto(b"hello", ("fd77::1", port))
        self.assertEqual(udp.recvfrom(1024)[1][:2], ("fd77::1", port))
        self.assert_no_answer(udp)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.counts()["refused_multicast"], 1)

    def test_a_peer_over_its_rate_is_shed_and_others_are_answered(self):
        node = self.serve("length")
        greedy = self.udp(node.rows[0].address, self.client)
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        for _ in range(10000):
            greedy.send(b"hello")
        # The server's own address, which has a bucket of its own.
        self.assertTrue(self.ask(node.rows[0].address, host=self.server))
        self.assertEqual(node.stop(), 0)
        counts = node.counts()
        self.assertGreater(counts["shed"], 1000)
        self.assertGreaterEqual(counts["answered"], 2000)
