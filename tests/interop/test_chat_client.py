"""`squall chat` on a terminal, beside the node and beside an old client: what is on the screen."""

import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import termios

from harness import PATIENCE, SQUALL, TestCase, until
from terminal import Pane, needs_tmux


@needs_tmux
class Terminal(TestCase):
    def hub(self, *arguments, udp=0, tcp=0, data=None):
        history = ["--data", data] if data else ["--history", "memory"]
        control = os.path.join(self.directory(), "ctl.sock")
        on = ["--on", f"udp://127.0.0.1:{udp}", "--on", f"tcp://127.0.0.1:{tcp}"]
        return self.node("chat", *on, *history, "--control", control, *arguments)

    def client(self, node, name, *arguments, transport="udp", **options):
        uri = node.row("chat", transport).uri
        pane = Pane(self, [SQUALL, "chat", uri, "--name", name, *arguments], **options)
        pane.shows("● online")
        return pane

    def test_two_terminals_and_an_old_client_hold_a_conversation(self):
        node = self.hub()
        alice = self.client(node, "alice")
        bob = self.client(node, "bob", transport="tcp")
        old = self.udp(node.address("chat"))
        old.send(b"hello from nc")
        self.assertEqual(old.recv(2000), b"ack hello from nc")
        for pane in (alice, bob):
            pane.shows(r"~\d+  hello from nc", r"│ 3 here")
        alice.say("hello bob")
        alice.shows(r"✓ +alice  hello bob")
        bob.shows(r"  +alice  hello bob")
        self.assertEqual(old.recv(2000), b"ack alice: hello bob")
        bob.say("你好 👋")
        alice.shows(r"bob  你好 👋")
        self.assertEqual(old.recv(2000), "ack bob: 你好 👋".encode())
        bob.say("/quit")
        bob.shows("ended with 0", "^icanon")
        alice.shows("bob left", "│ 2 here")

    def test_what_was_said_while_the_hub_was_gone_and_killed_is_shown(self):
        data = self.directory()
        node = self.hub(data=data)
        port = node.address("chat")[1]
        alice = self.client(node, "alice")
        alice.say("before the storm")
        alice.shows("✓ +alice  before the storm")
        # Its batch is written, and then it is killed.
        last = lambda: b"before the storm" in self.ask(node.address("chat"), b"/last 5")
        until(last, "the history has it")
        node.kill()
        again = self.hub(udp=port, data=data)
        # It speaks to an old client before alice has found out.
        old = self.udp(again.address("chat"))
        old.send(b"/name carol\nsaid meanwhile")
        alice.shows("the hub was started anew", "carol  said meanwhile", "before the storm", patience=60)
        self.assertEqual(alice.screen().count("before the storm"), 1)
        alice.say("back again")
        alice.shows("✓ +alice  back again")

    def test_a_hub_that_shuts_down_is_told_and_found_again(self):
        node = self.hub()
        port = node.row("chat", "tcp").port
        alice = self.client(node, "alice", transport="tcp")
        node.stop()
        alice.shows("lost the hub", "○ again in|○ trying")
        alice.say("is anybody there?")
        alice.shows("… +alice  is anybody there")
        self.hub(tcp=port)
        alice.shows("● online", "✓ +alice  is anybody there", patience=60)

    def test_a_hub_over_udp_is_found_again_after_several_attempts(self):
        node = self.hub()
        port = node.address("chat")[1]
        alice = self.client(node, "alice")
        alice.shows("● online")
        node.stop()
        # The waits are 1 s, 2 s, 4 s, and up to a half more.
        alice.shows("again in [456] s · no hub listens there", patience=60)
        self.hub(udp=port)
        alice.shows("● online", patience=60)
        alice.say("found again")
        alice.shows("✓ +alice  found again")

    def test_pasted_lines_wait_and_are_a_message_each(self):
        node = self.hub()
        alice = self.client(node, "alice")
        alice.paste("one\ntwo\n\tthree")
        alice.shows("^> one", "^  two", "^   three")
        self.assertNotIn("alice  one", alice.screen())
        alice.keys("Enter")
        alice.shows("✓ +alice  one", "✓ +alice  two", "✓ +alice  three")

    def test_keys_edit_recall_and_complete(self):
        node = self.hub()
        alice = self.client(node, "alice")
        self.client(node, "bertram")
        alice.shows("│ 2 here")
        alice.type("bert")
        alice.keys("Tab")
        alice.type("hello wold")
        alice.keys("BSpace", "BSpace", "BSpace", "C-e")
        alice.type("orld")
        alice.shows("^> bertram, hello world")
        alice.keys("C-w", "C-y", "C-a")
        alice.type("dear ")
        alice.keys("Enter")
        alice.shows("✓ +alice  dear bertram, hello world", "^>$")
        alice.keys("Up")
        alice.shows("^> dear bertram, hello world")
        alice.keys("C-u")
        alice.shows("^>$")

    def test_scrolling_back_holds_and_tells_what_is_new(self):
        node = self.hub()
        alice = self.client(node, "alice")
        old = self.udp(node.address("chat"))
        for number in range(60):
            old.send(f"line {number} of many".encode())
        alice.shows("line 59 of many")
        alice.keys("PPage")
        held = alice.shows("↓ .* below · Esc")
        old.send(b"the newest")
        alice.shows("↓ 1 new · Esc")
        lines = [line for line in held.splitlines() if "of many" in line]
        self.assertEqual([line for line in alice.screen().splitlines() if "of many" in line], lines)
        alice.keys("Escape")
        alice.shows("── new ──", "the newest")

    def test_every_size_can_be_drawn_and_used(self):
        node = self.hub()
        alice = self.client(node, "alice")
        for columns, rows in ((20, 5), (30, 8), (200, 50), (64, 10), (90, 20)):
            alice.resize(columns, rows)
            fits = lambda: "● online" in alice.screen().splitlines()[rows - 1]
            until(fits, f"the last of {rows} rows tells how it stands")
            alice.say(f"at {columns}")
            alice.shows(f"at {columns}")
        alice.shows("│ 1 here")

    def test_rooms_are_gone_to_and_what_is_new_in_them_is_marked(self):
        node = self.hub()
        alice = self.client(node, "alice", rows=24)
        bob = self.client(node, "bob")
        alice.say("/join dev")
        alice.shows("^ #dev", "│ 1 here")
        bob.say("only for the lobby")
        bob.shows("✓ +bob  only for the lobby")
        # The list of rooms comes with the answer to each question for the round trip.
        alice.shows("• lobby +1 new")
        self.assertNotIn("only for", alice.screen())
        alice.say("/join lobby")
        alice.shows("^ #lobby", "only for the lobby")

    def test_a_search_finds(self):
        node = self.hub()
        alice = self.client(node, "alice")
        alice.say("the quick brown fox")
        alice.say("jumps")
        alice.shows("✓ +alice  jumps")
        def find():
            alice.say("/find quick")
            return alice.shows("have? .*quick|has .*quick|not answer|kept")
        until(lambda: "alice: the quick brown fox" in find(), "it is found")

    def test_it_stops_and_goes_on_and_ends_by_a_signal_with_the_terminal_as_it_was(self):
        node = self.hub()
        pane = Pane(self, ["bash", "--norc", "-i"])
        pane.say(f"PS1='ready> '; {SQUALL} chat {node.row('chat').uri} --name alice")
        pane.shows("● online")
        pane.keys("C-z")
        pane.shows("Stopped", "^ready>")
        pane.say("stty -a | grep -o '[-]*icanon'; fg")
        pane.shows("● online", "^>")
        pane.keys("C-l")
        pane.say("still here")
        pane.shows("✓ +alice  still here")
        program = subprocess.run(["pgrep", "-P", str(pane.pid())], capture_output=True, text=True)
        chat = int((program.stdout.split() or [pane.pid()])[0])
        os.kill(chat, signal.SIGTERM)
        pane.shows("^ready>$")
        pane.say("stty -a | grep -o '[-]*icanon'")
        pane.shows("^icanon")

    def test_a_second_signal_ends_it_though_its_terminal_takes_nothing_any_more(self):
        node = self.hub()
        ours, theirs = os.openpty()
        self.addCleanup(os.close, ours)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 200, 500, 0, 0))
        command = [SQUALL, "chat", node.row("chat").uri, "--name", "alice"]
        # Before it begins: it may have the terminal as soon as it is there.
        modes = termios.tcgetattr(theirs)
        chat = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        self.addCleanup(chat.wait)
        self.addCleanup(chat.kill)
        until(lambda: termios.tcgetattr(theirs)[3] != modes[3], "it has the terminal")
        old = self.udp(node.address("chat"))
        # Nobody reads what it draws, until the terminal takes no more.
        waiting = []
        def is_stuck():
            old.send(os.urandom(300).hex().encode())
            waiting.append(fcntl.ioctl(ours, termios.FIONREAD, bytes(4)))
            return len(waiting) > 50 and len(set(waiting[-50:])) == 1
        until(is_stuck, "its terminal is full")
        chat.send_signal(signal.SIGTERM)
        with self.assertRaises(subprocess.TimeoutExpired):
            chat.wait(0.5)
        chat.send_signal(signal.SIGTERM)
        self.assertEqual(chat.wait(PATIENCE), 130)
        self.assertEqual(termios.tcgetattr(theirs)[3], modes[3])

    def test_ctrl_c_and_ctrl_d_leave_and_the_hub_knows(self):
        node = self.hub()
        watcher = self.udp(node.address("chat"))
        watcher.send(b"/watch on")
        self.assertEqual(watcher.recv(2000), b"* watch on")
        for key in ("C-c", "C-d"):
            pane = self.client(node, "alice")
            pane.keys(key)
            pane.shows("ended with 0", "^icanon")
            until(lambda: b"* went alice quit" in watcher.recv(2000), "the hub tells that she left")

    def test_a_hub_cannot_write_on_the_terminal(self):
        hub = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(hub.close)
        hub.bind(("127.0.0.1", 0))
        hub.settimeout(PATIENCE)
        pane = Pane(self, [SQUALL, "chat", f"127.0.0.1:{hub.getsockname()[1]}", "--name", "alice"])
        token = None
        while token is None:
            datagram, peer = hub.recvfrom(2000)
            found = re.search(rb"^/me (\w+)", datagram, re.MULTILINE)
            token = found and found[1].decode()
        evil = "\x1b[2J\x1b[H\x1b]0;owned\x07\x9b31m\u202eevil\x1bc"
        lines = ["* numbers on", "* watch on", "* name alice",
                 "* me alice room=lobby number=0 member=1 via=udp peer=x idle=0.0 hub=00000000000000ff "
                 f"token={token}", f"ack #1 eve: {evil}", f"! {evil}", f"* came {evil}", evil]
        hub.sendto("\n".join(lines).encode(), peer)
        screen = pane.shows("● online", "eve .*evil")
        self.assertIn("#lobby  alice", screen.splitlines()[0])

    def test_at_rest_it_uses_next_to_no_processor_time(self):
        node = self.hub()
        alice = self.client(node, "alice")
        pid = alice.pid()
        def ticks():
            with open(f"/proc/{pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            return int(fields[11]) + int(fields[12])
        alice.shows("│ 1 here")
        before = ticks()
        # Two heartbeats and two questions are due meanwhile.
        with self.assertRaises(AssertionError):
            until(lambda: ticks() - before > 20, "a fifth of a second is used", patience=20)
