"""What arrives of files and directories, and the options of `squall send` that say which and how."""

import os
import pathlib
import subprocess

from files import MEGABYTE, POWERLESS, FilesCase, outline, random_bytes
from harness import PATIENCE, until


class FilesTrees(FilesCase):
    def tree(self):
        """Something of everything."""
        tree = self.source / "tree"
        self.file("tree/small", b"small", 0o640)
        self.file("tree/program", b"#!/bin/sh\n", 0o755)
        self.file("tree/secret", b"secret", 0o400)
        self.file("tree/empty")
        self.file("tree/deep/er/and/deeper/large", random_bytes(3 * MEGABYTE + 1))
        self.file("tree/deep/one chunk", random_bytes(1 << 20))
        self.file(b"tree/no \xff utf-8 \xc3", b"bytes")
        self.file("tree/🌧 ä語 'quoted' \"twice\" $HOME", b"text")
        self.file("tree/-n", b"looks like an option")
        for number in range(100):
            self.file(f"tree/many/{number}", b"%d" % number * number)
        (tree / "an empty directory").mkdir()
        (tree / "link to a file").symlink_to("deep/one chunk")
        (tree / "link to a directory").symlink_to("deep/er")
        (tree / "deep/link up").symlink_to("../small")
        (tree / "dangling").symlink_to("nowhere")
        (tree / "deep/loop").symlink_to("loop")
        os.chmod(tree / "many", 0o500)
        for number, path in enumerate(sorted(tree.rglob("*"), reverse=True)):
            # To the nanosecond, long ago, before 1970, and in the future.
            moment = (number - 10) * 400_000_000_123_456_789 // 40 + number
            os.utime(path, ns=(moment, moment), follow_symlinks=False)
        os.utime(tree, ns=(1_000_000_007, 1_000_000_007))
        self.addCleanup(os.chmod, tree / "many", 0o700)
        return tree

    def test_a_tree_arrives_with_permissions_times_links_and_names_of_any_bytes(self):
        # Root could write into a directory that is for nobody to write into.
        receiver = self.receiver(before=POWERLESS)
        tree = self.tree()
        sender = self.send(receiver, tree, "--json")
        self.assert_same(tree, self.inbox / "tree")
        self.assertEqual(receiver.stop(), 0)
        self.assertEqual(os.listdir(self.inbox), ["tree"])
        paths = [event.get("path") for event in sender.events("stored")]
        self.assertIn(str(tree / "deep/er/and/deeper/large"), paths)
        odd = [event["path_hex"] for event in sender.events("stored") if "path_hex" in event]
        self.assertEqual([bytes.fromhex(one) for one in odd], [os.fsencode(tree) + b"/no \xff utf-8 \xc3"])

    def test_a_second_send_of_the_same_tree_sends_nothing(self):
        receiver = self.receiver()
        tree = self.tree()
        files = self.send(receiver, tree, "--json").end()["stored"]
        before = {path: os.lstat(path).st_ino for path in self.inbox.rglob("*")}
        end = self.send(receiver, tree, "--json").end()
        self.assertEqual((end["stored"], end["failed"], end["sent"], end["unchanged"]), (0, 0, 0, files))
        self.assertEqual({path: os.lstat(path).st_ino for path in self.inbox.rglob("*")}, before)
        self.assert_same(tree, self.inbox / "tree")

    def test_several_paths_and_the_current_directory_arrive_by_their_names(self):
        receiver = self.receiver()
        one, two = self.file("one", b"1"), self.file("two/three", b"3").parent
        (self.source / "link").symlink_to("two")
        self.send(receiver, one, two, str(self.source / "link") + "/")
        self.send(receiver, ".", cwd=self.source)
        self.send(receiver, "..", "three", cwd=two)
        found = outline(self.inbox)
        names = {name for name in found if not name.startswith(b".squall-partial")}
        tree = {b"one", b"two", b"two/three", b"link"}
        expected = tree | {b"link/three", b"three", b"source"} | {b"source/" + name for name in tree}
        self.assertLessEqual(expected, names)
        self.assert_same(self.source, self.inbox / "source")

    def test_two_paths_of_one_name_do_not_end_in_one_file(self):
        receiver = self.receiver()
        one, two = self.file("a/name", b"one"), self.file("b/name", b"twice")
        sender = self.send(receiver, one, two, "--json", code=2)
        self.assertIn("two of what is sent are called name", sender.err())
        self.assertFalse((self.inbox / "name").exists())

    def test_a_sparse_file_stays_sparse_and_a_large_one_of_zeros_costs_nothing(self):
        receiver = self.receiver()
        path = self.file("sparse")
        with open(path, "r+b") as file:
            for place in (0, 50 * MEGABYTE, 199 * MEGABYTE):
                file.seek(place)
                file.write(b"data" * 1000)
            file.truncate(200 * MEGABYTE)
        sender = self.send(receiver, path, "--json")
        self.assert_same(path, self.inbox / "sparse")
        self.assertLess((self.inbox / "sparse").stat().st_blocks * 512, 8 * MEGABYTE)
        self.assertLess(sender.end()["sent"], 8 * MEGABYTE)

    def test_standard_input_arrives_under_the_name_that_was_given(self):
        receiver = self.receiver()
        content = random_bytes(5 * MEGABYTE)
        for name, given in (("large", content), ("small", b"small"), ("empty", b"")):
            path = self.file(name, given)
            with open(path, "rb") as file:
                self.send(receiver, "-", "--name", f"from {name}", stdin=file)
            self.assertEqual((self.inbox / f"from {name}").read_bytes(), given)
        read, write = os.pipe()
        sender = self.sending(receiver, "-", "--name", "piped", stdin=read)
        os.close(read)
        with open(write, "wb") as pipe:
            pipe.write(content)
        self.ended(sender)
        self.assertEqual((self.inbox / "piped").read_bytes(), content)

    def test_force_replaces_and_without_it_what_is_there_stays(self):
        receiver = self.receiver()
        path, other = self.file("file", b"before"), self.file("other", b"other")
        self.send(receiver, path)
        path.write_bytes(b"behind")
        os.utime(path, ns=(5, 5))
        sender = self.send(receiver, path, other, code=1)
        self.assertIn(f"squall: {path}: another file of that name is there; --force replaces it\n", sender.err())
        self.assertEqual((self.inbox / "file").read_bytes(), b"before")
        self.assertEqual((self.inbox / "other").read_bytes(), b"other")
        self.send(receiver, path, "--force")
        self.assert_same(path, self.inbox / "file")
        # Never in place of a directory, nor a directory in place of a file.
        (self.inbox / "file").unlink()
        (self.inbox / "file").mkdir()
        sender = self.send(receiver, path, "--force", "--json", code=1)
        self.assertEqual([event["reason"] for event in sender.events("failed")], ["other-kind"])
        self.assertTrue((self.inbox / "file").is_dir())
        receiver.stop()
        receiver = self.receiver("--no-replace")
        other.write_bytes(b"another")
        self.send(receiver, other, "--force", code=1)
        self.assertEqual((self.inbox / "other").read_bytes(), b"other")

    def test_where_a_part_of_a_large_file_changed_only_that_is_sent(self):
        receiver = self.receiver()
        content = bytearray(random_bytes(20 * MEGABYTE))
        path = self.file("large", content)
        self.send(receiver, path)
        content[7 * MEGABYTE:7 * MEGABYTE + 10] = b"0123456789"
        path.write_bytes(content)
        end = self.send(receiver, path, "--force", "--json").end()
        self.assert_same(path, self.inbox / "large")
        self.assertLess(end["sent"], 3 * MEGABYTE)
        self.assertGreater(end["kept"], 17 * MEGABYTE)

    def test_checksum_finds_what_size_and_time_do_not_tell(self):
        receiver = self.receiver()
        path = self.file("file", b"content")
        os.utime(path, ns=(10**18, 10**18))
        self.send(receiver, path)
        path.write_bytes(b"CONTENT")
        os.utime(path, ns=(10**18, 10**18))
        self.assertEqual(self.send(receiver, path, "--force", "--json").end()["unchanged"], 1)
        self.assertEqual((self.inbox / "file").read_bytes(), b"content")
        self.assertEqual(self.send(receiver, path, "--force", "--checksum", "--json").end()["stored"], 1)
        self.assertEqual((self.inbox / "file").read_bytes(), b"CONTENT")
        self.assertEqual(self.send(receiver, path, "--checksum", "--json").end()["unchanged"], 1)

    def test_a_dry_run_lists_what_would_be_sent_and_sends_nothing(self):
        receiver = self.receiver()
        self.file("tree/there", b"there")
        self.send(receiver, self.source / "tree")
        new = [self.file("tree/new/file", b"new"), self.file("tree/second", b"second")]
        before = outline(self.inbox)
        sender = self.send(receiver, self.source / "tree", "-n")
        self.assertEqual(sorted(sender.out().splitlines()), [str(path) for path in new])
        sender = self.send(receiver, self.source / "tree", "--dry-run", "--json")
        listed = sorted((event["path"], event["size"]) for event in sender.events("differs"))
        self.assertEqual(listed, [(str(new[0]), 3), (str(new[1]), 6)])
        end = sender.end()
        self.assertEqual((end["differing"], end["stored"], end["sent"]), (2, 0, 0))
        self.assertEqual(outline(self.inbox), before)

    def test_patterns_leave_out_and_take_in(self):
        receiver = self.receiver()
        for name in ("a.c", "a.o", "keep.o", "target/x", "sub/target/y", "sub/b.o", "sub/b.c", "target.txt"):
            self.file(f"project/{name}", b"x")
        self.send(receiver, self.source / "project", "--exclude", "*.o", "--exclude", "target/", "--include", "keep.o")
        arrived = sorted(str(path.relative_to(self.inbox / "project")) for path in (self.inbox / "project").rglob("*"))
        self.assertEqual(arrived, ["a.c", "keep.o", "sub", "sub/b.c", "target.txt"])

    def test_a_limit_is_kept(self):
        receiver = self.receiver()
        path = self.file("file", random_bytes(6 * MEGABYTE))
        end = self.send(receiver, path, "--limit", "4MB/s", "--json").end()
        self.assertLess(end["sent"] / end["seconds"], 4.4 * MEGABYTE)
        self.assertLess(end["seconds"], 2.5)

    def test_json_has_the_events_and_fields_of_the_help(self):
        receiver = self.receiver()
        self.file("tree/large", random_bytes(5 * MEGABYTE))
        self.file("tree/there", b"there")
        self.send(receiver, self.source / "tree/there")
        (self.inbox / "tree").mkdir()
        (self.inbox / "there").rename(self.inbox / "tree/there")
        os.mkfifo(self.source / "tree/pipe")
        sender = self.send(receiver, self.source / "tree", "--limit", "2MB/s", "--json", code=1)
        fields = {
            "connected": {"peer", "key", "fingerprint"},
            "stored": {"path", "size"},
            "unchanged": {"path", "size"},
            "failed": {"path", "reason", "text"},
            "progress": {
                "files", "bytes", "total_files", "total_bytes", "sent", "seconds", "bandwidth", "round_trip_ms",
                "queue_ms", "loss",
            },
            "end": {"result", "text", "stored", "unchanged", "failed", "differing", "sent", "kept", "seconds"},
        }
        events = sender.events()
        self.assertEqual((events[0]["event"], events[-1]["event"]), ("connected", "end"))
        for kind, names in fields.items():
            with self.subTest(kind):
                found = [event for event in events if event["event"] == kind]
                self.assertTrue(found)
                for event in found:
                    self.assertEqual(set(event), names | {"event"})
        progress = sender.events("progress")
        self.assertGreaterEqual(len(progress), 2, "one each second")
        self.assertEqual(progress[-1]["total_bytes"], 5 * MEGABYTE + 5)
        self.assertEqual(progress[-1]["total_files"], 2)
        done = [event["bytes"] for event in progress]
        self.assertEqual(done, sorted(done))
        end = sender.end()
        self.assertEqual((end["stored"], end["unchanged"], end["failed"], end["result"]), (1, 1, 1, "complete"))
        self.assertEqual(end["sent"], 5 * MEGABYTE)

    def test_verbose_lists_each_file_at_both_sides(self):
        receiver = self.receiver("-v", as_json=False)
        paths = [self.file(f"tree/{name}", b"x") for name in ("a", "b", "c")]
        sender = self.send(receiver, self.source / "tree", "-v")
        lines = sender.out().splitlines()
        self.assertEqual(sorted(lines[:-1]), [str(path) for path in paths])
        self.assertRegex(lines[-1], "^3 files stored")
        until(lambda: "3 stored" in receiver.out(), "it tells what came")
        for path in paths:
            self.assertRegex(receiver.out(), rf"(?m)^tree/{path.name} \(1 B\)$")

    def test_a_reader_that_goes_away_is_no_trouble(self):
        receiver = self.receiver()
        for number in range(500):
            self.file(f"tree/{number:04}-{'x' * 60}", b"%d" % number)
        pin = f"{receiver.to} --pin {receiver.key} --token {receiver.token}"
        for number, options in enumerate(("-v", "--json", "-n")):
            with self.subTest(options):
                line = f"squall send {self.source}/tree {pin} {options} | head -1; exit ${{PIPESTATUS[0]}}"
                piped = subprocess.run(["bash", "-c", line], env=self.environment, stdin=subprocess.DEVNULL,
                                       capture_output=True, text=True, timeout=PATIENCE)
                self.assertEqual((len(piped.stdout.splitlines()), piped.stderr), (1, "") if number < 2 else (0, ""))
                self.assertEqual(piped.returncode, 0)
                if number == 0:
                    self.assert_same(self.source / "tree", self.inbox / "tree")

    def test_two_senders_at_once_bring_a_tree_each(self):
        receiver = self.receiver()
        trees = [self.file(f"{name}/large", random_bytes(4 * MEGABYTE, name)).parent for name in ("one", "two")]
        for sender in [self.sending(receiver, tree) for tree in trees]:
            self.ended(sender)
        for tree in trees:
            self.assert_same(tree, self.inbox / tree.name)
