"""Runs the tests of this directory and sums up: what failed, and what was skipped and why.

With CI=true and root a skip is a failure, unless its reason is one of EXPECTED_SKIPS.
"""

import os
import pathlib
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent

# Reasons for which a test may be skipped in CI, too: none of them says that something was forgotten.
EXPECTED_SKIPS = {"this machine has no IPv6"}


class Result(unittest.TextTestResult):
    def startTest(self, test):
        self._started = time.monotonic()
        super().startTest(test)

    def addSuccess(self, test):
        # The time of each test, in place of a bare "ok".
        unittest.TestResult.addSuccess(self, test)
        self.stream.writeln(f"ok ({time.monotonic() - self._started:.1f} s)")

    def getDescription(self, test):
        whole = getattr(test, "test_case", test)
        theme, _, name = whole.id().removeprefix("test_").partition(".")
        part = test._subDescription() + " " if whole is not test else ""
        return f"{part}{theme}: {name.rpartition('.')[2].removeprefix('test_').replace('_', ' ')}"


def main(words):
    suite = unittest.TestSuite()
    for file in sorted(HERE.glob("test_*.py")):
        if not words or any(word in file.stem for word in words):
            suite.addTests(unittest.defaultTestLoader.loadTestsFromName(file.stem))
    if suite.countTestCases() == 0:
        print(f"no theme is named like {' or '.join(words)}", file=sys.stderr)
        return 2
    sys.stdout.reconfigure(line_buffering=True)
    runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Result)
    result = runner.run(suite)
    for test, reason in result.skipped:
        print(f"SKIPPED {result.getDescription(test)}: {reason}")
    strict = os.environ.get("CI") == "true" and os.geteuid() == 0
    unexpected = [reason for _, reason in result.skipped if reason not in EXPECTED_SKIPS]
    if strict and unexpected:
        print(f"{len(unexpected)} skipped, which counts as failed here")
    failed = len(result.failures) + len(result.errors)
    skipped = len(result.skipped)
    print(f"{result.testsRun - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not result.wasSuccessful() or (strict and unexpected) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
