"""A terminal for programs that show themselves on one."""

import os
import re
import shlex
import shutil
import subprocess
import unittest

from harness import PATIENCE, until

needs_tmux = unittest.skipUnless(shutil.which("tmux"), "needs tmux")


class Pane:
    """A terminal of its own, by tmux, in which a command runs under a shell."""

    _count = 0

    def __init__(self, test, command, columns=90, rows=20, **environment):
        Pane._count += 1
        self._server = f"squall-{os.getpid()}-{Pane._count}"
        environment = {"LC_ALL": "C.UTF-8", "TZ": "UTC", **environment}
        words = ["env", *(f"{name}={value}" for name, value in environment.items()), *command]
        # What the shell says behind it tells that it has ended, and that the terminal is as it was.
        # Ctrl-C reaches the shell too, which stays.
        line = f"trap : INT; {shlex.join(words)}; echo ended with $?; stty -a | grep -o '[-]*icanon'; cat"
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows), line)
        test.addCleanup(self._tmux, "kill-server", check=False)

    def _tmux(self, *arguments, check=True):
        command = ["tmux", "-L", self._server, *arguments]
        return subprocess.run(command, check=check, stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout

    def keys(self, *keys):
        """Names of keys as tmux knows them."""
        self._tmux("send-keys", *keys)

    def type(self, text):
        self._tmux("send-keys", "-l", text)

    def say(self, text):
        self.type(text)
        self.keys("Enter")

    def paste(self, text):
        """As a terminal does: bracketed."""
        self._tmux("set-buffer", text)
        self._tmux("paste-buffer", "-p", "-r")

    def resize(self, columns, rows):
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self):
        return self._tmux("capture-pane", "-p")

    def history(self):
        """The screen, and above it what has left it."""
        return self._tmux("capture-pane", "-p", "-S", "-")

    def cursor_is_shown(self):
        return self._tmux("display-message", "-p", "#{cursor_flag}").strip() == "1"

    def title(self):
        return self._tmux("display-message", "-p", "#{pane_title}").strip()

    def pid(self):
        """Of the program, not of the shell around it."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        children = subprocess.run(["pgrep", "-P", shell], capture_output=True, text=True, check=True).stdout
        return int(children.split()[0])

    def shows(self, *patterns, patience=PATIENCE):
        """Waits until the screen has them all, each on a line."""
        def look():
            screen = self.screen()
            return all(re.search(pattern, screen, re.MULTILINE) for pattern in patterns) and screen
        try:
            return until(look, f"{patterns} on the screen", patience)
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.screen()}") from None
