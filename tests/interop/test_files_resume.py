"""Transfers that are stopped, at any moment and by anything: the same command resumes them, and nothing is sent twice.

SQUALL_KILLS says how many are killed (20), SQUALL_SEED from which number their moments follow.
"""

import os
import random
import signal
import time

from files import MEGABYTE, STAGING, FilesCase, outline, random_bytes
from harness import until

KILLS = int(os.environ.get("SQUALL_KILLS", "20"))
SEED = int(os.environ.get("SQUALL_SEED", "5"))


class FilesResume(FilesCase):
    def under_way(self, receiver, at_least=MEGABYTE):
        """Waits until so many bytes of large files are there."""
        def on_disk():
            staged = (self.inbox / STAGING).glob("*")
            return sum(path.stat().st_blocks * 512 for path in staged) > at_least
        until(on_disk, "some of it is there")

    def test_killed_at_any_moment_it_is_resumed_and_next_to_nothing_is_sent_twice(self):
        chance = random.Random(SEED)
        tree = self.source / "tree"
        self.file("tree/large", random_bytes(8 * MEGABYTE + 12345))
        self.file("tree/middle", random_bytes(2 * MEGABYTE))
        for number in range(40):
            self.file(f"tree/many/{number}", random_bytes(5000 * (number % 4), number))
        expected = outline(tree)
        size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
        options = ["--limit", "30MB/s", "--json"]
        told, sent, caught = 0, 0, 0
        for number in range(KILLS):
            victim = chance.choice(["sender", "receiver", "both"])
            moment = chance.uniform(0, 0.5)
            what = f"run {number} of seed {SEED}: {victim} killed after {moment:.3f} s"
            self.inbox = self.inbox.parent / f"inbox {number}"
            receiver = self.receiver()
            sender = self.sending(receiver, tree, *options)
            time.sleep(moment)
            caught += not sender.has_ended()
            if victim != "receiver":
                sender.kill()
            if victim != "sender":
                receiver.kill()
                receiver = self.again(receiver)
            if victim != "receiver":
                sender = self.sending(receiver, tree, *options)
            until(sender.has_ended, f"{what}: it is resumed", 15)
            self.assertEqual(sender.wait(), 0, f"{what}: {sender.err()}")
            self.assertEqual(outline(self.inbox / "tree"), expected, what)
            self.assertEqual(receiver.stop(), 0)
            self.assertEqual(os.listdir(self.inbox), ["tree"], what)
            # One that was killed cannot tell, but the other side can.
            if victim == "sender":
                sent += sum(event["bytes"] for event in receiver.events("went"))
            elif victim == "receiver":
                sent += sender.end()["sent"]
            told += victim != "both"
        self.assertGreater(caught, KILLS // 2, "most were under way")
        self.assertLess(sent, size * told * 1.05, f"{sent / size / told - 1:.1%} was sent twice")

    def test_a_sender_goes_on_by_itself_when_the_receiver_is_there_again(self):
        receiver = self.receiver()
        path = self.file("large", random_bytes(12 * MEGABYTE))
        sender = self.sending(receiver, path, "--limit", "6MB/s", "--json")
        self.under_way(receiver)
        # It takes leave, and is away for a while.
        self.assertEqual(receiver.stop(), 0)
        until(lambda: sender.events("lost"), "the sender knows")
        receiver = self.again(receiver)
        start = time.monotonic()
        until(lambda: len(sender.events("connected")) == 2, "the sender is there again")
        self.assertLess(time.monotonic() - start, 6)
        self.ended(sender)
        self.assert_same(path, self.inbox / "large")
        self.assertLess(sender.end()["sent"], 12 * MEGABYTE * 1.05)

    def test_a_receiver_that_was_killed_is_found_again_as_soon_as_it_is_there(self):
        receiver = self.receiver()
        path = self.file("large", random_bytes(12 * MEGABYTE))
        sender = self.sending(receiver, path, "--limit", "6MB/s", "--json")
        self.under_way(receiver)
        receiver.kill()
        receiver = self.again(receiver)
        start = time.monotonic()
        until(lambda: len(sender.events("connected")) == 2, "the sender is there again", 10)
        took = time.monotonic() - start
        self.ended(sender)
        self.assert_same(path, self.inbox / "large")
        self.assertLess(took, 5)

    def test_ctrl_c_ends_with_130_and_the_same_command_resumes(self):
        receiver = self.receiver()
        path = self.file("large", random_bytes(6 * MEGABYTE))
        sender = self.sending(receiver, path, "--limit", "6MB/s", "--json")
        self.under_way(receiver, 2 * MEGABYTE)
        self.assertEqual(sender.stop(signal.SIGINT), 130)
        self.assertIn("interrupted; the same command resumes it", sender.err())
        self.assertFalse((self.inbox / "large").exists())
        with self.subTest("programs are told how it ended"):
            self.assertEqual([event["result"] for event in sender.events("end")], ["stopped"])
        with self.subTest("the receiver hears of it at once"):
            until(receiver.sessions_over, "the receiver knows", 2)
            self.assertIsNotNone(receiver.events("went")[0]["broken"])
        end = self.send(receiver, path, "--json").end()
        self.assertGreater(end["kept"], 1 * MEGABYTE)
        self.assertLess(end["sent"], 5 * MEGABYTE)
        self.assert_same(path, self.inbox / "large")

    def test_what_was_interrupted_is_taken_over_by_another_command_too(self):
        receiver = self.receiver()
        path, other = self.file("large", random_bytes(6 * MEGABYTE)), self.file("other", b"other")
        sender = self.sending(receiver, path, "--limit", "6MB/s")
        self.under_way(receiver, 2 * MEGABYTE)
        self.assertEqual(sender.stop(signal.SIGINT), 130)
        end = self.send(receiver, other, path, "--json").end()
        self.assertGreater(end["kept"], 1 * MEGABYTE)
        self.assert_same(path, self.inbox / "large")

    def test_it_ends_with_75_when_the_receiver_stays_away_and_the_same_command_resumes(self):
        receiver = self.receiver()
        path = self.file("large", random_bytes(6 * MEGABYTE))
        sender = self.sending(receiver, path, "--limit", "6MB/s", "--retry", "1s", "--json")
        self.under_way(receiver, 2 * MEGABYTE)
        self.assertEqual(receiver.stop(), 0)
        start = time.monotonic()
        self.assertEqual(sender.wait(30), 75, sender.err())
        took = time.monotonic() - start
        self.assertIn("the same command resumes it", sender.err())
        end = sender.end()
        self.assertEqual((end["result"], end["stored"]), ("half-way", 0))
        receiver = self.again(receiver)
        end = self.send(receiver, path, "--json").end()
        self.assertGreater(end["kept"], 1 * MEGABYTE)
        self.assert_same(path, self.inbox / "large")
        with self.subTest("it is not tried for longer than was said"):
            self.assertLess(took, 3)

    def test_a_receiver_that_is_stopped_keeps_what_came_and_says_that_it_broke(self):
        receiver = self.receiver()
        path = self.file("large", random_bytes(6 * MEGABYTE))
        sender = self.sending(receiver, path, "--limit", "4MB/s")
        self.under_way(receiver, 2 * MEGABYTE)
        self.assertEqual(receiver.stop(signal.SIGINT), 0)
        went = receiver.events("went")
        self.assertEqual(len(went), 1)
        self.assertIsNotNone(went[0]["broken"])
        self.assertEqual(os.listdir(self.inbox), [STAGING])
        sender.kill()

    def test_a_source_that_changed_while_it_was_interrupted_arrives_as_it_is_now(self):
        receiver = self.receiver()
        content = random_bytes(8 * MEGABYTE)
        path = self.file("large", content)
        sender = self.sending(receiver, path, "--limit", "8MB/s")
        self.under_way(receiver, 4 * MEGABYTE)
        sender.stop(signal.SIGINT)
        # Another beginning, shorter by a few bytes, and the same in between.
        path.write_bytes(b"something else" + content[14:-5])
        end = self.send(receiver, path, "--json").end()
        self.assert_same(path, self.inbox / "large")
        self.assertGreater(end["kept"], 2 * MEGABYTE)
        receiver.stop()
        self.assertEqual(os.listdir(self.inbox), ["large"])

    def test_small_files_that_arrived_before_a_kill_are_not_sent_again(self):
        receiver = self.receiver()
        for number in range(300):
            self.file(f"tree/{number}", random_bytes(20_000, number))
        sender = self.sending(receiver, self.source / "tree", "--limit", "6MB/s", "--json")
        until(lambda: len(sender.events("stored")) > 100, "some are there")
        stored = len(sender.events("stored"))
        sender.kill()
        end = self.send(receiver, self.source / "tree", "--json").end()
        self.assertGreaterEqual(end["unchanged"], stored)
        self.assertLessEqual(end["stored"], 300 - stored)
        self.assert_same(self.source / "tree", self.inbox / "tree")

    def test_the_same_command_twice_at_once_brings_it_and_neither_throws_the_other_out_for_ever(self):
        receiver = self.receiver()
        path = self.file("large", random_bytes(8 * MEGABYTE))
        first = self.sending(receiver, path, "--limit", "4MB/s", "--json")
        self.under_way(receiver)
        second = self.sending(receiver, path, "--limit", "4MB/s", "--json")
        codes = sorted([first.wait(), second.wait()])
        self.assertEqual(codes[0], 0, (first.err(), second.err()))
        self.assert_same(path, self.inbox / "large")
        self.assertLess(len(first.events("connected") + second.events("connected")), 5)
        self.assertLess(first.end()["sent"] + second.end()["sent"], 10 * MEGABYTE)

    def test_standard_input_that_is_cut_off_is_not_sent_again_when_it_comes_once_more(self):
        receiver = self.receiver()
        content = random_bytes(2 * MEGABYTE)
        read, write = os.pipe()
        sender = self.sending(receiver, "-", "--name", "piped", "--json", stdin=read)
        os.close(read)
        with open(write, "wb") as pipe:
            pipe.write(content)
            self.under_way(receiver)
            receiver.stop()
            self.assertEqual(sender.wait(), 75)
        self.assertIn("the same command resumes it, if it reads the same again", sender.err())
        self.assertFalse((self.inbox / "piped").exists())
        receiver = self.again(receiver)
        with open(self.file("again", content)) as again:
            sender = self.send(receiver, "-", "--name", "piped", "--json", stdin=again)
        self.assertEqual((self.inbox / "piped").read_bytes(), content)
        self.assertLess(sender.end()["sent"], MEGABYTE)
