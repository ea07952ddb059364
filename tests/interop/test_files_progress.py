"""What `squall send` shows while it sends: on terminals of every width, and to programs."""

import shlex
import socket
import subprocess

from files import MEGABYTE, FilesCase, random_bytes
from harness import SQUALL, until
from terminal import Pane, needs_tmux

NAME = "名前の長い檔案" * 8
"""Each character takes two columns."""


class FilesProgress(FilesCase):
    def pane(self, receiver, *paths, more=("--limit", "1MB/s"), to=None, columns=80, before=""):
        """A terminal on which a sender runs."""
        words = [SQUALL, "send", *map(str, paths), to or receiver.to, "--pin", receiver.key, "--token",
                 receiver.token, *more]
        home = {"HOME": str(self.home), "XDG_CONFIG_HOME": str(self.config_home)}
        return Pane(self, ["sh", "-c", f"{before}{shlex.join(words)}"], columns, 12, **home)

    def large_files(self):
        return [self.file(f"{number}{NAME}", random_bytes(8 * MEGABYTE, number)) for number in (1, 2)]

    def lines(self, pane):
        """What the screen shows and has shown, without what the shell says behind it."""
        return [line for line in written(pane.history()) if not line.endswith("icanon")]

    def assert_one_line(self, pane, shown=Pane.history):
        """However often it is drawn again."""
        seen = set()
        def redrawn():
            lines = written(shown(pane))
            self.assertEqual(len(lines), 1, lines)
            seen.add(lines[0])
            return len(seen) > 4
        until(redrawn, "it is drawn again")

    @needs_tmux
    def test_progress_is_one_line_on_every_terminal_and_ctrl_c_leaves_nothing_of_it(self):
        receiver = self.receiver()
        files = self.large_files()
        for columns, shown in [
            (120, r"^█*░+ +\d+ % [\d.]+ MiB of 15.26 MiB, [\d.]+ .iB/s, \d+s left, 0 of 2 files: \d+ % 1名前"),
            (80, r"^█*░+ +\d+ % [\d.]+ MiB of 15.26 MiB, [\d.]+ .iB/s, \d+s left, 0 of"),
            (40, r"^ +\d+ % [\d.]+ MiB of 15.26 MiB, [\d.]+ "),
            (20, r"^ +\d+ % [\d.]+ MiB of"),
        ]:
            with self.subTest(columns=columns):
                pane = self.pane(receiver, *files, columns=columns)
                pane.shows(shown)
                self.assert_one_line(pane)
                pane.keys("C-c")
                pane.shows(r"^ended with 130")
                told = "".join(self.lines(pane))
                self.assertEqual(told, "squall: interrupted; the same command resumes itended with 130")

    @needs_tmux
    def test_a_terminal_that_becomes_narrower_and_wider_has_one_line_again(self):
        pane = self.pane(self.receiver(), *self.large_files())
        pane.shows(r"left, 0 of")
        for columns in (30, 80, 20, 100):
            pane.resize(columns, 12)
            until(lambda: len(written(pane.screen())) == 1, "one line")
            # What a terminal that breaks a line moves out of sight cannot be taken back.
            self.assert_one_line(pane, Pane.screen)

    @needs_tmux
    def test_listed_files_stand_above_the_progress_with_nothing_between_them(self):
        paths = [self.file(f"{number}{NAME[:9]}", random_bytes(MEGABYTE, number)) for number in range(4)]
        pane = self.pane(self.receiver(), *paths, more=["--limit", "1MB/s", "-v"])
        pane.shows(r"3 of 4 files")
        lines = self.lines(pane)
        self.assertEqual("".join(lines[:-1]), "".join(map(str, paths[:3])), lines)
        pane.shows(r"^ended with 0")
        lines = self.lines(pane)
        self.assertEqual("".join(lines[:-2]), "".join(map(str, paths)), lines)
        self.assertRegex(lines[-2], r"^4 files stored; 3.81 MiB sent in ")

    @needs_tmux
    def test_until_the_receiver_is_reached_and_while_it_is_away_it_says_so(self):
        receiver = self.receiver()
        files = self.large_files()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            to = f"127.0.0.1:{silent.getsockname()[1]}"
            pane = self.pane(receiver, *files, to=to)
            pane.shows(f"^connecting to {to} …$")
            self.assertEqual(len(self.lines(pane)), 1)
        pane = self.pane(receiver, *files)
        pane.shows(r"left, 0 of 2")
        receiver.stop()
        pane.shows(r"trying again$", f"^connecting to {receiver.to} …$")
        self.again(receiver)
        pane.shows(r"left, 0 of 2")
        self.assertEqual(len(self.lines(pane)), 2, self.lines(pane))

    def test_what_comes_from_standard_input_has_no_total_and_its_size_is_told_in_the_end(self):
        receiver = self.receiver()
        path = self.file("content", random_bytes(3 * MEGABYTE))
        with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
            sender = self.sending(receiver, "-", "--name", "piped", "--json", "--limit", "1MB/s", stdin=cat.stdout)
            cat.stdout.close()
        self.ended(sender)
        self.assertEqual([event["size"] for event in sender.events("stored")], [3 * MEGABYTE])
        progress = sender.events("progress")
        self.assertEqual({(event["total_files"], event["total_bytes"]) for event in progress}, {(None, None)})

    @needs_tmux
    def test_what_comes_from_standard_input_is_counted_without_a_share_of_all(self):
        path = self.file("content", random_bytes(4 * MEGABYTE))
        pane = self.pane(self.receiver(), "-", more=["--name", "piped", "--limit", "1MB/s"], before=f"cat {path} | ")
        pane.shows(r"^[\d.]+ MiB, [\d.]+ .iB/s, 0 files: [\d.]+ MiB piped")
        pane.shows(r"^1 file stored; 3.81 MiB sent in ", r"^ended with 0")
        self.assertEqual(len(self.lines(pane)), 2)


def written(text):
    """The lines that are not empty."""
    return [line for line in text.split("\n") if line.strip()]
