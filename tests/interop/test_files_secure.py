"""Who may send and who is sent to: tokens, keys, the line that a receiver shows, and how both programs end."""

import collections
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import time

from files import MEGABYTE, STAGING, FilesCase, random_bytes
from harness import PATIENCE, SQUALL, needs_ipv6, until

SHOWN_TOKEN = r"(?:[0-9a-z]{5}-){5}[0-9a-z]{5}"
SHOWN_KEY = r"SHA256:[A-Za-z0-9+/]{43}"


class FilesSecure(FilesCase):
    def typed(self, line, path):
        """Runs a shown line as somebody types it, with `path` where it says so."""
        self.assertEqual(line.count("PATH..."), 1)
        return subprocess.run(line.replace("PATH...", str(path)), shell=True, env=self.environment, timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def run_receive(self, *arguments, environment=None):
        """One that does not get as far as to listen."""
        return subprocess.run([SQUALL, "receive", *map(str, arguments)], env=environment or self.environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)

    def test_the_line_that_is_shown_works_as_it_is_typed(self):
        receiver = self.receiver(as_json=False)
        self.assertRegex(receiver.line, f"^squall send PATH... 127.0.0.1:\\d+ --pin {SHOWN_KEY} --token {SHOWN_TOKEN}$")
        typed = self.typed(receiver.line, self.file("hello", b"hello"))
        self.assertEqual((typed.returncode, typed.stderr), (0, ""))
        self.assertRegex(typed.stdout, r"^1 file stored; 5 B sent in \d+\.\d s \(.*/s\)\n$")
        self.assertEqual((self.inbox / "hello").read_bytes(), b"hello")
        until(lambda: "1 stored; 5 B came" in receiver.out(), "it tells what came")
        self.assertEqual(receiver.stop(), 0)
        self.assertEqual(receiver.err(), "")

    @needs_ipv6
    def test_the_line_works_over_ipv6_too(self):
        receiver = self.receiver(as_json=False, on="[::1]:0")
        typed = self.typed(receiver.line, self.file("hello", b"hello"))
        self.assertEqual((typed.returncode, typed.stderr), (0, ""))
        self.assertEqual((self.inbox / "hello").read_bytes(), b"hello")

    def test_token_and_key_are_made_once_and_are_for_their_owner_alone(self):
        receiver = self.receiver()
        settings = self.config_home / "squall"
        self.assertEqual((settings / "token").read_text().strip(), receiver.token)
        for path, mode in ((settings, 0o700), (settings / "token", 0o600), (settings / "identity", 0o600)):
            self.assertEqual(path.stat().st_mode & 0o777, mode, path)
        self.assertEqual(receiver.stop(), 0)
        again = self.again(receiver)
        self.assertEqual((again.key, again.token), (receiver.key, receiver.token))

    def test_a_token_that_is_wrong_or_missing_is_refused_and_both_sides_say_so(self):
        receiver = self.receiver()
        other = self.another_token()
        path = self.file("hello", b"hello")
        pin = ["--pin", receiver.key]
        for token, says in ((["--token", other], "does not accept this token"), ([], "wants a token")):
            with self.subTest(says):
                sender = self.send_to(receiver.to, path, *pin, *token, code=1)
                self.assertIn(f"{receiver.to} {says}; give the one that it shows", sender.err())
                self.assertNotIn(receiver.token, receiver.err() + sender.err())
        with self.subTest("at the receiver"):
            until(lambda: receiver.err().count("token") == 2, "the receiver says that it refused two", 1)
        with self.subTest("as JSON"):
            sender = self.send_to(receiver.to, path, *pin, "--token", other, "--json", code=1)
            self.assertEqual((sender.end()["result"], sender.end()["stored"]), ("not-begun", 0))
            self.assertIn("does not accept this token", sender.end()["text"])
        self.assertEqual(os.listdir(self.inbox), [STAGING])

    def another_token(self):
        """One that was made by somebody else."""
        environment = self.environment | {"HOME": self.directory(), "XDG_CONFIG_HOME": self.directory()}
        return self.receiver(directory=self.directory(), env=environment).token

    def test_a_token_comes_from_an_argument_a_file_or_the_environment_at_both_sides(self):
        token = self.another_token()
        file = self.home / "token"
        file.write_text(f"{token}\n")
        file.chmod(0o600)
        with_it = self.environment | {"SQUALL_TOKEN": token}
        path = self.file("hello", b"hello")
        for at_receiver in ({"arguments": ["--token", token]}, {"arguments": ["--token-file", str(file)]},
                            {"env": with_it}):
            options = dict(at_receiver)
            receiver = self.receiver(*options.pop("arguments", []), directory=self.directory(), **options)
            self.assertEqual(receiver.token, token)
            pin = ["--pin", receiver.key]
            self.send_to(receiver.to, path, *pin, "--token", token)
            self.send_to(receiver.to, path, *pin, "--token-file", str(file))
            self.send_to(receiver.to, path, *pin, env=with_it)
            self.assertEqual(receiver.stop(), 0)

    def test_a_token_file_that_others_may_read_is_refused_with_what_to_do(self):
        file = self.home / "token"
        file.write_text(self.another_token())
        file.chmod(0o640)
        sender = self.send_to("127.0.0.1:1", self.file("hello"), "--token-file", str(file), code=2)
        self.assertIn(f"`chmod 600 {file}`", sender.err())
        refused = self.run_receive(self.inbox, "--on", "127.0.0.1:0", "--token-file", file)
        self.assertEqual(refused.returncode, 2)
        self.assertIn(f"`chmod 600 {file}`", refused.stderr)

    def test_open_takes_files_from_everybody_and_says_no_token(self):
        receiver = self.receiver("--open", as_json=False)
        self.assertNotIn("--token", receiver.line)
        typed = self.typed(receiver.line, self.file("hello", b"hello"))
        self.assertEqual((typed.returncode, typed.stderr), (0, ""))
        self.assertEqual((self.inbox / "hello").read_bytes(), b"hello")

    def test_another_key_than_the_pinned_one_is_refused(self):
        receiver = self.receiver()
        wrong = "SHA256:" + "A" * 43
        path = self.file("hello")
        sender = self.send_to(receiver.to, path, "--pin", wrong, "--token", receiver.token, code=1)
        self.assertIn(f"shows the key {receiver.key}, and {wrong} is pinned", sender.err())
        self.assertFalse(self.known_nodes.exists())

    def test_a_key_is_told_and_remembered_the_first_time_and_refused_when_it_changes(self):
        receiver = self.receiver()
        path, token = self.file("hello", b"hello"), ["--token", receiver.token]
        sender = self.send_to(receiver.to, path, *token)
        self.assertIn(f"{receiver.to} is new here; its key is {receiver.key}", sender.err())
        self.assertEqual(self.known_nodes.read_text(), f"{receiver.to} {receiver.key}\n")
        self.assertEqual(self.send_to(receiver.to, path, *token).err(), "")
        known = self.send_to(receiver.to, path, *token, "--json").events("connected")
        self.assertEqual([(one["key"], one["fingerprint"]) for one in known], [("known", None)])
        # Somebody else at the same address.
        self.assertEqual(receiver.stop(), 0)
        other = self.again(receiver, "--identity", str(self.home / "another"))
        self.assertNotEqual(other.key, receiver.key)
        sender = self.send_to(other.to, path, *token, code=1)
        for part in ("shows another key than before", other.key, receiver.key, str(self.known_nodes)):
            self.assertIn(part, sender.err())
        # What it says to do, as it is typed.
        remedy = re.search("`(.*?)`", sender.err())[1]
        self.assertEqual(subprocess.run(remedy, shell=True, env=self.environment).returncode, 0)
        self.assertIn("is new here", self.send_to(other.to, path, *token).err())

    def test_options_stand_anywhere_between_paths_and_host(self):
        receiver = self.receiver()
        one, two = self.file("one", b"1"), self.file("two", b"2")
        proof = ["--pin", receiver.key, "--token", receiver.token]
        for words in (["-f", one, two, receiver.to], [one, "-f", two, receiver.to], [one, two, "-f", receiver.to]):
            sent = subprocess.run([SQUALL, "send", *map(str, words), *proof], env=self.environment, timeout=PATIENCE,
                                  stdin=subprocess.DEVNULL, capture_output=True, text=True)
            self.assertEqual((sent.returncode, sent.stderr), (0, ""))
        self.assertEqual(sorted(os.listdir(self.inbox)), [STAGING, "one", "two"])

    def test_wrong_usage_ends_with_2_and_says_what_is_wrong(self):
        path = str(self.file("hello"))
        for arguments, says in [
            ([], "required"),
            ([path], "name what is sent, and behind it the host"),
            ([path, ""], "names no host"),
            ([path, "tcp://127.0.0.1:1"], "names no host of the secure tier"),
            (["-", "127.0.0.1:1"], "--name NAME"),
            (["-", "-", "127.0.0.1:1", "--name", "x"], "can be sent once"),
            ([path, "127.0.0.1:1", "--name", "x"], "--name is for what comes from standard input"),
            ([path, "127.0.0.1:1", "--token", "secret"], "a token has 30 letters and digits, and this has 6"),
            ([path, "127.0.0.1:1", "--token", "k" * 30], "the token is mistyped"),
            ([path, "127.0.0.1:1", "--token", "k" * 30, "--token-file", "x"], "cannot be used with"),
            ([path, "127.0.0.1:1", "--token-file", "/none"], "there is no token in /none"),
            ([path, "127.0.0.1:1", "--pin", "SHA256:x"], "is no fingerprint"),
            ([path, "127.0.0.1:1", "--limit", "fast"], "is no rate"),
            ([path, "127.0.0.1:1", "--exclude", "["], "is no glob"),
            ([path, "127.0.0.1:1", "--retry", "soon"], "--retry"),
        ]:
            with self.subTest(says):
                sent = subprocess.run([SQUALL, "send", *arguments], env=self.environment, timeout=PATIENCE,
                                      stdin=subprocess.DEVNULL, capture_output=True, text=True)
                self.assertEqual((sent.returncode, sent.stdout), (2, ""), sent.stderr)
                self.assertIn(says, sent.stderr)
                self.assertRegex(sent.stderr, r"^squall: .*\n$")

    def test_where_nobody_listens_it_gives_up_after_ten_seconds_and_ends_with_69(self):
        path = self.file("hello")
        # A port that was somebody's a moment ago.
        receiver = self.receiver()
        receiver.stop()
        start = time.monotonic()
        sender = self.sending(receiver, path, "--json")
        self.assertEqual(sender.wait(15), 69, sender.err())
        self.assertLess(time.monotonic() - start, 12)
        self.assertEqual(sender.end()["result"], "not-begun")
        self.assertIn("nobody may listen there", sender.err())

    def test_a_receiver_that_cannot_listen_or_write_says_why(self):
        first = self.receiver()
        other = self.directory()
        for arguments, code, says in [
            ([other, "--on", first.to], 1, "another program has it"),
            ([self.inbox, "--on", "127.0.0.1:0"], 1, "in use by process"),
            ([self.file("a file"), "--on", "127.0.0.1:0"], 1, "cannot receive into"),
            ([other, "--on", "tcp://127.0.0.1:0"], 2, "files come over QUIC"),
            ([other, "--open", "--token", "x"], 2, "cannot be used with"),
        ]:
            with self.subTest(says):
                refused = self.run_receive(*arguments)
                self.assertEqual((refused.returncode, refused.stdout), (code, ""), refused.stderr)
                self.assertIn(says, refused.stderr)
        with self.subTest("no option is named that there is not"):
            self.assertNotIn("--data", self.run_receive(self.inbox, "--on", "127.0.0.1:0").stderr)
        with self.subTest("a file in place of the directory"):
            self.assertNotIn("os error", self.run_receive(self.file("a file"), "--on", "127.0.0.1:0").stderr)

    def test_a_receiver_ends_with_0_when_asked_and_leaves_nothing_but_what_came(self):
        for end in (signal.SIGINT, signal.SIGTERM):
            receiver = self.receiver()
            self.send(receiver, self.file("hello", b"hello"))
            self.assertEqual(receiver.stop(end), 0)
            self.assertEqual(os.listdir(self.inbox), ["hello"])
            shutil.rmtree(self.inbox)
            self.inbox.mkdir()

    def test_once_ends_after_a_sender_that_brought_everything_and_not_after_a_refused_one(self):
        receiver = self.receiver("--once")
        path = self.file("hello", b"hello")
        self.send_to(receiver.to, path, "--pin", receiver.key, code=1)
        self.assertFalse(receiver.has_ended())
        self.send(receiver, path)
        self.assertEqual(receiver.wait(), 0)
        self.assertEqual((self.inbox / "hello").read_bytes(), b"hello")

    def test_once_waits_for_those_who_came_meanwhile_and_not_for_who_brings_nothing(self):
        receiver = self.receiver("--once")
        self.send(receiver, self.source / "nowhere", code=1)
        self.assertFalse(receiver.has_ended())
        large, small = self.file("large", random_bytes(3 * MEGABYTE)), self.file("small", b"small")
        slow = self.sending(receiver, large, "--limit", "3MB/s")
        until(lambda: len(receiver.events("came")) == 2, "it came")
        self.send(receiver, small)
        self.assertFalse(receiver.has_ended())
        self.assertEqual(receiver.wait(), 0)
        self.ended(slow)
        self.assertEqual((self.inbox / "large").read_bytes(), large.read_bytes())

    def test_once_ends_although_the_last_words_of_the_sender_are_lost(self):
        receiver = self.receiver("--once")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as between:
            between.bind(("127.0.0.1", 0))
            to, sender, late = (receiver.host, receiver.port), None, collections.deque()
            sending = self.sending_to(f"127.0.0.1:{between.getsockname()[1]}", self.file("hello", b"hello"),
                                      "--pin", receiver.key, "--token", receiver.token)
            # What is sent takes so long that what is under way when the sender has ended never arrives.
            while not sending.has_ended():
                wait = max(late[0][0] - time.monotonic(), 0) if late else 0.1
                if select.select([between], [], [], min(wait, 0.1))[0]:
                    datagram, came_from = between.recvfrom(65536)
                    if came_from == to:
                        between.sendto(datagram, sender)
                    else:
                        sender = came_from
                        late.append((time.monotonic() + 0.3, datagram))
                while late and late[0][0] <= time.monotonic():
                    between.sendto(late.popleft()[1], to)
            self.ended(sending)
            self.assertTrue(late, "something was under way")
            self.assertFalse(receiver.has_ended())
            self.assertEqual(receiver.wait(), 0)
        self.assertEqual((self.inbox / "hello").read_bytes(), b"hello")

    def test_a_reader_that_does_not_read_stops_nobody_and_misses_nothing(self):
        receiver = subprocess.Popen([SQUALL, "receive", self.inbox, "--on", "127.0.0.1:0", "--json"],
                                    env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.addCleanup(receiver.stdout.close)
        self.addCleanup(receiver.kill)
        line = json.loads(receiver.stdout.readline())["send"]
        # Their lines are more than a pipe holds.
        names = {self.file(f"many/{number:04}-{'x' * 100}", b"x").name for number in range(2000)}
        self.assertEqual(self.typed(line, self.source / "many").returncode, 0)
        receiver.terminate()
        events = [json.loads(line) for line in receiver.stdout]
        self.assertEqual(receiver.wait(PATIENCE), 0)
        self.assertEqual({os.path.basename(event["path"]) for event in events if event["event"] == "stored"}, names)

    def test_who_takes_files_from_everybody_lets_nobody_replace_them(self):
        receiver = self.receiver("--open")
        path = self.file("hello", b"hello")
        self.send(receiver, path)
        path.write_bytes(b"another")
        sender = self.send(receiver, path, "--force", code=1)
        self.assertIn("another file of that name is there; the receiver replaces nothing", sender.err())
        self.assertEqual((self.inbox / "hello").read_bytes(), b"hello")

    def test_what_is_no_host_is_told_before_anybody_is_asked_for_it(self):
        receiver = self.receiver()
        path = self.file("hello", b"hello")
        for host, said in [
            (receiver.token, "the last word is a token and not a host"),
            ("user@host.example", "write host.example alone"),
            ("host.example:/tmp", "squall receive DIR"),
        ]:
            with self.subTest(host):
                self.assertIn(said, self.send_to(host, path, code=2).err())

    def test_the_json_of_a_receiver_has_what_its_help_says(self):
        receiver = self.receiver()
        path = self.file("hello", b"hello")
        self.send(receiver, path)
        path.write_bytes(b"another")
        self.send(receiver, path, code=1)
        until(receiver.sessions_over, "both are gone")
        listening, *events = receiver.events()
        self.assertEqual(set(listening), {"event", "dir", "on", "key", "send", "note"})
        self.assertEqual((listening["dir"], listening["key"]), (str(self.inbox), receiver.key))
        self.assertEqual(listening["on"], [f"quic://{receiver.to}"])
        kinds = [event["event"] for event in events]
        self.assertEqual(kinds, ["came", "stored", "went", "came", "refused", "went"])
        came, stored, went, _, refused, second = events
        self.assertEqual((came["session"], stored["session"], went["session"], second["session"]), (1, 1, 1, 2))
        self.assertRegex(came["peer"], r"^127\.0\.0\.1:\d+$")
        self.assertEqual((stored["path"], stored["size"]), (str(self.inbox / "hello"), 5))
        counts = {name: went[name] for name in ("stored", "unchanged", "refused", "withdrawn", "bytes", "broken")}
        self.assertEqual(counts, {"stored": 1, "unchanged": 0, "refused": 0, "withdrawn": 0, "bytes": 5,
                                  "broken": None})
        self.assertEqual((refused["reason"], refused["path"]), ("exists", str(self.inbox / "hello")))
        self.assertIn("--force replaces it", refused["text"])
        self.assertEqual((second["stored"], second["refused"]), (0, 1))
