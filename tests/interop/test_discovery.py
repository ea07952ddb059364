"""`squall serve --announce` and `squall discover` among hosts on one network."""

import json
import select
import shutil
import signal
import socket
import struct
import subprocess
import unittest

from harness import PATIENCE, SQUALL, TestCase, needs_hosts, until

MDNS = ("224.0.0.251", 5353)
ALL_COAP = "224.0.1.187"
COAP = 5683


def labels(name):
    return b"".join(bytes([len(label)]) + label for label in name.encode().split(b".")) + b"\0"


def read_name(packet, at):
    """A name, with its pointers followed, and where it ends."""
    parts, end = [], None
    while packet[at]:
        if packet[at] & 0xC0:
            end = end or at + 2
            at = struct.unpack_from("!H", packet, at)[0] & 0x3FFF
            continue
        parts.append(packet[at + 1:at + 1 + packet[at]].decode())
        at += 1 + packet[at]
    return ".".join(parts), end or at + 1


def records(packet):
    """(name, type, time to live, data) of every record; data as text where it is a name or text."""
    _, _, questions, *counts = struct.unpack_from("!6H", packet)
    at = 12
    for _ in range(questions):
        at = read_name(packet, at)[1] + 4
    for _ in range(sum(counts)):
        name, at = read_name(packet, at)
        kind, _, ttl, length = struct.unpack_from("!HHIH", packet, at)
        at += 10
        data = packet[at:at + length]
        if kind == 12:
            data = read_name(packet, at)[0]
        elif kind == 33:
            data = (struct.unpack_from("!3H", data)[2], read_name(packet, at + 6)[0])
        elif kind == 16:
            texts, rest = [], data
            while rest:
                texts.append(rest[1:1 + rest[0]].decode())
                rest = rest[1 + rest[0]:]
            data = texts
        at += length
        yield name, kind, ttl, data


@needs_hosts
class Network(TestCase):
    """A switch with hosts on it: `here` and others that a test adds."""

    def setUp(self):
        self.here = self.host("here")
        self.here.ip("link", "add", "name", "switch", "type", "bridge")
        self.here.ip("link", "set", "switch", "addrgenmode", "none")
        self.here.ip("address", "add", "10.77.0.1/24", "broadcast", "+", "dev", "switch")
        self.here.ip("address", "add", "fd77::1/64", "nodad", "dev", "switch")
        self.here.ip("link", "set", "switch", "up")
        self.here.ip("-6", "route", "append", "multicast", "ff00::/8", "dev", "switch", "table", "local")
        self.count = 1

    def plug_in(self, name):
        host = self.host(name)
        self.count += 1
        end, _ = self.here.connect_to(host, [], [f"10.77.0.{self.count}/24", f"fd77::{self.count}/64"])
        self.here.ip("link", "set", end, "master", "switch")
        return host

    def discover(self, *arguments, host=None, code=0):
        """By node's name: its services by name and transport. What is announced is there within two seconds."""
        if "--for" not in arguments:
            arguments = ("--for", "2s", *arguments)
        with (host or self.here).entered():
            ended = subprocess.run([SQUALL, "discover", "--json", *arguments], stdin=subprocess.DEVNULL,
                                   capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(ended.returncode, code, ended.stderr)
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def uris(self, nodes):
        return {node["name"]: {(service["name"], service["transport"]): service["uris"]
                               for service in node["services"]} for node in nodes}

    def announcing(self, *arguments, host, **options):
        node = self.node(*arguments, "--announce", host=host, **options)
        until(lambda: "announced as" in node.log() or "WARN" in node.log(), "the node announces")
        return node

    def listen_to_mdns(self, host):
        udp = self.udp(host=host)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind(("", MDNS[1]))
        interface = socket.inet_aton("10.77.0.1")
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(MDNS[0]) + interface)
        udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, interface)
        return udp

    def overhear(self, udp, instance):
        """Waits until somebody tells of the instance."""
        until(lambda: select.select([udp], [], [], 0.1)[0]
              and any(name == instance and kind == 33 for name, kind, _, _ in records(udp.recv(9000))), instance)


class Discovery(Network):
    def test_two_nodes_are_found_with_their_addresses_and_services(self):
        kitchen = self.announcing("time", "--on", "udp://:20000", "--name", "kitchen", host=self.plug_in("kitchen"))
        self.announcing("stamp", "--on", "tcp://10.77.0.3:0", "--on", "udp://10.77.0.3:0", "--name", "the attic",
                        host=self.plug_in("attic"))
        nodes = self.discover()
        self.assertEqual([node["name"] for node in nodes], ["kitchen", "the attic"])
        self.assertEqual(nodes[0]["addresses"], ["10.77.0.2", "fd77::2"])
        # An address of IPv4 was named, so that IPv6 does not lead there.
        self.assertEqual(nodes[1]["addresses"], ["10.77.0.3"])
        found = self.uris(nodes)
        self.assertEqual(found["kitchen"], {("time", "udp"): ["udp://10.77.0.2:20000", "udp://[fd77::2]:20000"]})
        self.assertEqual(set(found["the attic"]), {("stamp", "udp"), ("stamp", "tcp")})
        # What is listed can be asked as it stands there.
        for name in ("kitchen", "the attic"):
            for addresses in found[name].values():
                for uri in addresses:
                    with self.here.entered():
                        asked = subprocess.run([SQUALL, "ask", uri, "hello"], capture_output=True, text=True)
                    self.assertEqual(asked.returncode, 0, asked.stderr)
        self.assertEqual(kitchen.stop(), 0)

    def test_the_table_for_people_has_a_node_and_below_it_its_services(self):
        self.announcing("time", "--on", "udp://0.0.0.0:20000", "--name", "kitchen", host=self.plug_in("kitchen"))
        with self.here.entered():
            ended = subprocess.run([SQUALL, "discover", "--for", "2s"], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(ended.stdout, "kitchen (10.77.0.2)\n  time  udp://10.77.0.2:20000\n")
        self.assertEqual(ended.stderr, "")

    def test_nobody_is_an_end_of_its_own(self):
        self.assertEqual(self.discover("--for", "500ms", code=69), [])

    def test_what_is_on_loopback_is_not_announced(self):
        host = self.plug_in("kitchen")
        node = self.announcing("time", "--on", "udp://127.0.0.1:0", host=host)
        self.assertIn("nothing to announce: every service listens on loopback", node.log())
        both = self.config('announce = true\nname = "both"\n'
                           '[[service]]\nname = "time"\non = ["udp://127.0.0.1:0"]\n'
                           '[[service]]\nname = "length"\non = ["udp://10.77.0.2:0"]\n')
        node = self.node("--config", both, host=host)
        found = self.uris(self.discover())
        port = node.row("length").port
        self.assertEqual(found, {"both": {("length", "udp"): [f"udp://10.77.0.2:{port}"]}})

    def test_a_node_that_ends_says_good_bye(self):
        node = self.announcing("time", "--on", "udp://:20000", "--name", "kitchen", host=self.plug_in("kitchen"))
        udp = self.listen_to_mdns(self.here)
        self.assertEqual(node.stop(), 0)
        gone = set()

        def heard():
            if select.select([udp], [], [], 0.1)[0]:
                gone.update((name, data) for name, kind, ttl, data in records(udp.recv(9000))
                            if kind == 12 and ttl == 0)
            return gone

        until(heard, "a good-bye")
        self.assertIn(("_squall._udp.local", "kitchen time._squall._udp.local"), gone)

    def test_a_search_forgets_a_node_that_leaves_meanwhile(self):
        stays = self.announcing("time", "--on", "udp://:1", "--name", "stays", host=self.plug_in("stays"))
        leaves = self.announcing("time", "--on", "udp://:2", "--name", "leaves", host=self.plug_in("leaves"))
        self.assertEqual(len(self.discover()), 2)
        udp = self.listen_to_mdns(self.here)
        with self.here.entered():
            search = subprocess.Popen([SQUALL, "discover", "--json", "--for", "3s"], stdout=subprocess.PIPE)
        self.addCleanup(search.stdout.close)
        self.overhear(udp, "leaves time._squall._udp.local")
        self.assertEqual(leaves.stop(), 0)
        out, _ = search.communicate(timeout=PATIENCE)
        self.assertEqual([json.loads(line)["name"] for line in out.splitlines()], ["stays"])
        self.assertEqual(stays.stop(), 0)

    def test_an_interrupted_search_shows_what_it_found(self):
        self.announcing("time", "--on", "udp://:20000", "--name", "kitchen", host=self.plug_in("kitchen"))
        self.assertEqual(len(self.discover()), 1)
        server = CoapServer(self, self.here, "10.77.0.1", "</light>")
        udp = self.listen_to_mdns(self.here)
        with self.here.entered():
            search = subprocess.Popen([SQUALL, "discover", "--json", "--for", "1h"], stdout=subprocess.PIPE)
        self.addCleanup(search.stdout.close)
        self.overhear(udp, "kitchen time._squall._udp.local")
        # Its second question: what came before is taken by then.
        for _ in range(2):
            server.serve_once()
        search.send_signal(signal.SIGINT)
        out, _ = search.communicate(timeout=PATIENCE)
        self.assertEqual(search.returncode, 130)
        self.assertIn("kitchen", [json.loads(line)["name"] for line in out.splitlines()])

    def test_nodes_of_one_name_stay_two(self):
        for port in (20000, 20001):
            self.announcing("time", "--on", f"udp://:{port}", "--name", "twin", host=self.plug_in("twin"))
            # The second one sees the first one's claim.
            self.discover()
        nodes = self.discover()
        self.assertEqual([node["name"] for node in nodes], ["twin", "twin"])
        self.assertEqual({service["port"] for node in nodes for service in node["services"]}, {20000, 20001})

    def test_two_nodes_of_one_host_are_both_there_and_stay_when_one_goes(self):
        host = self.plug_in("host")
        one = self.announcing("time", "--on", "udp://:20000", host=host)
        self.announcing("length", "--on", "udp://:1060", host=host)
        self.assertEqual(len(self.discover()), 2)
        self.assertEqual(one.stop(), 0)
        found = [set(services) for services in self.uris(self.discover()).values()]
        self.assertEqual(found, [{("length", "udp")}])

    def test_an_interface_that_comes_later_is_told_too(self):
        host = self.host("late")
        node = self.announcing("time", "--on", "udp://:20000", "--name", "late", host=host)
        self.assertEqual(self.discover("--for", "500ms", code=69), [])
        end, _ = self.here.connect_to(host, [], ["10.77.0.9/24", "fd77::9/64"])
        self.here.ip("link", "set", end, "master", "switch")
        found = until(lambda: self.uris(self.seen()), "the node is found on its new interface")
        self.assertEqual(found["late"][("time", "udp")][0], "udp://10.77.0.9:20000")
        self.assertEqual(node.stop(), 0)

    def seen(self):
        with self.here.entered():
            ended = subprocess.run([SQUALL, "discover", "--json", "--for", "2s"], capture_output=True, timeout=PATIENCE)
        return [json.loads(line) for line in ended.stdout.splitlines()]

    def test_of_a_node_with_worker_processes_the_parent_alone_announces(self):
        node = self.announcing("time", "--on", "udp://:20000", "--name", "kitchen", "--model", "processes:3",
                               host=self.plug_in("kitchen"))
        nodes = self.discover()
        self.assertEqual(self.uris(nodes), {
            "kitchen": {("time", "udp"): ["udp://10.77.0.2:20000", "udp://[fd77::2]:20000"]}})
        self.assertEqual(node.log().count("announced as"), 1)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(self.discover("--for", "1s", code=69), [])

    def test_any_resolver_of_multicast_dns_can_read_it(self):
        self.announcing("time", "--on", "udp://10.77.0.2:20000", "--name", "Küche 1", host=self.plug_in("kitchen"))
        udp = self.listen_to_mdns(self.here)
        question = struct.pack("!6H", 0, 0, 1, 0, 0, 0) + labels("_squall._udp.local") + struct.pack("!2H", 12, 1)
        known = {}

        def answered():
            udp.sendto(question, MDNS)
            while select.select([udp], [], [], 0.2)[0]:
                for name, kind, ttl, data in records(udp.recv(9000)):
                    if ttl:
                        known[name, kind] = data
            return {(instance, 33), (instance, 16), ("_squall._udp.local", 12)} <= set(known)

        instance = "Küche 1 time._squall._udp.local"
        until(answered, "an answer")
        self.assertEqual(known["_squall._udp.local", 12], instance)
        port, host = known[instance, 33]
        self.assertEqual((port, host.startswith("k-che-1-")), (20000, True))
        self.assertEqual(known[host, 1], socket.inet_aton("10.77.0.2"))
        self.assertLessEqual({"node=Küche 1", "service=time", "transport=udp"}, set(known[instance, 16]))


class CoapServer:
    """Answers requests for /.well-known/core, in blocks where it is told to."""

    def __init__(self, test, host, address, links, block=None):
        self.links, self.block, self.echoed = links, block, []
        self.udp = test.udp(host=host)
        self.udp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.udp.bind(("", COAP))
        member = socket.inet_aton(ALL_COAP) + socket.inet_aton(address)
        self.udp.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)

    def serve_once(self):
        request, peer = self.udp.recvfrom(2000)
        token = request[4:4 + (request[0] & 15)]
        at, number, options = 4 + len(token), 0, []
        while at < len(request):
            delta, length = request[at] >> 4, request[at] & 15
            at += 1
            if delta == 13:
                delta, at = 13 + request[at], at + 1
            number += delta
            options.append((number, request[at:at + length]))
            at += length
        assert request[0] >> 4 == 5 and request[1] == 1, "a NON GET"
        assert [value for number, value in options if number == 11] == [b".well-known", b"core"], options
        self.echoed += [value for number, value in options if number == 252]
        header = bytes([0x50 | len(token), 0x45, 1, request[3]]) + token
        body, block = self.links.encode(), b""
        if self.block:
            place = next((int.from_bytes(value, "big") >> 4 for number, value in options if number == 23), 0)
            size = 16 << self.block
            more = (place + 1) * size < len(body)
            value = (place << 4 | more << 3 | self.block).to_bytes(2, "big").lstrip(b"\0")
            # Content-Format 12 is link-format: 0xc1 0x28; then Block2 by a difference of 11, Echo by 229.
            block = bytes([0xb0 | len(value)]) + value + bytes([0xd2, 229 - 13]) + b"ok"
            body = body[place * size:(place + 1) * size]
        self.udp.sendto(header + b"\xc1\x28" + block + b"\xff" + body, peer)


class Coap(Network):
    def found(self, *servers):
        with self.here.entered():
            search = subprocess.Popen([SQUALL, "discover", "--json", "--for", "2s"], stdout=subprocess.PIPE)
        self.addCleanup(search.stdout.close)
        while search.poll() is None:
            for ready in select.select([server.udp for server in servers], [], [], 0.05)[0]:
                next(server for server in servers if server.udp is ready).serve_once()
        return [json.loads(line) for line in search.stdout.read().splitlines()]

    def test_coap_servers_are_found_by_their_answers(self):
        sensor, lamp = self.plug_in("sensor"), self.plug_in("lamp")
        nodes = self.found(
            CoapServer(self, sensor, "10.77.0.2", '</temperature>;rt="t";obs,</humidity>'),
            CoapServer(self, lamp, "10.77.0.3", "</light>"),
        )
        self.assertEqual(self.uris(nodes), {
            "10.77.0.2": {("/temperature", "coap"): ["coap://10.77.0.2:5683/temperature"],
                          ("/humidity", "coap"): ["coap://10.77.0.2:5683/humidity"]},
            "10.77.0.3": {("/light", "coap"): ["coap://10.77.0.3:5683/light"]},
        })
        self.assertEqual({service["by"] for node in nodes for service in node["services"]}, {"coap"})

    def test_a_long_list_is_fetched_block_by_block(self):
        paths = [f"/resource-{number:03}" for number in range(60)]
        server = CoapServer(self, self.plug_in("many"), "10.77.0.2", ",".join(f"<{path}>" for path in paths), 2)
        [node] = self.found(server)
        self.assertEqual([service["name"] for service in node["services"]], paths)
        self.assertEqual(set(server.echoed), {b"ok"})

    def test_its_resources_stand_with_the_services_of_their_node(self):
        host = self.plug_in("kitchen")
        self.announcing("time", "--on", "udp://:20000", "--name", "kitchen", host=host)
        [node] = self.found(CoapServer(self, host, "10.77.0.2", "</light>"))
        self.assertEqual([(service["name"], service["by"]) for service in node["services"]],
                         [("/light", "coap"), ("time", "dns-sd")])

    @unittest.skipUnless(shutil.which("coap-server-notls"), "needs libcoap's coap-server-notls (libcoap3-bin)")
    def test_libcoap_s_server_is_found_with_its_resources(self):
        host = self.plug_in("libcoap")
        # It joins a group where the routes say.
        host.ip("route", "add", "default", "via", "10.77.0.1")
        with host.entered():
            server = subprocess.Popen(["coap-server-notls", "-g", ALL_COAP], stdin=subprocess.DEVNULL,
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)

        def is_member():
            # 224.0.1.187 as the kernel writes it.
            with host.entered(), open("/proc/thread-self/net/igmp") as groups:
                return "BB0100E0" in groups.read()

        until(is_member, "the server is a member of the group")
        # It takes its leisure, which is five seconds.
        found = self.uris(self.discover("--for", "7s"))
        self.assertEqual(found["10.77.0.2"]["/time", "coap"], ["coap://10.77.0.2:5683/time"])

    def test_a_node_s_own_coap_is_found_both_ways(self):
        self.announcing("coap", "--on", "coap://:5683", "--name", "kitchen", host=self.plug_in("kitchen"))
        # Its leisure is five seconds, too.
        [node] = self.discover("--for", "7s")
        self.assertEqual((node["name"], node["addresses"]), ("kitchen", ["10.77.0.2", "fd77::2"]))
        services = {(service["name"], service["by"]): service["uris"] for service in node["services"]}
        self.assertIn(("coap", "dns-sd"), services)
        [uri] = [uri for uri in services["/time", "coap"] if "10.77.0.2" in uri]
        self.assertEqual(uri, "coap://10.77.0.2:5683/time")
