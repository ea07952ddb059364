"""Transfers through bad weather, over a change of address, and what people see of one on a terminal."""

import json
import re
import signal
import time

from files import MEGABYTE, STAGING, FilesCase, Program, random_bytes
from harness import SQUALL, needs_hosts, until
from terminal import Pane, needs_tmux


class FilesInWeather(FilesCase):
    def relay(self, receiver, weather, seed):
        """Weather in front of a receiver; returns where it is and the relay."""
        command = [SQUALL, "relay", "--on", "udp://127.0.0.1:0", "--to", f"udp://{receiver.to}", "--json",
                   "--weather", weather, "--seed", str(seed)]
        relay = Program(self, command)
        until(lambda: "\n" in relay.out(), "the relay listens")
        listening = json.loads(relay.out().splitlines()[0])["listening"][0]
        return listening.removeprefix("udp://"), relay

    def test_loss_duplicates_disorder_and_corruption_change_nothing_of_the_content(self):
        receiver = self.receiver()
        self.file("tree/large", random_bytes(6 * MEGABYTE))
        for number in range(100):
            self.file(f"tree/many/{number}", random_bytes(100 * number, number))
        self.file("tree/empty")
        tree = self.source / "tree"
        to, relay = self.relay(receiver, "loss=30%,duplicate=5%,reorder=10%,corrupt=1%", 11)
        sender = self.send_to(to, tree, "--pin", receiver.key, "--token", receiver.token, "--json", patience=40)
        self.assert_same(tree, self.inbox / "tree")
        self.assertEqual(sender.events("lost"), [])
        # None of it is sent twice by the transfer: what QUIC repeats is no content anew.
        self.assertEqual(sender.end()["sent"], sum(one.stat().st_size for one in tree.rglob("*") if one.is_file()))
        relay.stop()
        counts = json.loads(relay.out().splitlines()[-1])
        for what in ("corrupted", "duplicated", "reordered"):
            self.assertGreater(counts["up"][what], 0, what)
        self.assertGreater(counts["up"]["dropped"]["loss"], counts["up"]["received"] // 5)

    def test_a_path_that_is_gone_for_a_while_is_waited_for(self):
        receiver = self.receiver()
        path = self.file("large", random_bytes(8 * MEGABYTE))
        to, relay = self.relay(receiver, "rate=40mbit,delay=10ms,blackout=700ms+2s", 3)
        sender = self.send_to(to, path, "--pin", receiver.key, "--token", receiver.token, "--json", patience=40)
        self.assert_same(path, self.inbox / "large")
        self.assertEqual((sender.events("lost"), sender.end()["kept"]), ([], 0))
        # 1.6 s of road, 2 s of silence, and what QUIC needs to find out that it is over.
        self.assertLess(sender.end()["seconds"], 8)
        relay.stop()
        self.assertGreater(json.loads(relay.out().splitlines()[-1])["up"]["dropped"]["blackout"], 0)

    @needs_hosts
    def test_a_sender_whose_address_changes_goes_on_within_two_seconds(self):
        near, far = self.host("near"), self.host("far")
        _, cable = near.connect_to(far, ["10.77.0.1/24"], ["10.77.0.2/24"])
        receiver = self.receiver(host=near, on="10.77.0.1:0")
        path = self.file("large", random_bytes(20 * MEGABYTE))
        sender = self.sending(receiver, path, "--limit", "5MB/s", "--json", host=far)

        def arrived():
            """Bytes on the receiver's disk."""
            files = [*(self.inbox / STAGING).glob("*"), *self.inbox.glob("large")]
            return max((file.stat().st_blocks * 512 for file in files), default=0)

        until(lambda: arrived() > 4 * MEGABYTE, "it is under way")
        far.ip("address", "del", "10.77.0.2/24", "dev", cable)
        far.ip("address", "add", "10.77.0.3/24", "broadcast", "+", "dev", cable)
        grown, last, longest = arrived(), time.monotonic(), 0.0
        def is_over():
            nonlocal grown, last, longest
            now, bytes_now = time.monotonic(), arrived()
            longest = max(longest, now - last)
            if bytes_now != grown:
                grown, last = bytes_now, now
            return sender.has_ended() or longest > 10
        until(is_over, "it is over", 40)
        self.assertLess(longest, 2, "no longer interruption")
        self.ended(sender)
        self.assert_same(path, self.inbox / "large")
        self.assertEqual((sender.events("lost"), sender.end()["sent"]), ([], 20 * MEGABYTE))
        until(receiver.sessions_over, "the receiver knows that it is over")
        self.assertRegex(receiver.events("came")[0]["peer"], r"^10\.77\.0\.2:")
        self.assertRegex(receiver.events("went")[0]["peer"], r"^10\.77\.0\.3:")


@needs_tmux
class FilesOnATerminal(FilesCase):
    def pane(self, receiver, *arguments, options=()):
        proof = [receiver.to, "--pin", receiver.key, "--token", receiver.token]
        home = {name: self.environment[name] for name in ("HOME", "XDG_CONFIG_HOME")}
        command = [SQUALL, "send", *map(str, arguments), *proof, "--limit", "2MB/s", *options]
        return Pane(self, command, columns=140, **home)

    def test_progress_shows_part_rate_and_time_left_and_goes_when_it_is_over(self):
        receiver = self.receiver()
        self.file("tree/large", random_bytes(5 * MEGABYTE))
        self.file("tree/small", b"small")
        pane = self.pane(receiver, self.source / "tree")
        progress = r"^.* (\d+) % [\d.]+ \w+ of 4.77 MiB, [\d.]+ \w+/s, \d+s left, 1 of 2 files: \d+ % large"
        pane.shows(progress)
        screen = pane.shows("ended with 0", "^icanon")
        self.assertRegex(screen, r"(?m)^2 files stored; 4.77 MiB sent in \d\.\d s")
        self.assertNotIn(" % ", screen)

    def test_ctrl_c_leaves_the_terminal_clean(self):
        receiver = self.receiver()
        path = self.file("large", random_bytes(12 * MEGABYTE))
        pane = self.pane(receiver, path, options=["--verbose"])
        pane.shows(r"[1-9]\d* % .*/s, .* left")
        pane.keys("C-c")
        screen = pane.shows("interrupted; the same command resumes it", "ended with 130", "^icanon")
        # The last progress may stay above, as the terminal's ^C has moved on from it, but nothing is drawn below.
        lines = [line for line in screen.splitlines() if line]
        self.assertEqual(lines[-3:], ["squall: interrupted; the same command resumes it", "ended with 130", "icanon"])
        self.assertLessEqual(screen.count(" left"), 1)
        self.assertTrue(pane.cursor_is_shown())

    def test_rate_and_time_left_of_a_resumed_transfer_are_of_what_is_sent_now(self):
        receiver = self.receiver()
        path = self.file("large", random_bytes(20 * MEGABYTE))
        sender = self.sending(receiver, path, "--limit", "40MB/s")
        staging = self.inbox / STAGING
        until(lambda: sum(one.stat().st_blocks for one in staging.glob("*")) * 512 > 10 * MEGABYTE, "half is there")
        sender.stop(signal.SIGINT)
        pane = self.pane(receiver, path)
        screen = pane.shows(r"[6-9]\d % .*/s, .* left")
        rate, unit = re.search(r"MiB, ([\d.]+) (\w+)/s", screen).groups()
        self.assertLess(float(rate) * {"KiB": 2**10, "MiB": 2**20}[unit], 2 * 2 * MEGABYTE, screen)

    def test_names_of_the_tree_cannot_write_on_the_terminal(self):
        receiver = self.receiver("--any-names")
        self.file(b"tree/large\x1b[2J\x1b]0;owned\x07", random_bytes(4 * MEGABYTE))
        self.file(b"tree/\x9b31m\xe2\x80\xaesmall", b"small")
        pane = self.pane(receiver, self.source / "tree", options=["--verbose"])
        pane.shows(r"files: \d+ % large")
        screen = pane.shows("ended with 0", "2 files stored")
        self.assertIn("small", screen)
        self.assertNotIn("owned", pane.title())
