"""Path MTUs over routers, beside tracepath; black holes, which tracepath does not find."""

import concurrent.futures
import contextlib
import json
import re
import shutil
import socket
import subprocess
import threading
import unittest

from harness import PATIENCE, SQUALL, TestCase, needs_hosts

needs_nft = unittest.skipUnless(shutil.which("nft"), "needs nft (nftables)")
needs_tracepath = unittest.skipUnless(shutil.which("tracepath"), "needs tracepath (iputils-tracepath)")

V4, V6 = "10.78.2.2", "fd78:2::2"
HEADER = {4: 28, 6: 48}


class Path:
    """A client, a router, and a server behind a link of `mtu` bytes."""

    def __init__(self, test, mtu, first=1500, black_hole=False):
        self.client, self.router, self.server = test.host("client"), test.host("router"), test.host("server")
        has_v6 = mtu >= 1280
        for ours, theirs, net, size in ((self.client, self.router, 1, first), (self.router, self.server, 2, mtu)):
            # A router asks for its neighbours from a link-local address.
            addresses = [
                [f"10.78.{net}.{end}/24", *([f"fd78:{net}::{end}/64", f"fe80::{end}/64"] if has_v6 else [])]
                for end in (1, 2)
            ]
            ours.connect_to(theirs, *addresses, mtu=size)
        for host, net, end in ((self.client, 1, 2), (self.server, 2, 1)):
            host.ip("route", "add", "default", "via", f"10.78.{net}.{end}")
            if has_v6:
                host.ip("-6", "route", "add", "default", "via", f"fd78:{net}::{end}")
        forward(self.router)
        if black_hole:
            silence(self.router)


def forward(router):
    with router.entered():
        for name in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            with open(f"/proc/sys/net/{name}", "w") as file:
                file.write("1")


def silence(router):
    """The router's "too big" never leaves it."""
    nft(router, "icmp type destination-unreachable icmp code frag-needed drop", "icmpv6 type packet-too-big drop")


def nft(host, *rules, hook="output"):
    lines = [
        "add table inet squall",
        f"add chain inet squall {hook} {{ type filter hook {hook} priority 0; }}",
        *(f"add rule inet squall {hook} {rule}" for rule in rules),
    ]
    with host.entered():
        subprocess.run(["nft", "-f", "-"], input="\n".join(lines), text=True, check=True)


def mtu(host, *arguments, code=0):
    with host.entered():
        ended = subprocess.run(
            [SQUALL, "mtu", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90
        )
    assert ended.returncode == code, f"{ended.returncode}: {ended.stdout} {ended.stderr}"
    return ended


def found(host, *arguments, code=0):
    """The one path of `--json`."""
    (path,) = json.loads(mtu(host, *arguments, "--json", code=code).stdout)["paths"]
    return path


def both(host, port):
    """Searches to both addresses of the server, side by side."""
    # Each thread enters the namespace by itself.
    with concurrent.futures.ThreadPoolExecutor() as pool:
        searches = [pool.submit(found, host, address, "-p", str(port)) for address in (V4, f"[{V6}]")]
        return [search.result() for search in searches]


def tracepath(host, address):
    """What tracepath says at its end, or `None` where it gives up."""
    with host.entered():
        out = subprocess.run(
            ["tracepath", "-n", "-m", "3", address], capture_output=True, text=True, timeout=PATIENCE, check=True
        ).stdout
    reached = re.search(r" reached$", out, re.MULTILINE)
    return int(re.search(r"Resume: pmtu (\d+)", out)[1]) if reached else None


class Mtu(TestCase):
    @contextlib.contextmanager
    def echo(self, host):
        """An echo of Python's, for both families; gives its port."""
        with host.entered():
            udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        udp.bind(("::", 0))

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    data, peer = udp.recvfrom(65536)
                    if data == b"end":
                        return
                    udp.sendto(data, peer)

        port = udp.getsockname()[1]
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield port
        finally:
            with host.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
                end.sendto(b"end", ("127.0.0.1", port))
            thread.join()
            udp.close()

    def port_of(self, host, service="length"):
        """A node's service, for both families; gives its port."""
        return self.node(service, "--on", "udp://[::]:0", host=host).rows[0].port

    def assert_path(self, path, mtu, limit, answers):
        about = f"IPv{path['family']}: {path}"
        self.assertEqual((path.get("mtu"), path.get("limit")), (mtu, limit), about)
        self.assertEqual(path["payload"], mtu - HEADER[path["family"]], about)
        self.assertTrue(path["certain"], about)
        self.assertEqual(path["answers"], answers, about)

    def each_kind_of_host(self, path):
        """A port for each kind of host, with the answers that it gives."""
        yield self.port_of(path.server), ["length"]
        # Its answers do not tell which probe they are for.
        yield self.port_of(path.server, "time"), ["datagram"]
        with self.echo(path.server) as port:
            yield port, ["echo"]
        with path.server.entered(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as free:
            free.bind(("::", 0))
            port = free.getsockname()[1]
        yield port, ["port_unreachable"]

    def assert_finds(self, path, mtu, limit, kernel):
        for port, answers in self.each_kind_of_host(path):
            for result in both(path.client, port):
                with self.subTest(answers=answers, family=result["family"]):
                    self.assert_path(result, mtu, limit, answers)
                    self.assertEqual(result["kernel_after"], kernel)
                    self.assertEqual(result["routers"] != [], limit == "too_big")

    @needs_hosts
    @needs_tracepath
    def test_a_router_that_reports_gives_the_answer_that_tracepath_gives(self):
        for mtu in (1500, 1400, 1280):
            with self.subTest(mtu):
                path = Path(self, mtu)
                self.assert_finds(path, mtu, "first_hop" if mtu == 1500 else "too_big", kernel=mtu)
                for address in (V4, V6):
                    self.assertEqual(tracepath(path.client, address), mtu, address)

    @needs_hosts
    @needs_tracepath
    def test_a_small_first_link_is_told_as_such(self):
        for mtu in (1400, 1280):
            path = Path(self, 1500, first=mtu)
            self.assert_finds(path, mtu, "first_hop", kernel=mtu)
            self.assertEqual(tracepath(path.client, V4), mtu)

    @needs_hosts
    @needs_nft
    @needs_tracepath
    def test_a_black_hole_is_found_and_the_kernel_does_not_know_of_it(self):
        path = Path(self, 1400, black_hole=True)
        self.assert_finds(path, 1400, "black_hole", kernel=1500)
        for address in (V4, V6):
            self.assertIsNone(tracepath(path.client, address), "its packets vanish")

    @needs_hosts
    @needs_nft
    def test_a_black_hole_of_an_odd_size_is_found_to_the_byte(self):
        path = Path(self, 1377, black_hole=True)
        port = self.port_of(path.server)
        for result in both(path.client, port):
            self.assert_path(result, 1377, "black_hole", ["length"])

    @needs_hosts
    @needs_nft
    def test_a_black_hole_below_the_least_of_ipv6_is_found_over_ipv4(self):
        path = Path(self, 600, black_hole=True)
        result = found(path.client, V4, "-p", str(self.port_of(path.server)))
        self.assert_path(result, 600, "black_hole", ["length"])

    @needs_hosts
    @needs_nft
    def test_an_echo_shows_what_both_ways_carry_and_a_small_answer_what_one_does(self):
        path = Path(self, 1500)
        nft(path.router, f"ip saddr {V4} meta length > 1400 drop", hook="forward")
        result = found(path.client, V4, "-p", str(self.port_of(path.server)))
        self.assert_path(result, 1500, "first_hop", ["length"])
        with self.echo(path.server) as port:
            self.assert_path(found(path.client, V4, "-p", str(port)), 1400, "black_hole", ["echo"])

    @needs_hosts
    @needs_nft
    def test_losses_are_not_taken_for_an_mtu(self):
        path = Path(self, 1400, black_hole=True)
        port = self.port_of(path.server)
        nft(path.router, "udp dport %d numgen random mod 100 < 20 drop" % port, hook="forward")
        for result in both(path.client, port):
            self.assertEqual((result["mtu"], result["limit"]), (1400, "black_hole"), result)
            self.assertGreater(result["lost"], 0)

    @needs_hosts
    @needs_nft
    def test_a_host_that_drops_everything_is_told_from_a_black_hole(self):
        path = Path(self, 1500)
        nft(path.server, "udp dport 1060 drop", hook="input")
        ended = mtu(path.client, V4, code=69)
        self.assertEqual(ended.stdout, "")
        self.assertRegex(ended.stderr, rf"^squall: no answer from {V4}:1060 to 5 probes in 7\.\d+ s; try another port")

    @needs_hosts
    @needs_nft
    def test_what_a_router_says_of_a_host_that_cannot_be_reached_is_told(self):
        path = Path(self, 1500)
        nft(path.router, f"ip daddr {V4} reject with icmp type admin-prohibited", hook="forward")
        ended = mtu(path.client, V4, "--timeout", "1s", code=69)
        self.assertIn("; 10.78.1.2 says: administratively prohibited", ended.stderr)

    @needs_hosts
    def test_what_a_router_says_of_one_big_datagram_is_told(self):
        path = Path(self, 1500)
        ended = mtu(path.client, "10.79.0.1", "--payload", "1000", code=69)
        self.assertEqual(ended.stdout, "the big datagram was sent\n")
        self.assertEqual(ended.stderr, "squall: 10.78.1.2 says: network unreachable\n")
        # Another path: a router sends few ICMP errors to one host.
        path = Path(self, 1500)
        single = json.loads(mtu(path.client, "10.79.0.1", "--payload", "9", "--json", code=69).stdout)
        self.assertEqual(single["said"], {"address": "10.78.1.2", "words": "network unreachable"})

    @needs_hosts
    def test_a_host_that_was_asked_just_before_is_asked_again_in_a_few_seconds(self):
        path = Path(self, 1500)
        for _ in range(4):
            result = found(path.client, V4)
            self.assert_path(result, 1500, "first_hop", ["port_unreachable"])
            # Linux sends one ICMP error a second: without those of the rest before, three are needed.
            self.assertLess(result["seconds"], 6)

    @needs_hosts
    def test_one_big_datagram_is_sent_or_told_as_too_big(self):
        path = Path(self, 1400)
        big = mtu(path.client, V4, "--payload", "65000", code=1)
        self.assertEqual(big.stdout, "it did not make it; the MTU is 1500\n", "the first link's")
        # The router's word comes after the datagram has left; then the kernel knows.
        for said in ("10.78.1.2 reported it as too big", "the kernel did not send it"):
            ended = mtu(path.client, V4, "--payload", "1373", "-v", code=1)
            self.assertEqual(ended.stdout, "it did not make it; the MTU is 1400\n")
            self.assertIn(said, ended.stderr)
        ended = mtu(path.client, V4, "--payload", "1372", "-v")
        self.assertEqual(ended.stdout, "the big datagram was sent\n")
        self.assertIn("the host says that nobody listens there", ended.stderr)
        ended = mtu(path.client, "127.0.0.1", "--payload", "65000")
        self.assertEqual(ended.stdout, "the big datagram was sent\n", "loopback")
