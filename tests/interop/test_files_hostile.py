"""What cannot be sent, cannot be taken or must not be: it is told at both sides, and all else arrives."""

import os
import pathlib
import shutil
import subprocess
import threading

from files import MEGABYTE, POWERLESS, STAGING, FilesCase, random_bytes
from harness import needs_root, own_disk, until


class FilesHostile(FilesCase):
    def refused(self, receiver, *arguments, **options):
        """What a sender was refused, by name, as both sides told it; the rest is to arrive."""
        sender = self.send(receiver, *arguments, "--json", code=1, **options)
        self.assertEqual(sender.end()["result"], "complete")
        failed = self.by_name(sender.events("failed"))
        until(receiver.sessions_over, "the receiver knows that it is over")
        return failed, self.by_name(receiver.events("refused"))

    @staticmethod
    def by_name(events):
        path = lambda event: bytes.fromhex(event["path_hex"]) if "path_hex" in event else os.fsencode(event["path"])
        return {os.path.basename(path(event)): (event["reason"], event["text"]) for event in events}

    def test_what_is_no_file_is_not_sent_and_nothing_waits_for_it(self):
        receiver = self.receiver()
        tree = self.file("tree/file", b"file").parent
        os.mkfifo(tree / "pipe")
        (tree / "loop").symlink_to("loop")
        for path, says in [
            (tree / "pipe", "a pipe is not sent"),
            ("/dev/zero", "a device is not sent"),
            (tree / "loop", "too many levels of symbolic links"),
            (tree / "none", "no such file or directory"),
            ("/", "has no name"),
        ]:
            with self.subTest(says):
                sender = self.send(receiver, path, tree / "file", code=1)
                self.assertRegex(sender.err(), rf"(?m)^squall: {path}: .*{says}")
                self.assertIn("1 failed", sender.out())
        self.assertEqual((self.inbox / "file").read_bytes(), b"file")
        failed, _ = self.refused(receiver, tree)
        self.assertEqual({name: reason for name, (reason, _) in failed.items()}, {b"pipe": "other-kind"})
        self.assertEqual(os.readlink(self.inbox / "tree/loop"), "loop")

    def test_names_with_control_characters_are_refused_unless_the_receiver_takes_any(self):
        receiver = self.receiver()
        odd = [b"new\nline", b"\x1b[2Jclear", b"tab\t", "right\u202eto left".encode()]
        for name in (*odd, b"good"):
            self.file(b"tree/" + name, b"content of it")
        tree = self.source / "tree"
        failed, refused = self.refused(receiver, tree)
        self.assertEqual(set(failed), set(odd))
        self.assertEqual(failed, refused)
        self.assertEqual({reason for reason, _ in failed.values()}, {"name"})
        self.assertEqual(os.listdir(self.inbox / "tree"), ["good"])
        receiver.stop()
        # What people see of them.
        receiver = self.receiver("-v", as_json=False)
        told = self.send(receiver, tree, "-v", code=1).err()
        until(lambda: "refused;" in receiver.out(), "it tells what came")
        for text in (told, receiver.out()):
            self.assertEqual([sign for sign in text if (sign < " " and sign != "\n") or sign == "\u202e"], [])
            self.assertEqual(text.count("--any-names"), len(odd))
        receiver.stop()
        self.send(self.receiver("--any-names"), tree)
        self.assert_same(tree, self.inbox / "tree")

    def test_the_longest_name_arrives_and_a_path_beyond_the_systems_limit_is_told(self):
        receiver = self.receiver()
        self.file("tree/" + "n" * 255, b"longest")
        self.file("tree/ordinary", b"ordinary")
        home = os.open(".", os.O_RDONLY)
        self.addCleanup(os.close, home)
        os.chdir(self.source / "tree")
        try:
            for _ in range(20):
                os.mkdir("d" * 250)
                os.chdir("d" * 250)
            pathlib.Path("beneath").write_bytes(b"beneath")
        finally:
            os.fchdir(home)
        self.addCleanup(subprocess.run, ["rm", "-rf", str(self.source), str(self.inbox)])
        sender = self.send(receiver, self.source / "tree", code=1)
        self.assertIn("file name too long", sender.err())
        self.assertEqual((self.inbox / "tree" / ("n" * 255)).read_bytes(), b"longest")
        self.assertEqual((self.inbox / "tree/ordinary").read_bytes(), b"ordinary")

    def test_a_tree_that_is_too_deep_is_told_and_what_is_beside_it_arrives(self):
        receiver = self.receiver()
        self.file("tree/" + "d/" * 300 + "beneath", b"beneath")
        self.file("tree/d/beside", b"beside")
        failed, _ = self.refused(receiver, self.source / "tree", self.file("after", b"after"))
        self.assertTrue(failed)
        self.assertEqual((self.inbox / "tree/d/beside").read_bytes(), b"beside")
        self.assertEqual((self.inbox / "after").read_bytes(), b"after")

    def test_links_that_lead_out_are_refused_and_none_is_written_through(self):
        outside = pathlib.Path(self.directory())
        (outside / "file").write_bytes(b"outside")
        receiver = self.receiver()
        tree = self.file("tree/in/good", b"good").parent.parent
        out = {b"absolute": "/etc/passwd", b"up": "../../x", b"winding": "in/../../../x"}
        for name, target in out.items():
            os.symlink(target, os.fsencode(tree) + b"/" + name)
        failed, refused = self.refused(receiver, tree)
        self.assertEqual((set(failed), failed), (set(out), refused))
        self.assertEqual({reason for reason, _ in failed.values()}, {"link"})
        self.assertEqual(sorted(os.listdir(self.inbox / "tree")), ["in"])
        # One that somebody put there: in place of a directory, and of a file.
        shutil.rmtree(self.inbox / "tree/in")
        (self.inbox / "tree/in").symlink_to(outside)
        (self.inbox / "file").symlink_to(outside / "file")
        path = self.file("file", b"from the sender")
        failed, _ = self.refused(receiver, path)
        self.assertEqual(failed[b"file"][0], "exists")
        failed, _ = self.refused(receiver, tree, path, "--force")
        self.assertIn(b"in", failed)
        self.assertEqual(os.listdir(outside), ["file"])
        self.assertEqual((outside / "file").read_bytes(), b"outside")
        self.assertFalse((self.inbox / "file").is_symlink())
        self.assertEqual((self.inbox / "file").read_bytes(), b"from the sender")
        receiver.stop()
        (self.inbox / "tree/in").unlink()
        self.send(self.receiver("--unsafe-links"), tree)
        self.assert_same(tree, self.inbox / "tree")

    def test_the_receivers_own_directory_is_nobodys_to_write(self):
        receiver = self.receiver()
        self.file(f"{STAGING}/lock", b"mine now")
        self.file("tree/file", b"content")
        self.file(f"tree/{STAGING}/file", b"what is on its way here is nobody else's")
        failed, refused = self.refused(receiver, self.source / STAGING, self.source / "tree")
        self.assertEqual(failed[os.fsencode(STAGING)][0], "name")
        self.assertNotEqual((self.inbox / STAGING / "lock").read_bytes(), b"mine now")
        self.assertEqual(os.listdir(self.inbox / "tree"), ["file"])

    def test_a_directory_that_is_sent_into_itself_comes_to_an_end(self):
        self.file("../inbox/file", b"content")
        receiver = self.receiver()
        sender = self.sending(receiver, self.inbox, "--json")
        try:
            self.assertIn(sender.wait(10), (0, 1))
            self.assertLess(len(list(self.inbox.rglob("file"))), 3)
        finally:
            sender.kill()
            receiver.kill()

    def test_what_cannot_be_read_is_told_and_the_rest_arrives(self):
        receiver = self.receiver()
        self.file("tree/secret", b"secret", mode=0)
        self.file("tree/large secret", bytes(2 * MEGABYTE), mode=0)
        closed = self.file("tree/closed/file").parent
        self.file("tree/open", b"open")
        closed.chmod(0)
        self.addCleanup(closed.chmod, 0o700)
        sender = self.send(receiver, self.source / "tree", "--json", code=1, before=POWERLESS)
        failed = self.by_name(sender.events("failed"))
        self.assertEqual(set(failed), {b"secret", b"large secret", b"closed"})
        for name, (reason, text) in failed.items():
            with self.subTest(name):
                self.assertIn("cannot be read: permission denied", text)
                self.assertEqual(reason, "permission")
        self.assertEqual((sender.end()["stored"], sender.end()["failed"]), (1, 3))
        self.assertEqual(os.listdir(self.inbox / "tree"), ["open"])

    def test_a_directory_that_cannot_be_written_is_told_and_the_rest_arrives(self):
        before = self.inbox / "tree/locked"
        before.mkdir(parents=True)
        receiver = self.receiver(before=POWERLESS)
        self.file("tree/open", b"open")
        self.file("tree/locked", b"a directory has that name there")
        self.file("file/within", b"a file has that name there")
        (self.inbox / "file").write_bytes(b"there")
        failed, refused = self.refused(receiver, self.source / "tree", self.source / "file", "--force")
        self.assertEqual({name: reason for name, (reason, _) in failed.items()},
                         {b"locked": "other-kind", b"file": "other-kind", b"within": "other-kind"})
        self.assertEqual(failed, refused)
        self.assertEqual((self.inbox / "tree/open").read_bytes(), b"open")
        self.assertEqual((self.inbox / "file").read_bytes(), b"there")
        receiver.stop()
        # Nothing can be written at all.
        self.inbox.chmod(0o500)
        self.addCleanup(self.inbox.chmod, 0o700)
        refused = subprocess.run([*POWERLESS, "squall", "receive", self.inbox, "--on", "127.0.0.1:0"], text=True,
                                 env=self.environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)
        self.assertEqual((refused.returncode, refused.stdout), (1, ""))
        self.assertRegex(refused.stderr.lower(), f"^squall: cannot receive into {self.inbox}.*permission denied")

    def test_a_directory_that_turns_read_only_is_told_at_both_sides(self):
        receiver = self.receiver(before=POWERLESS)
        paths = [self.file("small", b"small"), self.file("large", random_bytes(2 * MEGABYTE))]
        for closed in (self.inbox, self.inbox / STAGING):
            with self.subTest(closed.name):
                mode = closed.stat().st_mode & 0o777
                closed.chmod(0o500)
                try:
                    failed, refused = self.refused(receiver, *paths)
                finally:
                    closed.chmod(mode)
                self.assertEqual(set(failed), {b"small", b"large"})
                self.assertEqual({name: refused.get(name) for name in failed}, failed)
                for reason, text in failed.values():
                    self.assertEqual(reason, "permission")
                    self.assertIn("permission denied", text)
                self.assertEqual(os.listdir(self.inbox), [STAGING])
        self.send(receiver, *paths)
        for path in paths:
            self.assert_same(path, self.inbox / path.name)

    @needs_root
    def test_a_full_disk_is_told_and_what_fits_arrives_and_later_the_rest(self):
        receiver = self.receiver(preexec_fn=own_disk(self.inbox, 8 * MEGABYTE))
        seen = pathlib.Path(f"/proc/{receiver.process.pid}/root{self.inbox}")
        mount = ["nsenter", "-t", str(receiver.process.pid), "-m", "mount", "-o"]
        large = self.file("large", random_bytes(20 * MEGABYTE))
        before, behind = self.file("before/file", b"before").parent, self.file("behind/file", b"behind").parent
        failed, refused = self.refused(receiver, before, large, behind)
        with self.subTest("what does not fit"):
            self.assertEqual({name: reason for name, (reason, _) in failed.items()}, {b"large": "space"})
            self.assertIn("no space left on device", failed[b"large"][1])
            self.assertEqual(failed, refused)
        with self.subTest("what fits"):
            for name in ("before", "behind"):
                self.assertEqual((seen / name / "file").read_bytes(), name.encode())
        self.assertFalse((seen / "large").exists())
        with self.subTest("what did not fit gives way to what does"):
            other = self.file("other", random_bytes(3 * MEGABYTE))
            self.send(receiver, other)
            self.assertEqual((seen / "other").read_bytes(), other.read_bytes())
        # Somebody makes room.
        self.assertEqual(subprocess.run([*mount, "remount,size=64m", str(self.inbox)]).returncode, 0)
        self.send(receiver, before, large, behind, "--json")
        self.assertEqual((seen / "large").read_bytes(), large.read_bytes())
        self.assertEqual([name for name in os.listdir(seen / STAGING) if name != "lock"], [])

    def test_a_file_that_never_stops_changing_is_told_and_does_not_get_its_name(self):
        receiver = self.receiver()
        paths = [self.file("small", b"0" * 20000), self.file("large", random_bytes(3 * MEGABYTE))]
        growing, quiet = (self.file(name, random_bytes(2 * MEGABYTE)) for name in ("growing", "quiet"))
        is_over = threading.Event()

        def change():
            files = [open(path, "r+b", buffering=0) for path in paths]
            log = open(growing, "ab", buffering=0)
            number = 0
            while not is_over.is_set():
                number += 1
                for file in files:
                    os.pwrite(file.fileno(), b"%09d" % number, number % 10000)
                log.write(b"%09d" % number)
                is_over.wait(0.0001)
            for file in (*files, log):
                file.close()

        changing = threading.Thread(target=change)
        changing.start()
        self.addCleanup(changing.join)
        self.addCleanup(is_over.set)
        sender = self.send(receiver, *paths, growing, quiet, "--json", code=1)
        failed = self.by_name(sender.events("failed"))
        # A small one is read in a moment.
        failed.pop(b"small", None)
        self.assertEqual({name: reason for name, (reason, _) in failed.items()},
                         {b"large": "content", b"growing": "content"})
        for _, text in failed.values():
            self.assertIn("change", text)
        self.assertEqual(set(os.listdir(self.inbox)) - {STAGING, "small"}, {"quiet"})
        self.assert_same(quiet, self.inbox / "quiet")
        until(receiver.sessions_over, "the receiver knows that it is over")
        went = receiver.events("went")[0]
        self.assertEqual(went["refused"] + went["withdrawn"], len(sender.events("failed")))
        # When they rest they arrive.
        is_over.set()
        changing.join()
        self.send(receiver, *paths, growing, quiet, "--force")
        for path in (*paths, growing):
            self.assert_same(path, self.inbox / path.name)

    def test_files_that_vanish_or_shrink_while_they_wait_are_told_and_the_rest_arrives(self):
        receiver = self.receiver()
        first = self.file("a first one", random_bytes(4 * MEGABYTE))
        going = [self.file(f"later/{number}", random_bytes(2 * MEGABYTE, number)) for number in range(30)]
        sender = self.sending(receiver, first, first.parent / "later", "--limit", "20MB/s", "--json")
        until(lambda: (self.inbox / "later").exists(), "it has begun with them")
        for path in going[::2]:
            path.unlink()
        os.truncate(going[1], 1000)
        self.assertEqual(sender.wait(), 1, sender.err())
        failed = self.by_name(sender.events("failed"))
        self.assertGreater(len(failed), 5)
        for _, text in failed.values():
            self.assertIn("it is gone", text)
        for path in going[1::2]:
            self.assert_same(path, self.inbox / "later" / path.name)
        for name, (_, text) in failed.items():
            self.assertFalse(os.path.exists(os.fsencode(self.inbox / "later") + b"/" + name))
        until(receiver.sessions_over, "the receiver knows that it is over")
        self.assertEqual(receiver.events("went")[0]["withdrawn"], len(failed))
