"""`squall shout` and `squall listen` among hosts on several networks, and beside sockets of Python's."""

import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import time

from harness import PATIENCE, SQUALL, TestCase, needs_hosts, until

PORT = 1060
GROUP, GROUP6 = "239.1.2.3", "ff15::1060"
NOBODY = 65534
IP_RECVTTL = 12


class Listening:
    """`squall listen --json`, once it listens."""

    def __init__(self, host, *arguments):
        with host.entered():
            self.process = subprocess.Popen(
                [SQUALL, "listen", "--json", *arguments],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
        self.heard = []
        self._out = b""
        self.said = self.process.stderr.readline().decode()

    def next(self):
        """The next datagram, within the patience of the tests."""
        deadline = time.monotonic() + PATIENCE
        while b"\n" not in self._out:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, deadline - time.monotonic()))
            chunk = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not chunk:
                raise AssertionError(f"nothing was heard: {self.said}")
            self._out += chunk
        line, _, self._out = self._out.partition(b"\n")
        return json.loads(line)

    def end(self):
        """Asks it to end; gives what it heard and nobody had taken, and its last words."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, said = self.process.communicate(timeout=PATIENCE)
        lines = (self._out + out).splitlines()
        return [json.loads(line) for line in lines], said.decode()


@needs_hosts
class Hosts(TestCase):
    """A host `here` on two networks, with a host on each: `left` and `right`."""

    def setUp(self):
        self.here, self.left, self.right = self.host("here"), self.host("left"), self.host("right")
        self.to_left, self.left_end = self.here.connect_to(
            self.left, ["10.77.1.1/24", "fd77:1::1/64", "fe80::11/64"], ["10.77.1.2/24", "fd77:1::2/64", "fe80::12/64"])
        self.to_right, self.right_end = self.here.connect_to(
            self.right, ["10.77.2.1/24", "fd77:2::1/64", "fe80::21/64"], ["10.77.2.2/24", "fd77:2::2/64", "fe80::22/64"])

    def listen(self, host, *arguments):
        listening = Listening(host, *arguments)

        def close():
            listening.process.kill()
            listening.process.wait()
            listening.process.stdout.close()
            listening.process.stderr.close()

        self.addCleanup(close)
        return listening

    def shout(self, *arguments, host=None, code=0, prefix=()):
        """Runs it; returns what it printed and what it said."""
        with (host or self.here).entered():
            ended = subprocess.run([*prefix, SQUALL, "shout", *arguments], stdin=subprocess.DEVNULL,
                                   capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(ended.returncode, code, ended.stderr)
        return ended.stdout, ended.stderr


class Broadcast(Hosts):
    def test_the_limited_broadcast_leaves_on_every_interface(self):
        left, right = self.listen(self.left), self.listen(self.right)
        # No route leads anywhere but to the two networks.
        _, said = self.shout("hello", "-v")
        self.assertEqual(said.splitlines(), [
            f"sent 5 bytes to 255.255.255.255:1060 by {self.to_left} from 10.77.1.1",
            f"sent 5 bytes to 255.255.255.255:1060 by {self.to_right} from 10.77.2.1",
        ])
        for listener, source, interface in ((left, "10.77.1.1", self.left_end),
                                            (right, "10.77.2.1", self.right_end)):
            heard = listener.next()
            self.assertEqual(heard["text"], "hello")
            self.assertEqual(heard["peer"].rpartition(":")[0], source)
            self.assertEqual((heard["destination"], heard["interface"], heard["kind"]),
                             ("255.255.255.255", interface, "broadcast"))

    def test_it_needs_no_default_route_and_takes_none_either(self):
        self.here.ip("route", "add", "default", "via", "10.77.1.2")
        left, right = self.listen(self.left), self.listen(self.right)
        self.shout("hello")
        self.assertEqual((left.next()["text"], right.next()["text"]), ("hello", "hello"))

    def test_a_network_s_broadcast_address_reaches_that_network_alone(self):
        left, right = self.listen(self.left), self.listen(self.right)
        self.shout("left", "--to", "10.77.1.255")
        self.shout("all")
        heard = left.next()
        self.assertEqual((heard["text"], heard["destination"], heard["kind"]), ("left", "10.77.1.255", "broadcast"))
        self.assertEqual(left.next()["text"], "all")
        self.assertEqual(right.next()["text"], "all")

    def test_only_the_interfaces_that_are_chosen_are_used(self):
        left, right = self.listen(self.left), self.listen(self.right)
        self.shout("right", "--interface", self.to_right)
        self.shout("both", "--interface", self.to_right, "--interface", self.to_left)
        self.assertEqual(left.next()["text"], "both")
        self.assertEqual([right.next()["text"], right.next()["text"]], ["right", "both"])

    def test_an_interface_that_is_down_or_has_no_address_is_left_out_and_an_error_when_chosen(self):
        self.here.ip("link", "set", self.to_left, "down")
        self.here.ip("address", "flush", "dev", self.to_right)
        _, said = self.shout("hello", code=1)
        self.assertIn("no interface but loopback is up, has an IPv4 address and can broadcast", said)
        _, said = self.shout("hello", "--interface", self.to_left, code=1)
        self.assertEqual(said, f"squall: interface {self.to_left} is down\n")
        _, said = self.shout("hello", "--interface", self.to_right, code=1)
        self.assertEqual(said, f"squall: interface {self.to_right} has no IPv4 address to send from\n")

    def test_listeners_on_the_same_host_hear_it_too_and_each_of_them(self):
        listeners = [self.listen(self.here) for _ in range(3)]
        self.shout("hello")
        for listener in listeners:
            heard = {(heard["interface"], heard["text"]) for heard in (listener.next(), listener.next())}
            self.assertEqual(heard, {(self.to_left, "hello"), (self.to_right, "hello")})

    def test_a_datagram_for_one_host_goes_to_one_of_its_listeners(self):
        listeners = [self.listen(self.left) for _ in range(3)]
        self.shout("you", "--to", "10.77.1.2")
        self.shout("all")
        for listener in listeners:
            while listener.next()["kind"] != "broadcast":
                listener.heard.append(1)
        self.assertEqual(sum(len(listener.heard) for listener in listeners), 1)

    def test_a_listener_to_the_broadcast_address_hears_nothing_else(self):
        listener = self.listen(self.left, "<broadcast>")
        self.shout("you", "--to", "10.77.1.2")
        self.shout("net", "--to", "10.77.1.255")
        self.shout("all")
        self.assertEqual(listener.next()["text"], "all")

    def test_a_listener_to_one_interface_passes_the_other_over(self):
        listener = self.listen(self.here, "--interface", self.to_right)
        for host, text in ((self.left, "left"), (self.right, "right")):
            self.shout(text, host=host)
        heard = listener.next()
        self.assertEqual((heard["text"], heard["interface"]), ("right", self.to_right))
        _, said = listener.end()
        self.assertIn("heard 1 datagram (1 broadcast)", said)
        self.assertIn("passed over 1 that came by other interfaces", said)

    def test_no_root_is_needed(self):
        if not shutil.which("setpriv"):
            self.skipTest("needs setpriv (util-linux)")
        plain = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--bounding-set=-all"]
        path = os.path.join(self.directory(), "squall")
        shutil.copy(SQUALL, path)
        os.chmod(os.path.dirname(path), 0o755)
        listener = self.listen(self.right, "--group", GROUP)
        with self.here.entered():
            for more in ([], ["--to", GROUP], ["--interface", self.to_right]):
                ended = subprocess.run([*plain, path, "shout", "hello", *more], capture_output=True, text=True)
                self.assertEqual((ended.returncode, ended.stderr), (0, ""))
                self.assertEqual(listener.next()["text"], "hello")
        with self.left.entered():
            process = subprocess.Popen([*plain, path, "listen", "--count", "1", "--group", GROUP6],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.assertIn(f"in group {GROUP6} on {self.left_end}", process.stderr.readline())
        self.shout("hello", "--to", GROUP6)
        self.assertIn(f" multicast {self.left_end} hello\n", process.stdout.readline())

    def test_a_datagram_that_needs_fragments_arrives_whole(self):
        listener = self.listen(self.left)
        with self.here.entered():
            subprocess.run([SQUALL, "shout", "-", "--interface", self.to_left], input=b"x" * 60000, check=True)
        self.assertEqual(listener.next()["bytes"], 60000)

    def test_what_the_kernel_drops_is_told_at_the_end(self):
        listener = self.listen(self.left)
        os.kill(listener.process.pid, signal.SIGSTOP)
        udp = self.udp(host=self.here)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sent = 3000
        for _ in range(sent):
            udp.sendto(bytes(60000), ("10.77.1.255", PORT))
        os.kill(listener.process.pid, signal.SIGCONT)
        # What is left in the buffer comes before this one.
        seen = 0
        udp.sendto(b"last", ("10.77.1.255", PORT))

        def drained():
            nonlocal seen
            udp.sendto(b"last", ("10.77.1.255", PORT))
            seen += 1
            return listener.next()["bytes"] == 4

        until(drained, "the last one is heard")
        _, said = listener.end()
        self.assertRegex(said, r"the kernel dropped \d+ before they were read")


class Multicast(Hosts):
    def test_a_group_is_heard_on_all_interfaces_by_its_members_alone(self):
        left, right = self.listen(self.left, "--group", GROUP), self.listen(self.right)
        self.shout("group", "--to", GROUP)
        self.shout("all")
        heard = left.next()
        self.assertEqual((heard["text"], heard["destination"], heard["kind"]), ("group", GROUP, "multicast"))
        self.assertEqual(right.next()["text"], "all")

    def test_an_ipv6_group_leaves_on_all_interfaces_or_on_its_zone_s(self):
        left, right = self.listen(self.left, GROUP6), self.listen(self.right, "--group", GROUP6)
        self.shout("both", "--to", GROUP6)
        self.assertEqual((left.next()["text"], right.next()["text"]), ("both", "both"))
        self.shout("left", "--to", f"ff02::1%{self.to_left}")
        self.shout("right", "--to", f"[ff02::1%{self.to_right}]:{PORT}")
        heard = left.next()
        self.assertEqual((heard["text"], heard["destination"]), ("left", "ff02::1"))
        self.assertEqual(heard["peer"].split("%")[0], "[fe80::11")
        self.assertEqual(right.next()["text"], "right")

    def test_a_router_is_passed_only_with_hops_to_spare(self):
        # `here` has no multicast routes; what it would forward shows in the hop limit.
        for ttl, arguments in ((1, []), (4, ["--ttl", "4"])):
            with self.left.entered():
                udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(udp.close)
            udp.settimeout(PATIENCE)
            udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            udp.setsockopt(socket.IPPROTO_IP, IP_RECVTTL, 1)
            udp.bind(("", PORT))
            member = socket.inet_aton(GROUP) + socket.inet_aton("10.77.1.2")
            udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            self.shout("hello", "--to", GROUP, *arguments)
            _, ancillary, _, _ = udp.recvmsg(100, 100)
            self.assertEqual(struct.unpack("i", ancillary[0][2])[0], ttl)
            udp.close()

    def test_a_group_is_joined_on_an_interface_that_comes_later(self):
        listener = self.listen(self.left, "--group", GROUP, "--group", GROUP6)
        late = self.host("late")
        _, end = late.connect_to(self.left, ["10.77.3.1/24", "fd77:3::1/64"], ["10.77.3.2/24", "fd77:3::2/64"])

        def members():
            with self.left.entered(), open("/proc/thread-self/net/igmp") as four, \
                    open("/proc/thread-self/net/igmp6") as six:
                # 239.1.2.3 as the kernel writes it.
                return "030201EF" in four.read().split(end)[-1] and any(
                    end in line and line.split()[2].endswith("00001060") for line in six)

        until(members, "the listener is a member on the new interface")
        for group in (GROUP, GROUP6):
            self.shout("late", "--to", group, host=late)
            heard = listener.next()
            self.assertEqual((heard["text"], heard["interface"]), ("late", end))

    def test_a_chosen_interface_that_goes_and_comes_again_is_heard_again(self):
        listener = self.listen(self.left, "--group", GROUP, "--interface", self.left_end)
        self.here.ip("link", "del", self.to_left)
        self.here.ip("link", "add", self.to_left, "type", "veth", "peer", "name", self.left_end,
                     "netns", self.left.name)
        for host, end, address in ((self.here, self.to_left, "10.77.1.1/24"), (self.left, self.left_end, "10.77.1.2/24")):
            host.ip("address", "add", address, "broadcast", "+", "dev", end)
            host.ip("link", "set", end, "up")

        def again():
            self.shout("again", "--to", GROUP, "--interface", self.to_left)
            return select.select([listener.process.stdout], [], [], 0.05)[0]

        until(again, "the group is heard again")
        self.assertEqual(listener.next()["text"], "again")


class Python(Hosts):
    """Programs as they were written twenty years ago."""

    def test_its_listener_hears_a_shout(self):
        with self.left.entered():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.settimeout(PATIENCE)
        s.bind(("", PORT))
        self.shout("hello")
        data, address = s.recvfrom(65535)
        self.assertEqual((data, address[0]), (b"hello", "10.77.1.1"))

    def test_its_broadcast_is_heard(self):
        listener = self.listen(self.left)
        # A socket of old needs a route for it.
        self.here.ip("route", "add", "default", "via", "10.77.1.2")
        with self.here.entered():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        s.sendto(b"Broadcast message!", ("<broadcast>", PORT))
        heard = listener.next()
        self.assertEqual((heard["text"], heard["kind"]), ("Broadcast message!", "broadcast"))
        self.assertEqual(heard["peer"], "10.77.1.1:%d" % s.getsockname()[1])

    def test_its_servers_answers_are_printed(self):
        servers = []
        for host in (self.left, self.right):
            with host.entered():
                s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.addCleanup(s.close)
            s.settimeout(PATIENCE)
            s.bind(("", PORT))
            servers.append(s)
        with self.here.entered():
            shout = subprocess.Popen([SQUALL, "shout", "who is there?", "--wait", "2s"],
                                     stdout=subprocess.PIPE, text=True)
        for s in servers:
            data, address = s.recvfrom(65535)
            s.sendto(b"Your data was %d bytes" % len(data), address)
        out, _ = shout.communicate(timeout=PATIENCE)
        self.assertEqual(shout.returncode, 0)
        self.assertEqual(sorted(out.splitlines()), [
            "10.77.1.2:1060 Your data was 13 bytes", "10.77.2.2:1060 Your data was 13 bytes"])

    def test_it_shares_the_port_when_it_asks_to(self):
        with self.left.entered():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.settimeout(PATIENCE)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("", PORT))
        listener = self.listen(self.left)
        self.shout("hello")
        self.assertEqual(s.recv(100), b"hello")
        self.assertEqual(listener.next()["text"], "hello")


class Holder(Hosts):
    def refused(self, *arguments):
        with self.here.entered():
            ended = subprocess.run([SQUALL, "listen", *arguments], capture_output=True, text=True,
                                   timeout=PATIENCE)
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertEqual(len(ended.stderr.splitlines()), 1)
        return ended.stderr

    def test_a_length_service_that_holds_the_port_is_named(self):
        node = self.node("length", host=self.here)
        said = self.refused()
        self.assertIn("a `length` service of this machine has port 1060 and does not share it", said)
        self.assertIn(f"(squall, process {node.pid}, on 127.0.0.1:1060", said)
        self.assertIn("stop it, or listen on another port with -p", said)
        # What it advises works.
        self.assertIn("squall listen '<broadcast>'", said)
        listener = self.listen(self.here, "<broadcast>")
        self.shout("hello", host=self.left)
        self.assertEqual(listener.next()["text"], "hello")
        # And takes nothing from the service.
        self.assertEqual(self.ask(("127.0.0.1", PORT), b"hello", self.here), b"Your data was 5 bytes long")

    def test_a_length_service_on_every_interface_leaves_no_broadcast_over(self):
        self.node("length", "--on", "udp://:1060", host=self.here)
        said = self.refused()
        self.assertIn("a `length` service of this machine has port 1060", said)
        self.assertNotIn("<broadcast>", said)

    def test_a_listener_takes_no_share_of_a_service_with_several_sockets(self):
        self.node("length", "--on", "udp://10.77.1.1:1060", "--shards", "4", host=self.here)
        self.assertIn("a `length` service", self.refused("10.77.1.1"))

    def test_another_program_is_not_called_a_service(self):
        with self.here.entered():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(s.close)
        s.bind(("", PORT))
        said = self.refused()
        self.assertIn("another program has port 1060 and does not share it", said)
        self.assertIn(f"process {os.getpid()}, on 0.0.0.0:1060", said)
