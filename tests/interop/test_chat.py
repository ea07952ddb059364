"""The chat as old programs speak it, and as its operator sees it."""

import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import stat
import struct
import subprocess

from harness import PATIENCE, SQUALL, TestCase, needs_hosts, needs_root, until
from test_table import needs_nc

NOBODY = 65534


class ChatCase(TestCase):
    def chat(self, *arguments, history="memory", **options):
        """A node with a chat on every transport."""
        directory = self.directory()
        self.stream, self.datagram = os.path.join(directory, "chat.sock"), os.path.join(directory, "chat.gram")
        on = ["udp://127.0.0.1:0", "tcp://127.0.0.1:0", f"unix:{self.stream}", f"unixgram:{self.datagram}"]
        where = [word for uri in on for word in ("--on", uri)]
        control = os.path.join(directory, "ctl.sock")
        history = ["--history", history] if history else []
        node = self.node("chat", *where, *history, "--control", control, *arguments, **options)
        node.control = control
        return node

    def config_chat(self, settings, *arguments, **options):
        """The same with settings of the chat."""
        text = f'[[service]]\nname = "chat"\non = ["udp://127.0.0.1:0"]\n[service.chat]\nhistory = "none"\n{settings}\n'
        control = os.path.join(self.directory(), "ctl.sock")
        node = self.node("--config", self.config(text), "--control", control, *arguments, **options)
        node.control = control
        return node

    def member(self, node, text=b"hello", name=None):
        """An old client over UDP, which has joined and heard itself."""
        udp = self.udp(node.address("chat"))
        if name:
            udp.send(f"/name {name}".encode())
            self.assertEqual(udp.recv(2000), f"* name {name}".encode())
        udp.send(text)
        self.assertEqual(udp.recv(2000), b"ack " + (f"{name}: ".encode() if name else b"") + text)
        return udp

    def over_tcp(self, node):
        return Lines(self, self.tcp(node.address("chat", "tcp")))

    def over_unix(self):
        unix = socket.socket(socket.AF_UNIX)
        self.addCleanup(unix.close)
        unix.settimeout(PATIENCE)
        unix.connect(self.stream)
        return Lines(self, unix)

    def over_unixgram(self):
        unix = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(unix.close)
        unix.settimeout(PATIENCE)
        unix.bind("")
        unix.connect(self.datagram)
        return unix

    def drain(self, udp):
        """What waits at a socket, once a message of its own has come back."""
        udp.send(b"/me END")
        lines = []
        while True:
            lines += udp.recv(2000).split(b"\n")
            if b"token=END" in lines[-1]:
                return lines[:-1]

    def ctl(self, node, *arguments, **options):
        done = subprocess.run([SQUALL, "ctl", "--socket", node.control, *arguments], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE, **options)
        return done.returncode, done.stdout, done.stderr

    def stats(self, node):
        code, out, err = self.ctl(node, "stats", "--json")
        self.assertEqual(code, 0, err)
        return json.loads(out)["chat"]


class Lines:
    """A client over a stream."""

    def __init__(self, test, stream):
        self.stream, self.lines = stream, stream.makefile("rb")
        test.addCleanup(self.lines.close)

    def say(self, text):
        self.stream.sendall(text + b"\n")

    def hear(self):
        return self.lines.readline()


class Wire(ChatCase):
    def test_an_old_client_joins_by_speaking_and_leaves_by_quit(self):
        node = self.chat()
        one, other = self.member(node), self.member(node)
        self.assertEqual(one.recv(2000), b"ack hello", "the other one's")
        one.send(b"  hi there \r\n")
        for udp in (one, other):
            self.assertEqual(udp.recv(2000), b"ack hi there")
        other.send(b"quit")
        one.send(b"are you there?")
        self.assertEqual(one.recv(2000), b"ack are you there?")
        self.assert_no_answer(other)
        self.assertEqual(self.stats(node)["quit"], 1)

    def test_an_empty_datagram_joins_and_quit_and_a_hubs_own_words_do_not(self):
        node = self.chat()
        silent = self.udp(node.address())
        silent.send(b"")
        strangers = []
        for text in (b"quit", b"bye bye", b"ack", b"ack hello", b" quit\n"):
            stranger = self.udp(node.address())
            stranger.send(text)
            strangers.append(stranger)
        speaker = self.member(node)
        self.assertEqual(silent.recv(2000), b"ack hello")
        for stranger in strangers:
            self.assert_no_answer(stranger)
        self.assertEqual(self.stats(node)["members"], 2)
        self.assertIsNotNone(speaker)

    def test_heartbeats_are_not_answered_and_not_relayed(self):
        node = self.chat()
        one, other = self.member(node), self.member(node)
        one.recv(2000)
        for beat in (b"^hb^", b"^hb^ 1", b"^hb^ 2\n", b"^hb^ 4294967295"):
            one.send(beat)
        one.send(b"^hb^ is a heartbeat")
        for udp in (one, other):
            self.assertEqual(udp.recv(2000), b"ack ^hb^ is a heartbeat")
        self.assertEqual(self.stats(node)["heartbeats"], 4)

    def test_lines_of_one_datagram_are_messages_of_their_own(self):
        node = self.chat()
        udp = self.member(node)
        udp.send(b"one\r\n\n two \nthree")
        self.assertEqual(udp.recv(2000), b"ack one\nack two\nack three")

    def test_messages_that_wait_together_share_datagrams_of_at_most_1024_bytes(self):
        node = self.chat()
        udp = self.member(node)
        texts = [b"%03d " % number + b"x" * 90 for number in range(100)]
        with node.paused():
            for text in texts:
                udp.send(text)
        heard, datagrams = [], 0
        while len(heard) < 100:
            datagram = udp.recv(65536)
            self.assertLessEqual(len(datagram), 1024)
            heard += datagram.split(b"\n")
            datagrams += 1
        self.assertEqual(heard, [b"ack " + text for text in texts])
        self.assertLess(datagrams, 30)

    def test_a_name_stands_before_what_is_said_and_commands_are_answered_to_who_asks(self):
        node = self.chat()
        other = self.member(node)
        bob = self.member(node, name="bob")
        self.assertEqual(other.recv(2000), b"ack bob: hello")
        bob.send(b"//help is a command")
        self.assertEqual(bob.recv(2000), b"ack bob: /help is a command")
        self.assertEqual(other.recv(2000), b"ack bob: /help is a command")
        bob.send(b"/who")
        who = bob.recv(2000).split(b"\n")
        self.assertEqual(who[0], b"* who lobby members=2")
        self.assertRegex(b"\n".join(who[1:]), rb"(?m)^\* member bob via=udp idle=\d+\.\d limit=300")
        bob.send(b"/nonsense")
        self.assertRegex(bob.recv(2000), rb"^! /nonsense: .*/help")
        self.assertEqual(self.drain(other), [])

    def test_members_of_all_transports_hear_each_other(self):
        node = self.chat()
        udp, tcp, unix, gram = self.udp(node.address()), self.over_tcp(node), self.over_unix(), self.over_unixgram()
        until(lambda: self.stats(node)["members"] == 2, "both streams are members before they say anything")
        gram.send(b"")
        udp.send(b"hello")
        for text in (b"ack hello", b"ack from tcp", b"ack from unix", b"ack from unixgram"):
            self.assertEqual(udp.recv(2000), text)
            self.assertEqual(gram.recv(2000), text)
            self.assertEqual(tcp.hear(), text + b"\n")
            self.assertEqual(unix.hear(), text + b"\n")
            if text == b"ack hello":
                tcp.say(b"from tcp\r")
            elif text == b"ack from tcp":
                unix.say(b"from unix")
            elif text == b"ack from unix":
                gram.send(b"from unixgram")
        vias = sorted(json.loads(line)["via"] for line in self.ctl(node, "members", "--json")[1].splitlines())
        self.assertEqual(vias, ["tcp", "udp", "unix", "unixgram"])

    def test_rooms_are_apart(self):
        node = self.chat()
        one, other = self.member(node), self.member(node)
        one.recv(2000)
        one.send(b"/join attic")
        self.assertRegex(one.recv(2000), rb"^\* join attic members=1 number=\d+$")
        one.send(b"dusty here")
        self.assertEqual(one.recv(2000), b"ack dusty here")
        self.assertEqual(self.drain(other), [])

    def test_the_room_of_those_who_choose_none_can_be_set(self):
        node = self.config_chat('room = "kitchen"')
        udp = self.member(node)
        udp.send(b"/rooms")
        self.assertRegex(udp.recv(2000), rb"^\* rooms 1\n\* room kitchen members=1\b")

    def test_all_get_bye_bye_at_the_end(self):
        # Whoever runs this may ignore it.
        self.addCleanup(signal.signal, signal.SIGHUP, signal.signal(signal.SIGHUP, signal.SIG_DFL))
        for by in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(by=by):
                node = self.chat()
                udp, tcp, unix, gram = self.udp(node.address()), self.over_tcp(node), self.over_unix(), self.over_unixgram()
                gram.send(b"")
                udp.send(b"")
                until(lambda: self.stats(node)["members"] == 4, "all are members")
                self.assertEqual(node.stop(by), 0)
                for datagrams in (udp, gram):
                    self.assertEqual(datagrams.recv(2000), b"bye bye")
                for lines in (tcp, unix):
                    self.assertEqual(lines.hear(), b"bye bye\n")
                    self.assertEqual(lines.hear(), b"", "the connection ends")
                self.assertRegex(node.last_line(), r"; chat: 4 joins, 0 messages delivered 0 times$")

    def test_the_last_word_of_a_connection_is_heard_and_answered(self):
        node = self.chat()
        udp = self.member(node)
        for number in range(100):
            with socket.create_connection(node.address("chat", "tcp"), PATIENCE) as tcp:
                tcp.sendall(b"m%d\n" % number)
                tcp.shutdown(socket.SHUT_WR)
                self.assertEqual(tcp.makefile("rb").read(), b"ack m%d\n" % number)
            self.assertEqual(udp.recv(2000), b"ack m%d" % number)

    @needs_nc
    def test_nc_is_a_client(self):
        node = self.chat()
        udp = self.member(node)
        for flag, address in (("-u", node.address("chat")), ("-4", node.address("chat", "tcp"))):
            nc = subprocess.Popen(["nc", flag, address[0], str(address[1])], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            try:
                nc.stdin.write(b"it is me\n")
                nc.stdin.flush()
                self.assertEqual(udp.recv(2000), b"ack it is me")
                heard = os.read(nc.stdout.fileno(), 2000)
                self.assertEqual(heard.strip(), b"ack it is me")
            finally:
                nc.kill()
                nc.communicate()

    @needs_nc
    def test_who_types_a_command_into_nc_has_its_lines_ended_and_nobody_else(self):
        node = self.chat()
        udp = self.member(node)
        host, port = node.address("chat")
        nc = subprocess.Popen(["nc", "-u", host, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            talk = {b"/name bob\n": b"* name bob\n", b"hi\n": b"ack bob: hi\n", b"/lines off\n": b"* lines off"}
            for typed, line in talk.items():
                nc.stdin.write(typed)
                nc.stdin.flush()
                self.assertEqual(os.read(nc.stdout.fileno(), 2000), line)
        finally:
            nc.kill()
            nc.communicate()
        self.assertEqual(udp.recv(2000), b"ack bob: hi")
        udp.send(b" hi \n")
        self.assertEqual(udp.recv(2000), b"ack hi")


def knock(address, node, to):
    """Makes a member of a port that nobody has, and the node is not suspicious of. It says nothing, so that nobody hears of
    it, and sends no heartbeats, so that it stays for five minutes."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind((address, 0))
            if all(udp.getsockname()[1] != getattr(row, "port", None) for row in node.rows):
                udp.sendto(b"", to)
                return


class BadInput(ChatCase):
    def test_what_no_datagram_holds_is_refused_to_who_says_it(self):
        node = self.chat()
        one, other = self.member(node), self.member(node)
        one.recv(2000)
        for length in (65507, 1021):
            one.send(b"x" * length)
            self.assertEqual(one.recv(2000), b"! too long: %d bytes, 1020 fit" % length)
        one.send(b"x" * 1020)
        self.assertEqual(one.recv(2000), b"ack " + b"x" * 1020)
        self.assertEqual(self.drain(other), [b"ack " + b"x" * 1020])
        tcp = self.over_tcp(node)
        tcp.say(b"y" * 65507)
        self.assertEqual(tcp.hear(), b"! too long: 65507 bytes, 1020 fit\n")

    def test_a_line_without_an_end_ends_its_connection_and_nobody_elses(self):
        node = self.chat()
        tcp = self.over_tcp(node)
        until(lambda: self.stats(node)["members"] == 1, "it is a member")
        udp = self.member(node)
        self.assertEqual(tcp.hear(), b"ack hello\n")
        tcp.stream.sendall(b"z" * 200_000)
        self.assertEqual(tcp.hear(), b"! too long: a line has 65507 bytes at most\n")
        self.assertEqual(tcp.hear(), b"")
        udp.send(b"still here")
        self.assertEqual(udp.recv(2000), b"ack still here")

    def test_no_control_and_no_bidirectional_character_passes(self):
        node = self.chat()
        udp = self.member(node)
        for said, heard in (
            (b"\xff\xfe", "\ufffd\ufffd"),
            (b"a\x1b[31mb\x00c\x07", "a[31mbc"),
            (b"a\tb", "a b"),
            ("x\u202ey\u2066z\u200f".encode(), "xyz"),
            ("\u9bcd\u0085".encode(), "\u9bcd"),
        ):
            udp.send(said)
            self.assertEqual(udp.recv(2000).decode(), "ack " + heard, said)
        udp.send(b"\x1b\x00\x7f")
        self.assertEqual(self.drain(udp), [], "nothing is left of it")

    def test_a_name_that_looks_like_another_is_refused(self):
        node = self.chat()
        self.member(node, name="bob")
        liar = self.udp(node.address())
        for name in ("bob", "BOB", "b\u043eb", "operator", "~1", "#1", "ack", "a b", "x" * 33, "\u202ebob"):
            liar.send(f"/name {name}".encode())
            self.assertRegex(liar.recv(2000), rb"^! ", name)
        liar.send(b"bob: I owe you ten")
        self.assertRegex(liar.recv(2000), rb"^! ", "what would look as if bob had said it")

    def test_an_answer_that_comes_back_ends_at_once(self):
        # Two hubs that are forged into each other's members.
        node = self.chat()
        other = self.member(node)
        for text in (b"ack ack hello", b"ack bob: ack hello"):
            other.send(text)
        other.send(b"ack hi")
        other.send(b"bye bye")
        self.assertEqual(self.drain(other), [b"ack ack hi", b"ack bye bye"])
        self.assertEqual(self.stats(node)["loops"], 2)
        # And none of a hub's lines makes a member of a stranger.
        for text in (b"bye bye", b"ack hi", b"* name ~1", b"! slow down: 20 messages/s"):
            self.udp(node.address()).send(text)
        self.assertEqual(self.stats(node)["members"], 1)

    def test_ten_thousand_addresses_of_loopback_may_join(self):
        node = self.chat(verbose=None)
        to = node.address()
        for host in range(100):
            for port in range(100):
                knock(f"127.1.{host}.{port}", node, to)
            # No more than the node's buffer holds.
            until(lambda: self.stats(node)["came"] == 100 * (host + 1), "each is a member")
        self.assertEqual(self.stats(node)["members"], 10_000)

    @needs_hosts
    def test_of_ten_thousand_addresses_of_one_network_256_may_join(self):
        here, there = self.host("hub"), self.host("many")
        there.connect_to(here, ["10.77.1.2/24", "10.77.2.2/24"], ["10.77.1.1/24", "10.77.2.1/24"])
        control = os.path.join(self.directory(), "ctl.sock")
        node = self.node("chat", "--on", "udp://10.77.1.1:0", "--trust-network", "10.77.0.0/16", "--history", "none",
                         "--control", control, "--no-rate-limit", host=here, verbose=None)
        node.control = control
        to = node.address()
        with there.entered():
            sent = 0
            for _ in range(100):
                for _ in range(100):
                    knock("10.77.1.2", node, to)
                sent += 100
                until(lambda: self.stats(node)["received"] >= sent, "all arrived")
        stats = self.stats(node)
        self.assertEqual(stats["members"], 256)
        # A port can come again, whose member says nothing new.
        self.assertEqual(stats["came"], 256)
        self.assertGreater(stats["prefix_full"], 9000)
        other = self.udp(to, host=there, bind=("10.77.2.2", 0))
        other.send(b"hello")
        self.assertEqual(other.recv(2000), b"ack hello", "another network is not full")

    @needs_root
    def test_a_forged_quit_takes_a_member_out_until_it_speaks_again(self):
        # The plain wire cannot protect from this; the documentation says so.
        node = self.chat()
        victim, other = self.member(node), self.member(node)
        victim.recv(2000)
        port, to = victim.getsockname()[1], node.address()
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
            raw.sendto(struct.pack("!HHHH", port, to[1], 12, 0) + b"quit", to)
        until(lambda: self.stats(node)["quit"] == 1, "the hub believes it")
        other.send(b"secret")
        self.assertEqual(other.recv(2000), b"ack secret")
        self.assert_no_answer(victim)
        victim.settimeout(PATIENCE)
        victim.send(b"I am here")
        self.assertEqual(victim.recv(2000), b"ack I am here")


class Trust(ChatCase):
    def test_other_addresses_want_a_trusted_network(self):
        for uri in ("udp://:0", "tcp://0.0.0.0:0", "udp://[::]:0", "udp://192.0.2.1:9999"):
            done = subprocess.run([SQUALL, "serve", "chat", "--on", uri], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertIn(f"chat does not listen on {uri}", done.stderr)
            self.assertIn("--trust-network", done.stderr)

    @needs_hosts
    def test_members_come_from_trusted_networks_alone(self):
        here, there = self.host("hub"), self.host("guest")
        there.connect_to(here, ["10.78.1.2/24", "10.78.2.2/24"], ["10.78.1.1/24", "10.78.2.1/24"])
        node = self.node("chat", "--on", "udp://0.0.0.0:0", "--on", "tcp://0.0.0.0:0", "--trust-network",
                         "10.78.1.0/24", "--history", "none", "--control", "none", host=here)
        udp_port, tcp_port = node.row(transport="udp").port, node.row(transport="tcp").port
        friend = self.udp(("10.78.1.1", udp_port), host=there, bind=("10.78.1.2", 0))
        stranger = self.udp(("10.78.2.1", udp_port), host=there, bind=("10.78.2.2", 0))
        stranger.send(b"let me in")
        friend.send(b"hello")
        self.assertEqual(friend.recv(2000), b"ack hello")
        self.assert_no_answer(stranger)
        friendly = self.tcp(("10.78.1.1", tcp_port), host=there)
        strange = self.tcp(("10.78.2.1", tcp_port), host=there)
        self.assertEqual(strange.recv(2000), b"", "its connection is closed")
        friendly.sendall(b"hi\n")
        self.assertEqual(friendly.recv(2000), b"ack hi\n")
        self.assertEqual(friend.recv(2000), b"ack hi")


class Liveness(ChatCase):
    def test_who_sends_heartbeats_and_stops_is_evicted_and_the_log_says_why(self):
        node = self.config_chat('heartbeat = "100ms"\nhard-limit = "500ms"\nhard-intervals = 5', verbose=None)
        person = self.member(node)
        beating = self.udp(node.address())
        beating.send(b"^hb^ 1")
        until(lambda: self.stats(node)["evicted"] == 1, "it is evicted")
        until(lambda: "went: silent" in node.log(), "the log says so")
        self.assertRegex(node.log(), r"INFO .*~2 went: silent \d+\.\d s, limit 0\.3 s\n")
        person.send(b"I am no machine")
        self.assertEqual(person.recv(2000), b"ack I am no machine")

    def test_who_is_quiet_for_too_long_is_evicted(self):
        node = self.config_chat('quiet = "200ms"')
        self.member(node)
        until(lambda: self.stats(node)["evicted"] == 1, "it is evicted")
        self.assertEqual(node.stop(), 0)
        self.assertIn("chat: 1 join, 1 message delivered 1 time, 1 evicted", node.last_line())


class Operator(ChatCase):
    def test_members_are_listed_kicked_and_spoken_to(self):
        node = self.chat()
        bob, other = self.member(node, name="bob"), self.member(node)
        bob.recv(2000)
        code, out, _ = self.ctl(node, "members")
        self.assertEqual((code, out.splitlines()[0].split()),
                         (0, ["NAME", "ROOM", "VIA", "ADDRESS", "IDLE", "INTERVAL", "LOSS", "LIMIT"]))
        self.assertRegex(out, r"\nbob  +lobby  +udp  +127\.0\.0\.1:\d+  +\d+\.\d s  +-  +-  +300\.0 s\n")
        self.assertEqual(self.ctl(node, "members", "--room", "attic"), (1, "", "squall: there is no such room\n"))
        self.assertEqual(self.ctl(node, "say", "we", "restart", "at noon")[0], 0)
        for udp in (bob, other):
            self.assertEqual(udp.recv(2000), b"ack operator: we restart at noon")
        self.assertEqual(self.ctl(node, "kick", "bob"), (0, "took out 1 member\n", ""))
        self.assertEqual(self.ctl(node, "kick", "bob")[0], 1, "he is gone")
        self.assertEqual(self.ctl(node, "kick", "~2", "--json"), (0, '{"members":1}\n', ""))
        self.assertEqual(self.stats(node)["members"], 0)
        self.assert_no_answer(bob)

    def test_a_connection_that_is_kicked_ends(self):
        node = self.chat()
        tcp = self.over_tcp(node)
        tcp.say(b"/name eve")
        self.assertEqual(tcp.hear(), b"* name eve\n")
        self.assertEqual(self.ctl(node, "kick", "eve")[0], 0)
        self.assertEqual(tcp.hear(), b"")

    def test_a_ban_holds_until_it_is_lifted_and_over_a_restart(self):
        data = self.directory()
        node = self.chat("--data", data, history=None)
        udp = self.member(node)
        self.assertEqual(self.ctl(node, "ban", "127.0.0.0/8", "--for", "1h")[:2],
                         (0, "127.0.0.0/8 is banned; took out 1 member\n"))
        self.assertEqual(self.ctl(node, "ban", "fd00::1")[0], 0)
        self.assertEqual(node.stop(), 0)
        node = self.chat("--data", data, history=None)
        code, out, _ = self.ctl(node, "ban", "--list")
        self.assertEqual((code, [line.split()[0] for line in out.splitlines()]),
                         (0, ["NETWORK", "127.0.0.0/8", "fd00::1/128"]))
        udp = self.udp(node.address())
        udp.send(b"let me in")
        until(lambda: self.stats(node)["banned"] == 1, "nobody comes in")
        self.assertEqual(self.ctl(node, "unban", "127.0.0.0/8")[0], 0)
        self.assertEqual(self.ctl(node, "unban", "127.0.0.0/8")[0], 1)
        udp.send(b"thanks")
        self.assertEqual(udp.recv(2000), b"ack thanks")

    def test_stop_waits_for_the_end(self):
        node = self.chat()
        udp = self.member(node)
        self.assertEqual(self.ctl(node, "stop"), (0, "", ""))
        self.assertEqual(node.wait(), 0)
        self.assertEqual(udp.recv(2000), b"bye bye")
        self.assertFalse(os.path.exists(node.control))
        code, _, err = self.ctl(node, "members")
        self.assertEqual(code, 69)
        self.assertIn(node.control, err)

    def test_the_only_node_is_found_and_of_several_one_is_named(self):
        def ctl(*arguments):
            done = subprocess.run([SQUALL, "ctl", *arguments], capture_output=True, text=True, timeout=PATIENCE)
            return done.returncode, done.stdout + done.stderr

        def serve():
            return self.node("chat", "--on", "udp://127.0.0.1:0", "--history", "none")

        usual = os.path.join(os.environ["XDG_RUNTIME_DIR"], "squall", "ctl.sock")
        code, said = ctl("members")
        self.assertEqual((code, usual in said), (69, True), said)
        first = serve()
        self.assertEqual(stat.S_IMODE(os.stat(usual).st_mode), 0o600)
        self.assertEqual(ctl("members")[0], 0)
        second = serve()
        code, said = ctl("members")
        self.assertEqual(code, 2)
        self.assertIn(str(first.pid), said)
        self.assertIn(str(second.pid), said)
        self.assertEqual(ctl("stats", "--node", str(second.pid))[0], 0)
        self.assertEqual(ctl("stats", "--node", "1")[0], 69)
        first.kill()
        self.assertEqual(ctl("stats")[0], 0, "a dead node's socket is none")
        third = serve()
        until(lambda: f"reaches this node at {usual}\n" in third.log(), "it has the dead one's place")

    @needs_root
    def test_another_user_may_give_no_orders(self):
        node = self.chat()
        os.chmod(os.path.dirname(node.control), 0o755)
        os.chmod(node.control, 0o777)
        directory = self.directory()
        os.chmod(directory, 0o755)
        program = shutil.copy(SQUALL, directory)
        done = subprocess.run([program, "ctl", "--socket", node.control, "stop"], user=NOBODY, group=NOBODY, cwd="/",
                              extra_groups=[], capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"user {NOBODY} may give no orders", done.stderr)
        self.assertIsNone(node.process.poll())

    def test_under_nohup_a_hangup_changes_nothing(self):
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            node = self.chat()
        finally:
            signal.signal(signal.SIGHUP, before)
        os.kill(node.pid, signal.SIGHUP)
        self.member(node)
        self.assertEqual(node.stop(), 0)

    def test_a_node_outlives_whoever_reads_its_log(self):
        control = os.path.join(self.directory(), "ctl.sock")
        command = [SQUALL, "serve", "chat", "--on", "udp://127.0.0.1:0", "--history", "none", "--control", control]
        node = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(node.communicate)
        self.addCleanup(node.kill)
        node.control = control
        node.stdout.readline()
        address = re.search(rb"udp://(\S+):(\d+)", node.stdout.readline())
        until(lambda: b"reaches this node" in node.stderr.readline(), "the node runs")
        node.stderr.close()
        udp = self.udp((address[1].decode(), int(address[2])))
        udp.send(b"hello")
        self.assertEqual(udp.recv(2000), b"ack hello")
        self.assertEqual(self.ctl(node, "kick", "~1")[0], 0)
        # What the log tells of that it tells within a second; the end of the node, too.
        self.assertEqual(self.ctl(node, "stop"), (0, "", ""))
        self.assertEqual(node.wait(PATIENCE), 0)

    def test_orders_are_taken_again_after_descriptors_ran_out(self):
        node = self.chat()
        limits = resource.prlimit(node.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        # The wait for the first one has its descriptor already.
        for _ in range(2):
            operator = socket.socket(socket.AF_UNIX)
            self.addCleanup(operator.close)
            operator.settimeout(PATIENCE)
            operator.connect(node.control)
            operator.sendall(b'{"do":"node"}\n')
        until(lambda: "no orders can be taken now" in node.log(), "the log says so")
        resource.prlimit(node.pid, resource.RLIMIT_NOFILE, limits)
        self.assertIn(f'"pid":{node.pid},'.encode(), operator.recv(2000))

    def test_a_stream_of_counts_ends_with_the_node(self):
        node = self.chat()
        watch = subprocess.Popen([SQUALL, "ctl", "--socket", node.control, "stats", "--watch", "--json"],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        first = json.loads(watch.stdout.readline())
        second = json.loads(watch.stdout.readline())
        self.assertGreater(second["elapsed"], first["elapsed"])
        node.stop()
        _, err = watch.communicate(timeout=PATIENCE)
        self.assertEqual(watch.returncode, 69, err)

    def test_worker_processes_leave_the_chat_to_their_parent(self):
        directory = self.directory()
        control = os.path.join(directory, "ctl.sock")
        text = ('model = "processes:2"\n[[service]]\nname = "length"\non = ["udp://127.0.0.1:0"]\n'
                '[[service]]\nname = "chat"\non = ["udp://127.0.0.1:0"]\n[service.chat]\nhistory = "none"\n')
        node = self.node("--config", self.config(text), "--control", control)
        node.control = control
        self.assertEqual(self.ask(node.address("length")), b"Your data was 5 bytes long")
        one, other = self.member(node), self.member(node)
        self.assertEqual(one.recv(2000), b"ack hello")
        self.assertEqual(self.stats(node)["members"], 2)
        self.assertEqual(node.stop(), 0)
        self.assertEqual(other.recv(2000), b"bye bye")
        self.assertRegex(node.last_line(), r"answered 1 request .*; silent to 2 requests .*; chat: 2 joins, 2 messages delivered 3 times")


class Kept(ChatCase):
    def test_what_was_said_is_there_after_a_restart(self):
        data = self.directory()
        node = self.chat("--data", data, history=None)
        until(lambda: f"kept in {data}/chat.db\n" in node.log(), "the place is shown")
        udp = self.member(node, b"the meeting is at nine", name="bob")
        self.assertEqual(node.stop(), 0)
        self.assertEqual(udp.recv(2000), b"bye bye")
        node = self.chat("--data", data, history=None)
        udp = self.udp(node.address())
        for command, first in ((b"/last 5", rb"^\* last lobby messages=1\b"), (b"/find meeting", rb"^\* found lobby messages=1\b")):
            udp.send(command)
            lines = udp.recv(2000).split(b"\n")
            self.assertRegex(lines[0], first)
            self.assertRegex(lines[1], rb"^\* said #1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ bob: the meeting is at nine$")
        udp.send(b"and the next")
        self.assertEqual(udp.recv(2000), b"ack and the next")
        udp.send(b"/last #1")
        self.assertIn(b"* said #2 ", udp.recv(2000))

    def test_nothing_is_kept_without_a_history(self):
        node = self.chat(history="none")
        udp = self.member(node)
        udp.send(b"/last")
        self.assertEqual(udp.recv(2000), b"! last: nothing is kept here")
        self.assertEqual(os.listdir(node.data), [])

    def test_a_data_directory_in_use_is_refused_with_the_process(self):
        data = self.directory()
        node = self.chat("--data", data, history=None)
        done = subprocess.run([SQUALL, "serve", "chat", "--on", "udp://127.0.0.1:0", "--data", data],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(f"{data} is in use by process {node.pid}", done.stderr)
        node.kill()
        self.chat("--data", data, history=None)

    def test_a_data_directory_that_cannot_be_written_means_memory_only_and_is_said(self):
        file = os.path.join(self.directory(), "file")
        pathlib.Path(file).write_text("no directory")
        node = self.chat("--data", file, history=None)
        self.assertRegex(node.log(), r"ERROR .*kept in memory only until the node is started again, .*file cannot be written")
        udp = self.member(node)
        udp.send(b"/last")
        self.assertIn(b"* last lobby messages=1", udp.recv(2000))

    def test_a_history_that_is_none_is_set_aside_and_a_new_one_begun(self):
        data = self.directory()
        pathlib.Path(data, "chat.db").write_bytes(os.urandom(8192))
        node = self.chat("--data", data, history=None)
        self.assertRegex(node.log(), r"ERROR .*chat\.db cannot be used \(.*\); it is .*chat\.db\.corrupt-\S+ now, and a new one is begun")
        self.assertEqual(len([name for name in os.listdir(data) if ".corrupt-" in name]), 1)
        udp = self.member(node)
        udp.send(b"/last")
        self.assertIn(b"* last lobby messages=1", udp.recv(2000))


del ChatCase
