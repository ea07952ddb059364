"""Hosts with several addresses, paths with a small MTU, peers that have gone."""

import socket

from harness import CTIME, TestCase, needs_hosts, needs_ipv6

PREFIX = 27
"""What `stamp` puts before its data."""


class ManyAddresses(TestCase):
    def assert_answers_come_from_the_address_asked(self, node, addresses, host=None):
        """A connected socket hears from no other."""
        for address in addresses:
            with self.subTest(address):
                udp = self.udp((address[0], node.rows[0].port, *address[1:]), host)
                for number in range(3):
                    udp.send(b"%d" % number)
                    self.assertRegex(udp.recv(1024).decode(), rf"^\[{CTIME}\] {number}$")

    def test_a_wildcard_socket_answers_from_the_loopback_address_asked(self):
        addresses = [("127.0.0.1",), ("127.0.0.2",), ("127.1.2.3",)]
        for model in ("inline", "threads:2", "processes:2"):
            with self.subTest(model):
                node = self.node("stamp", "--on", "udp://0.0.0.0:0", "--model", model)
                self.assert_answers_come_from_the_address_asked(node, addresses)
                self.assertEqual(node.stop(), 0)

    @needs_ipv6
    def test_a_dual_stack_socket_answers_both_families(self):
        node = self.node("stamp", "--on", "udp://[::]:0")
        self.assert_answers_come_from_the_address_asked(node, [("127.0.0.2",), ("::1",)])

    @needs_hosts
    def test_a_wildcard_socket_answers_from_each_address_of_its_host_and_link_local_ones(self):
        server, client = self.host("server"), self.host("client")
        v4 = [f"10.77.0.{number}" for number in (1, 5, 9)]
        v6 = [f"fd77::{number}" for number in (1, 5, 9)]
        _, end = server.connect_to(
            client,
            [*(f"{address}/24" for address in v4), *(f"{address}/64" for address in v6), "fe80::1/64"],
            ["10.77.0.2/24", "fd77::2/64", "fe80::2/64"],
        )
        with client.entered():
            zone = socket.if_nametoindex(end)
        local = ("fe80::1", 0, zone)
        for on in ("udp://:0", "udp://[::]:0"):
            for model in ("inline", "threads:2"):
                with self.subTest(f"{on} {model}"):
                    node = self.node("stamp", "--on", on, "--model", model, host=server)
                    addresses = [(address,) for address in v4 + v6] + [local]
                    self.assert_answers_come_from_the_address_asked(node, addresses, client)
                    self.assertEqual(node.stop(), 0)
        node = self.node("stamp", "--on", "udp://0.0.0.0:0", host=server)
        self.assert_answers_come_from_the_address_asked(node, [(address,) for address in v4], client)

    @needs_hosts
    def test_a_node_listens_on_a_link_local_address_with_its_zone(self):
        server, client = self.host("server"), self.host("client")
        here, there = server.connect_to(client, ["fe80::1/64"], ["fe80::2/64"])
        node = self.node("length", "--on", f"udp://[fe80::1%{here}]:0", host=server)
        port = int(node.rows[0].uri.rpartition(":")[2])
        with client.entered():
            zone = socket.if_nametoindex(there)
        udp = self.udp(host=client, family=socket.AF_INET6)
        udp.connect(("fe80::1", port, 0, zone))
        udp.send(b"hello")
        self.assertEqual(udp.recv(1024), b"Your data was 5 bytes long")


class SmallPaths(TestCase):
    @needs_hosts
    def test_a_peer_whose_replies_cannot_go_segmented_costs_the_others_nothing(self):
        server, good, odd = self.host("server"), self.host("good"), self.host("odd")
        server.connect_to(good, ["10.77.1.1/24"], ["10.77.1.2/24"])
        server.connect_to(odd, ["10.77.2.1/24"], ["10.77.2.2/24"], mtu=600)
        node = self.node("stamp", "--on", "udp://0.0.0.0:0", "--shards", "1", host=server)
        port = node.rows[0].port
        # Replies of one size to one peer, which go as one segmented send, and fit Ethernet, not 600 bytes.
        size, burst, rounds = 1200, 8, 10
        peers = []
        for number in range(6):
            host, address = (odd, "10.77.2.1") if number in (1, 4) else (good, "10.77.1.1")
            udp = self.udp((address, port), host)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            peers.append(udp)
        for _ in range(rounds):
            with node.paused():
                for number, udp in enumerate(peers):
                    for index in range(burst):
                        udp.send(b"%d %d " % (number, index) + bytes(size))
            for number, udp in enumerate(peers):
                for index in range(burst):
                    data = udp.recv(65536)
                    self.assertEqual(data[PREFIX:PREFIX + 4], b"%d %d " % (number, index))
                    self.assertEqual(len(data), PREFIX + 4 + size)
        self.assertEqual(node.stop(), 0)
        counts = node.counts()
        self.assertEqual(counts["replies"], len(peers) * burst * rounds)
        self.assertNotIn("send_failed", counts)
        # Half of the 2 and 4 bursts of each round: a slow moment may break some into single replies.
        self.assertGreaterEqual(counts["sent_again_unsegmented"], rounds, "the odd ones")
        self.assertGreaterEqual(counts["segmented_sends"], 2 * rounds, "the good ones, and not once only")

    @needs_hosts
    def test_a_reply_over_the_mtu_of_its_path_arrives_in_fragments(self):
        server, client = self.host("server"), self.host("client")
        server.connect_to(client, ["10.77.0.1/24", "fd77::1/64"], ["10.77.0.2/24", "fd77::2/64"], mtu=1280)
        for on in ("udp://10.77.0.1:0", "udp://[fd77::1]:0"):
            node = self.node("echo", "--on", on, host=server)
            data = bytes(range(250)) * 200
            self.assertEqual(self.ask(node.rows[0].address, data, client), data)


class PeersThatHaveGone(TestCase):
    def test_clients_that_close_at_once_do_not_stop_the_server(self):
        for gso in ("auto", "off"):
            with self.subTest(gso=gso):
                node = self.node("stamp", "--on", "udp://127.0.0.1:0", "--shards", "1", "--gso", gso)
                patient = self.udp(node.rows[0].address)
                for _ in range(20):
                    # All are gone before the first reply is sent; each reply earns an ICMP error.
                    with node.paused():
                        for _ in range(5):
                            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
                                gone.sendto(b"gone", node.rows[0].address)
                        patient.send(b"here")
                    self.assertTrue(patient.recv(1024).endswith(b"here"))
                self.assertEqual(node.stop(), 0)
                self.assertEqual(node.counts()["answered"], 120)

    @needs_hosts
    def test_peers_that_cannot_be_reached_do_not_stop_the_server(self):
        server, client = self.host("server"), self.host("client")
        server.connect_to(client, ["10.77.0.1/24"], ["10.77.0.2/24"])
        node = self.node("stamp", "--on", "udp://10.77.0.1:0", "--shards", "1", host=server)
        patient = self.udp(node.rows[0].address, client)
        with node.paused():
            with self.udp(node.rows[0].address, client) as far:
                far.send(b"far")
            # Nobody has an address any more that the route leads to.
            client.ip("address", "add", "10.99.0.2/24", "dev", "lo")
            away = self.udp(node.rows[0].address, client, ("10.99.0.2", 0))
            away.send(b"away")
            patient.send(b"here")
        self.assertTrue(patient.recv(1024).endswith(b"here"))
        self.assertEqual(node.stop(), 0)
        self.assertEqual(node.counts()["answered"], 3)
        self.assertEqual(node.counts()["send_failed"], 1, "no route leads to 10.99.0.2")
