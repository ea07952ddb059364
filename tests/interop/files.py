"""`squall send` and `squall receive` as people run them, for the tests of files over the secure tier."""

import contextlib
import hashlib
import json
import os
import pathlib
import random
import re
import signal
import stat
import subprocess

from harness import PATIENCE, ROOT, SQUALL, TestCase, until

STAGING = ".squall-partial"
MEGABYTE = 1_000_000
POWERLESS = ["setpriv", "--inh-caps=-all", "--bounding-set=-all"] if ROOT else []
"""Before a command: root's files are its own, and permissions hold for it as for anybody."""


class Program:
    """A command that runs, with what it says kept in files, so that it never waits for a reader."""

    def __init__(self, test, command, host=None, **options):
        self.out_path, self.err_path = (os.path.join(test.directory(), name) for name in ("out", "err"))
        entered = host.entered() if host else contextlib.nullcontext()
        options = {"stdin": subprocess.DEVNULL, "env": test.environment} | options
        with entered, open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, **options)
        test.addCleanup(self.kill)

    def out(self):
        return pathlib.Path(self.out_path).read_text(errors="surrogateescape")

    def err(self):
        return pathlib.Path(self.err_path).read_text(errors="surrogateescape")

    def events(self, kind=None):
        """What it told with --json, as far as lines are whole."""
        lines = self.out().split("\n")[:-1]
        events = [json.loads(line) for line in lines]
        return [event for event in events if kind in (None, event["event"])]

    def end(self):
        """The last event of a sender."""
        return self.events("end")[-1]

    def has_ended(self):
        return self.process.poll() is not None

    def wait(self, patience=PATIENCE):
        return self.process.wait(patience)

    def send_signal(self, number):
        self.process.send_signal(number)

    def stop(self, by=signal.SIGTERM):
        self.send_signal(by)
        return self.wait()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Receiver(Program):
    """`squall receive`, listening."""

    def __init__(self, test, directory, *arguments, on="127.0.0.1:0", as_json=True, before=(), **options):
        command = [*before, SQUALL, "receive", str(directory), "--on", on, *(["--json"] if as_json else []), *arguments]
        super().__init__(test, command, **options)
        try:
            until(lambda: self.has_ended() or self._line(as_json), "it listens")
            self.line = self._line(as_json)
            host = re.search(r" '?(\S+):(\d+)'? --pin (\S+)(?: --token (\S+))?", self.line)
        except (AssertionError, TypeError) as error:
            raise AssertionError(f"{error}: {self.out()} {self.err()}") from None
        self.host, self.port, self.key, self.token = host[1], int(host[2]), host[3], host[4]

    def _line(self, as_json):
        """What is to be typed elsewhere."""
        if as_json:
            return next((event["send"] for event in self.events("listening")), None)
        found = re.search(r"^  (squall send .*)\n", self.out(), re.MULTILINE)
        return found and found[1]

    @property
    def to(self):
        return f"{self.host}:{self.port}"

    def sessions_over(self):
        """As many senders have gone as have come."""
        return len(self.events("came")) == len(self.events("went"))


class FilesCase(TestCase):
    """Has a home, a place to send from and one to receive into of its own."""

    def setUp(self):
        here = pathlib.Path(self.directory())
        self.home, self.source, self.inbox = here / "home", here / "source", here / "inbox"
        for directory in (self.home, self.source, self.inbox, here / "bin"):
            directory.mkdir()
        # The line that is shown begins with the bare name of the program.
        (here / "bin/squall").symlink_to(os.path.abspath(SQUALL))
        self.config_home = self.home / ".config"
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("SQUALL_")} | {
            "HOME": str(self.home), "XDG_CONFIG_HOME": str(self.config_home),
            "PATH": f"{here / 'bin'}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8",
        }
        self.known_nodes = self.config_home / "squall/known_nodes"

    def receiver(self, *arguments, directory=None, **options):
        return Receiver(self, directory or self.inbox, *arguments, **options)

    def again(self, receiver, *arguments, **options):
        """Another one where one was."""
        return self.receiver(*arguments, on=receiver.to, **options)

    def sending(self, receiver, *arguments, **options):
        """`squall send` with what the receiver showed, running."""
        proof = ["--pin", receiver.key, *(["--token", receiver.token] if receiver.token else [])]
        return self.sending_to(receiver.to, *arguments, *proof, **options)

    def sending_to(self, to, *arguments, before=(), **options):
        words = [str(one) if isinstance(one, pathlib.Path) else one for one in arguments]
        options_from = next((at for at, word in enumerate(words) if word[:1] == "-" != word), len(words))
        words.insert(options_from, to)
        return Program(self, [*before, SQUALL, "send", *words], **options)

    def send(self, receiver, *arguments, code=0, patience=PATIENCE, **options):
        """Sends to the end, which is to be as `code` says."""
        return self.ended(self.sending(receiver, *arguments, **options), code, patience)

    def send_to(self, to, *arguments, code=0, patience=PATIENCE, **options):
        return self.ended(self.sending_to(to, *arguments, **options), code, patience)

    def ended(self, sender, code=0, patience=PATIENCE):
        ended = sender.wait(patience)
        self.assertEqual(ended, code, f"{sender.out()[-2000:]} {sender.err()[-2000:]}")
        return sender

    def file(self, name, content=b"", mode=0o644):
        """A file to be sent."""
        path = pathlib.Path(os.fsdecode(os.path.join(os.fsencode(self.source), os.fsencode(name))))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def assert_same(self, source, there):
        self.assertEqual(outline(source), outline(there))

    def assert_clean(self, directory=None):
        """Nothing is left of what was under way."""
        staging = pathlib.Path(directory or self.inbox) / STAGING
        self.assertEqual([name for name in os.listdir(staging) if name != "lock"], [])


def random_bytes(size, seed=7):
    return random.Random(seed).randbytes(size)


def outline(root):
    """All that a transfer keeps of a tree: kinds, permissions, times, contents and links, by path."""
    root = os.fsencode(root)
    found = {}

    def add(path, relative):
        status = os.lstat(path)
        kind = stat.S_IFMT(status.st_mode)
        # The permissions of a link mean nothing.
        entry = (kind, stat.S_ISLNK(kind) or status.st_mode & 0o777, status.st_mtime_ns)
        if stat.S_ISLNK(kind):
            entry += (os.readlink(path),)
        elif stat.S_ISREG(kind):
            with open(path, "rb") as file:
                entry += (status.st_size, hashlib.file_digest(file, "sha256").hexdigest())
        found[relative] = entry
        if stat.S_ISDIR(kind):
            for name in os.listdir(path):
                add(os.path.join(path, name), os.path.join(relative, name))

    add(root, b"")
    return found
