"""The plain upload wire, spoken as programs have spoken it for twenty years: content, datagram after datagram, then bye."""

import os
import pathlib
import re
import signal
import socket
import subprocess

from harness import SQUALL, TestCase, needs_hosts, needs_root, own_disk, raise_descriptor_limit, until

BYE = b"bye"


def upload(path, to, udp):
    """The sender as it always was: 1024 characters at a time, whatever they are in bytes."""
    with open(path, "r", encoding="utf-8", newline="") as file:
        text = file.read(1024)
        while text:
            udp.sendto(text.encode("utf-8"), to)
            text = file.read(1024)
    udp.sendto(b"bye", to)


def waiting(port):
    """Bytes that wait at the sockets of a port of this host."""
    total = 0
    for line in pathlib.Path("/proc/thread-self/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) == port:
            total += int(fields[4].rpartition(":")[2], 16)
    return total


class FilesPlain(TestCase):
    def setUp(self):
        self.folder = os.path.join(self.directory(), "uploads")

    def start(self, settings="", on="udp://127.0.0.1:0", arguments=(), **options):
        text = f'[[service]]\nname = "files"\non = ["{on}"]\n[service.files]\ndir = "{self.folder}"\n{settings}'
        node = self.node("--config", self.config(text), *arguments, **options)
        self.seen = pathlib.Path(self.folder)
        return node

    def kept(self):
        """What lies in the folder under final names."""
        return {file.name: file.read_bytes() for file in self.seen.iterdir() if file.name[0] != "."}

    def contents(self, count, ending=""):
        """The contents of the files whose names end so, once there are as many."""
        def found():
            names = [name for name in os.listdir(self.seen) if name[0] != "."]
            names = [name for name in names if name.endswith(".incomplete") == bool(ending)]
            return len(names) == count and sorted((self.seen / name).read_bytes() for name in names)

        return until(found, f"{count} files that end with {ending!r} are there: {self.kept().keys()}")

    def incomplete(self, count):
        return self.contents(count, ".incomplete")

    def text_file(self, text):
        path = os.path.join(self.directory(), "text")
        pathlib.Path(path).write_text(text, encoding="utf-8", newline="")
        return path

    def test_old_senders_upload_text_of_any_kind_one_file_after_the_other(self):
        to = self.start().address()
        texts = ["plain ASCII\n" * 2000, "🌧" * 3000, "ä語\r\n" * 1500, "bye\n", "x" * 1024 + "by", ""]
        for text in texts[:-1]:
            upload(self.text_file(text), to, self.udp())
        upload(self.text_file(texts[-1]), to, self.udp())
        self.assertEqual(self.contents(len(texts)), sorted(text.encode() for text in texts))
        for name in self.kept():
            self.assertRegex(name, r"^\d{8}-\d{6}-127\.0\.0\.1(-\d+)?$")
            self.assertEqual((self.seen / name).stat().st_mode & 0o777, 0o600)

    def test_one_port_sends_several_files_and_a_doubled_bye_is_no_file(self):
        to = self.start().address()
        udp = self.udp()
        for text in ("one", "two", "three"):
            upload(self.text_file(text), to, udp)
            udp.sendto(BYE, to)
        self.udp().sendto(BYE, to)
        self.assertEqual(self.contents(4), [b"", b"one", b"three", b"two"])

    def test_two_senders_at_once_do_not_mix_and_any_bytes_are_taken(self):
        to = self.start().address()
        one, two = self.udp(), self.udp()
        longest = os.urandom(65507)
        one.sendto(longest, to)
        for number in range(50):
            one.sendto(b"1" * 700, to)
            two.sendto(b"2%d" % number, to)
            until(lambda: waiting(to[1]) == 0, "the node has read it")
        one.sendto(b"\0\xff", to)
        one.sendto(BYE, to)
        two.sendto(BYE, to)
        mixed = [longest + b"1" * 35000 + b"\0\xff", b"".join(b"2%d" % number for number in range(50))]
        self.assertEqual(self.contents(2), sorted(mixed))

    def test_a_silent_sender_leaves_an_incomplete_file_and_what_it_sends_later_is_one_too(self):
        node = self.start('idle = "500ms"\n')
        to = node.address()
        udp = self.udp()
        udp.sendto(b"first half", to)
        self.assertEqual(self.incomplete(1), [b"first half"])
        udp.sendto(b"second half", to)
        udp.sendto(BYE, to)
        self.assertEqual(self.incomplete(2), [b"first half", b"second half"])
        udp.sendto(b"whole", to)
        udp.sendto(BYE, to)
        self.assertEqual(self.contents(1), [b"whole"])
        self.assertEqual(node.stop(), 0)
        self.assertRegex(node.log(), r"\.incomplete: 10 bytes from 127\.0\.0\.1:\d+ in .* its sender fell silent")

    def test_a_thousand_senders_upload_at_the_same_time(self):
        raise_descriptor_limit()
        to = self.start().address()
        senders = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(1000)]
        for sender in senders:
            self.addCleanup(sender.close)
        for part in range(3):
            for number, sender in enumerate(senders):
                sender.sendto(b"sender %d part %d\n" % (number, part), to)
                if number % 50 == 0:
                    until(lambda: waiting(to[1]) == 0, "the node has read it")
        for number, sender in enumerate(senders):
            sender.sendto(BYE, to)
            if number % 50 == 0:
                until(lambda: waiting(to[1]) == 0, "the node has read it")
        whole = [b"".join(b"sender %d part %d\n" % (number, part) for part in range(3)) for number in range(1000)]
        self.assertEqual(self.contents(1000), sorted(whole))

    def test_what_the_kernel_dropped_is_known_to_be_missing(self):
        node = self.start()
        to = node.address()
        early, late = self.udp(), self.udp()
        early.sendto(b"the beginning", to)
        until(lambda: waiting(to[1]) == 0, "the node has read it")
        with node.paused():
            # Its first datagram waits while those behind it are dropped.
            late.sendto(b"the beginning", to)
            # More than its receive buffer holds.
            for _ in range(10000):
                late.sendto(b"x" * 1024, to)
        until(lambda: waiting(to[1]) == 0, "the node has read it")
        early.sendto(BYE, to)
        late.sendto(BYE, to)
        self.incomplete(2)
        self.udp().sendto(BYE, to)
        self.assertEqual(self.contents(1), [b""], "the next one is whole")
        self.assertRegex(node.log(), r"incomplete: the kernel dropped \d+ datagrams of this or another upload")

    def test_bounds_cut_one_upload_off_and_leave_the_others(self):
        node = self.start("size = 2000\nspace = 10000\nuploads = 2\n")
        to = node.address()
        long, other, third = self.udp(), self.udp(), self.udp()
        other.sendto(b"other", to)
        for _ in range(5):
            long.sendto(b"x" * 1000, to)
        until(lambda: self.incomplete(1), "the long one ended")
        long.sendto(BYE, to)
        third.sendto(b"third", to)
        third.sendto(BYE, to)
        other.sendto(BYE, to)
        self.assertEqual(self.contents(2), [b"other", b"third"])
        self.assertEqual(self.incomplete(1), [b"x" * 2000])
        (self.seen / "of somebody else").write_bytes(b"y" * 7990)

        def filled():
            udp = self.udp()
            udp.sendto(b"z" * 1000, to)
            udp.sendto(BYE, to)
            until(lambda: waiting(to[1]) == 0, "the node has read it")
            return "the folder's space is used up" in node.log() or "nothing kept" in node.log()

        until(filled, "the folder is full")
        (self.seen / "of somebody else").unlink()
        for name in self.kept():
            (self.seen / name).unlink()

        def taken():
            udp = self.udp()
            udp.sendto(b"again", to)
            udp.sendto(BYE, to)
            until(lambda: waiting(to[1]) == 0, "the node has read it")
            return b"again" in self.kept().values()

        until(taken, "there is space again")

    @needs_root
    def test_a_full_disk_ends_one_upload_and_the_next_is_taken_when_there_is_room(self):
        os.mkdir(self.folder)
        node = self.start(preexec_fn=own_disk(self.folder, "256k"))
        self.seen = pathlib.Path(f"/proc/{node.pid}/root{self.folder}")
        to = node.address()
        small, large = self.udp(), self.udp()
        small.sendto(b"before ", to)
        for _ in range(30):
            large.sendto(b"x" * 10240, to)
            until(lambda: waiting(to[1]) == 0, "the node has read it")
        large.sendto(BYE, to)
        self.assertLess(len(self.incomplete(1)[0]), 256 * 1024)
        for name in self.kept():
            (self.seen / name).unlink()
        small.sendto(b"and behind", to)
        small.sendto(BYE, to)
        self.assertEqual(self.contents(1), [b"before and behind"])
        self.assertEqual(node.stop(), 0)
        self.assertRegex(node.log(), r"ERROR.*cannot be written.*No space left on device")
        self.assertRegex(node.log(), r"WARN.*\.incomplete: \d+ bytes .*No space left on device")

    @needs_root
    def test_a_folder_that_cannot_be_written_is_refused_or_survived(self):
        os.mkdir(self.folder)
        node = self.start(preexec_fn=own_disk(self.folder, "256k"))
        self.seen = pathlib.Path(f"/proc/{node.pid}/root{self.folder}")
        to = node.address()
        remount = ["nsenter", "-t", str(node.pid), "-m", "mount", "-o"]
        subprocess.run([*remount, "remount,ro", self.folder], check=True)
        udp = self.udp()
        udp.sendto(b"lost", to)
        udp.sendto(BYE, to)
        until(lambda: "nothing kept" in node.log(), "it is told")
        self.assertIn("Read-only file system", node.log())
        again = [SQUALL, "serve", "files", "--dir", self.folder, "--on", "udp://127.0.0.1:0"]
        refused = subprocess.run(["nsenter", "-t", str(node.pid), "-m", *again], stdin=subprocess.DEVNULL,
                                 capture_output=True, text=True)
        self.assertIn("is the folder of another node's uploads", refused.stderr)
        self.assertEqual(refused.returncode, 1)
        subprocess.run([*remount, "remount,rw", self.folder], check=True)
        udp.sendto(b"kept", to)
        udp.sendto(BYE, to)
        self.assertEqual(self.contents(1), [b"kept"])
        subprocess.run([*remount, "remount,ro", self.folder], check=True)
        directory = os.open(f"/proc/{node.pid}/ns/mnt", os.O_RDONLY)
        self.addCleanup(os.close, directory)
        self.assertEqual(node.stop(), 0)
        refused = subprocess.run(["nsenter", f"--mount=/proc/self/fd/{directory}", *again], pass_fds=[directory],
                                 stdin=subprocess.DEVNULL, capture_output=True, text=True)
        self.assertIn("cannot be written: Read-only file system", refused.stderr)
        self.assertEqual(refused.returncode, 1)

    def test_a_restart_in_the_middle_leaves_two_incomplete_files(self):
        for end in (signal.SIGTERM, signal.SIGKILL):
            with self.subTest(end.name):
                self.folder = os.path.join(self.directory(), "uploads")
                node = self.start()
                to = node.address()
                udp = self.udp()
                udp.sendto(b"before ", to)
                until(lambda: any(file.stat().st_size for file in self.seen.iterdir()), "it is written")
                self.assertEqual(node.stop(end), 0 if end == signal.SIGTERM else -9)
                node = self.start(on=f"udp://127.0.0.1:{to[1]}")
                self.assertEqual(self.incomplete(1), [b"before "])
                udp.sendto(b"behind", to)
                udp.sendto(BYE, to)
                self.udp().sendto(BYE, to)
                self.assertEqual(self.contents(1), [b""])
                self.assertEqual(self.incomplete(2), [b"before ", b"behind"])

    def test_no_link_is_followed_and_no_stranger_is_listened_to(self):
        os.symlink(self.directory(), self.folder)
        for arguments, says, code in [
            (["--dir", self.folder], "a symbolic link to one is not followed", 1),
            (["--on", "udp://:0"], "files does not listen on udp://:0: its wire cannot tell who speaks", 2),
            (["--on", "tcp://127.0.0.1:0"], "comes by UDP alone", 2),
        ]:
            refused = subprocess.run([SQUALL, "serve", "files", *arguments], stdin=subprocess.DEVNULL,
                                     capture_output=True, text=True)
            self.assertIn(says, refused.stderr)
            self.assertEqual(refused.returncode, code)

    @needs_hosts
    def test_a_trusted_network_uploads_at_any_rate_and_another_not_at_all(self):
        near, far = self.host("near"), self.host("far")
        near.connect_to(far, ["10.77.0.1/24", "10.78.0.1/24"], ["10.77.0.2/24", "10.78.0.2/24"])
        node = self.start(on="udp://:7776", arguments=["--trust-network", "10.77.0.0/24"], host=near)
        to = ("10.77.0.1", 7776)
        stranger = self.udp(host=far, bind=("10.78.0.2", 0))
        stranger.sendto(b"stranger", ("10.78.0.1", 7776))
        udp = self.udp(host=far, bind=("10.77.0.2", 0))
        # More than the rate limit of the other services lets through at once.
        for number in range(3000):
            udp.sendto(b"%04d" % number, to)
            if number % 50 == 0:
                with near.entered():
                    until(lambda: waiting(7776) == 0, "the node has read it")
        udp.sendto(BYE, to)
        self.assertEqual(self.contents(1), [b"".join(b"%04d" % number for number in range(3000))])
        self.assertEqual(node.stop(), 0)
        self.assertEqual(list(self.kept()), [name for name in self.kept() if re.search("-10.77.0.2$", name)])
        self.assertEqual(node.counts("files").get("refused_failed"), 1)
