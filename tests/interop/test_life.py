"""How a node starts, is refused, logs and ends."""

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess

from harness import PATIENCE, ROOT, SQUALL, TestCase, needs_root, until

NOBODY = 65534


class Refused(TestCase):
    def refusal(self, *arguments, **options):
        """The exit code, and the one line that says why."""
        done = subprocess.run([SQUALL, "serve", *arguments], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=PATIENCE, **options)
        self.assertEqual(done.stdout, "")
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        return done.returncode, done.stderr

    def taken(self, kind, option=None):
        """A port that this program holds."""
        other = socket.socket(socket.AF_INET, kind)
        self.addCleanup(other.close)
        if option:
            other.setsockopt(socket.SOL_SOCKET, option, 1)
        other.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            other.listen()
        return other.getsockname()[1]

    def test_a_port_that_another_program_holds_is_named(self):
        options = (None, socket.SO_REUSEPORT, socket.SO_REUSEADDR)
        for transport, kind in (("udp", socket.SOCK_DGRAM), ("tcp", socket.SOCK_STREAM)):
            # A datagram port shared by SO_REUSEADDR alone is no use to one that does not set it as well.
            for option in options:
                with self.subTest(transport=transport, option=option):
                    uri = f"{transport}://127.0.0.1:{self.taken(kind, option)}"
                    code, line = self.refusal("stamp", "--on", uri)
                    self.assertEqual(code, 1, line)
                    self.assertIn(uri, line)
                    self.assertIn("another program has it", line)

    def test_a_port_that_another_node_holds_is_named(self):
        node = self.node("stamp", "--on", "udp://127.0.0.1:0", "--on", "tcp://127.0.0.1:0")
        for row in node.rows:
            code, line = self.refusal("stamp", "--on", row.uri)
            self.assertEqual(code, 1, line)
            self.assertIn(row.uri, line)

    def test_of_several_addresses_the_taken_one_is_named_and_none_stays_open(self):
        port = self.taken(socket.SOCK_DGRAM)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
        code, line = self.refusal("stamp", "--on", f"udp://127.0.0.1:{free}", "--on", f"udp://127.0.0.1:{port}")
        self.assertEqual(code, 1)
        self.assertIn(f":{port} ", line)
        self.assertNotIn(str(free), line)

    def test_a_low_port_needs_permission_and_the_line_says_so(self):
        options, program = {}, SQUALL
        if ROOT:
            # A place where everybody may run it.
            directory = self.directory()
            os.chmod(directory, 0o755)
            program = shutil.copy(SQUALL, directory)
            options = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        floor = int(pathlib.Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
        if floor <= 7:
            self.skipTest(f"this machine lets everybody bind ports from {floor} on")
        done = subprocess.run([program, "serve", "echo", "--on", "udp://127.0.0.1:7"], cwd="/", timeout=PATIENCE,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("udp://127.0.0.1:7 ", done.stderr)
        self.assertIn("CAP_NET_BIND_SERVICE", done.stderr)

    def test_what_cannot_be_is_wrong_usage(self):
        for arguments, names in (
            (["nonsense"], "nonsense"),
            (["stamp", "--on", "carrier-pigeon://127.0.0.1:1"], "carrier-pigeon"),
            (["stamp", "--on", "udp://127.0.0.1:99999"], "99999"),
            (["exec", "--on", "udp://127.0.0.1:0"], "--command"),
            (["echo"], "--on"),
            (["--config", "/nonexistent/squall.toml"], "/nonexistent/squall.toml"),
        ):
            with self.subTest(arguments):
                code, line = self.refusal(*arguments)
                self.assertEqual(code, 2, line)
                self.assertIn(names, line)

    def test_an_address_of_another_machine_is_refused_by_name(self):
        code, line = self.refusal("stamp", "--on", "udp://192.0.2.1:4000")
        self.assertEqual(code, 1)
        self.assertIn("udp://192.0.2.1:4000", line)

    def test_an_unknown_interface_is_named(self):
        code, line = self.refusal("stamp", "--on", "udp://[fe80::1%nosuch0]:4000")
        self.assertIn(code, (1, 2))
        self.assertIn("nosuch0", line)


class UnixSockets(TestCase):
    KINDS = (("unix", socket.SOCK_STREAM), ("unixgram", socket.SOCK_DGRAM))

    def test_the_file_of_a_killed_server_is_replaced(self):
        for transport, kind in self.KINDS:
            with self.subTest(transport):
                path = os.path.join(self.directory(), "socket")
                first = self.node("stamp", "--on", f"{transport}:{path}")
                first.kill()
                self.assertTrue(os.path.exists(path))
                second = self.node("stamp", "--on", f"{transport}:{path}")
                with socket.socket(socket.AF_UNIX, kind) as client:
                    client.settimeout(PATIENCE)
                    client.bind("")
                    client.connect(path)
                    client.send(b"hello")
                    self.assertTrue(client.recv(1024).endswith(b"hello"))
                self.assertEqual(second.stop(), 0)
                self.assertFalse(os.path.exists(path), "a server that ends removes its file")

    def test_a_file_in_use_is_refused_and_stays(self):
        for transport, kind in self.KINDS:
            with self.subTest(transport):
                path = os.path.join(self.directory(), "socket")
                with socket.socket(socket.AF_UNIX, kind) as other:
                    other.bind(path)
                    if kind == socket.SOCK_STREAM:
                        other.listen()
                    code, line = Refused.refusal(self, "stamp", "--on", f"{transport}:{path}")
                    self.assertEqual(code, 1)
                    self.assertIn(path, line)
                    self.assertTrue(os.path.exists(path))

    def test_a_file_that_is_no_socket_is_refused_and_stays(self):
        path = os.path.join(self.directory(), "precious")
        pathlib.Path(path).write_text("data")
        for transport, _ in self.KINDS:
            code, line = Refused.refusal(self, "stamp", "--on", f"{transport}:{path}")
            self.assertEqual(code, 1)
            self.assertIn(path, line)
            self.assertEqual(pathlib.Path(path).read_text(), "data")


class Life(TestCase):
    def test_it_ends_with_0_and_a_last_line_when_asked_to(self):
        for by in (signal.SIGINT, signal.SIGTERM):
            for model in ("inline", "threads:2", "processes:2"):
                with self.subTest(by=by, model=model):
                    node = self.node("stamp", "--on", "udp://127.0.0.1:0", "--model", model, verbose=None)
                    self.ask(node.rows[0].address)
                    self.assertEqual(node.stop(by), 0)
                    self.assertIn("answered 1 request and left 0 unanswered", node.last_line())

    def test_the_last_line_tells_what_was_dropped_on_purpose(self):
        node = self.node("stamp", "--on", "tcp://127.0.0.1:0", "--drop", "100%")
        tcp = self.tcp(node.rows[0].address)
        tcp.send(b"hello")
        until(lambda: "pretending to drop" in node.log(), "-v says so")
        self.assertEqual(node.stop(), 0)
        self.assertIn("(1 pretended to drop)", node.last_line())

    def test_an_answer_is_lost_on_purpose_and_the_seed_is_logged(self):
        log = [SQUALL, "serve", "echo", "--on", "udp://127.0.0.1:0", "--drop", "down.loss=100%"]
        for more, says in ((["--drop-seed", "7"], "--drop down.loss=100%: seed 7\n"),
                           ([], "--drop down.loss=100%: seed "),
                           (["--model", "processes:1"], "each worker process has a seed of its own")):
            process = subprocess.Popen([*log, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            lines = [process.stdout.readline() for _ in range(2)]
            port = int(lines[1].split()[1].rpartition(":")[2])
            asked = subprocess.run([SQUALL, "ask", f"127.0.0.1:{port}", "x", "--timeout", "200ms"], capture_output=True)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=PATIENCE)
            self.assertEqual((asked.returncode, process.returncode), (69, 0), err)
            self.assertIn(says, err)
            self.assertRegex(err, r"answered 0 requests and left \d+ unanswered \(\d+ pretended to drop\)")

    def test_it_starts_again_at_once_where_connections_of_the_last_run_linger(self):
        node = self.node("stamp", "--on", "tcp://127.0.0.1:0", verbose=None)
        address = node.rows[0].address
        clients = [self.tcp(address) for _ in range(3)]
        for client in clients:
            client.send(b"hello")
            client.recv(1024)
        self.assertEqual(node.stop(), 0)
        for client in clients:
            self.assertEqual(client.recv(1024), b"", "the node closes first")
            client.close()
        time_wait = f":{address[1]:04X} "

        def lingers():
            with open("/proc/net/tcp") as table:
                return any(time_wait in line.split(None, 1)[1][:15] and line.split()[3] == "06" for line in table)

        until(lingers, "a connection lingers in TIME_WAIT")
        again = self.node("stamp", "--on", f"tcp://127.0.0.1:{address[1]}")
        client = self.tcp(again.rows[0].address)
        client.send(b"hello")
        self.assertTrue(client.recv(1024).endswith(b"hello"))

    def test_once_answers_one_request_and_ends_with_0(self):
        for transport in ("udp", "tcp"):
            with self.subTest(transport):
                node = self.node("length", "--on", f"{transport}://127.0.0.1:0", "--once")
                client = self.udp(node.rows[0].address) if transport == "udp" else self.tcp(node.rows[0].address)
                client.send(b"hello")
                self.assertEqual(client.recv(1024), b"Your data was 5 bytes long")
                client.close()
                self.assertEqual(node.wait(), 0)
                self.assertIn("answered 1 request ", node.last_line())

    def test_an_end_of_its_standard_input_does_not_end_it(self):
        node = self.node("length", "--on", "udp://127.0.0.1:0")
        for _ in range(3):
            self.assertTrue(self.ask(node.rows[0].address))
        self.assertIsNone(node.process.poll())

    def test_each_line_of_a_json_log_is_an_object(self):
        node = self.node("stamp", "--on", "udp://127.0.0.1:0", "--log", "json")
        for payload in (b"hello", b"\x1b[2J\r\n\0\"\\", b"\xff\xfe", b""):
            self.ask(node.rows[0].address, payload)
        self.assertEqual(node.stop(), 0)
        lines = [json.loads(line) for line in node.log().splitlines()]
        self.assertGreater(len(lines), 4)
        for line in lines:
            self.assertLessEqual({"timestamp", "level", "fields"}, line.keys())
        requests = [line["fields"] for line in lines if line["fields"]["message"] == "request"]
        self.assertEqual([request["bytes"] for request in requests], [5, 9, 2, 0])
        first = requests[0]
        self.assertEqual((first["service"], first["payload"], first["outcome"]), ("stamp", "hello", "answered"))
        self.assertRegex(first["peer"], r"^udp://127\.0\.0\.1:\d+$")
        self.assertIn("answered 4 requests", lines[-1]["fields"]["message"])

    def test_a_log_line_tells_peer_bytes_payload_and_outcome(self):
        node = self.node("length", "--on", "udp://127.0.0.1:0", verbose="-v")
        udp = self.udp(node.rows[0].address)
        udp.send(b"hel\x1blo")
        udp.recv(1024)
        self.assertEqual(node.stop(), 0)
        peer = "%s:%d" % udp.getsockname()
        self.assertRegex(node.log(), rf'INFO .*udp://{peer} 6 bytes "hel[^\x1b"]*lo": answered')

    @needs_root
    def test_a_user_without_rights_runs_it(self):
        directory = self.directory()
        os.chmod(directory, 0o755)
        shutil.copy(SQUALL, directory)
        done = subprocess.run(
            [os.path.join(directory, "squall"), "serve", "stamp", "--on", "udp://127.0.0.1:0", "--drop", "101%"],
            user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual(done.returncode, 2)
        self.assertIn("101%", done.stderr)

    def test_a_family_that_the_machine_lacks_is_left_out_and_said_so(self):
        if not ROOT or not shutil.which("ip"):
            self.skipTest("needs root and ip (iproute2)")
        host = self.host("old")
        with host.entered():
            pathlib.Path("/proc/sys/net/ipv6/conf/all/disable_ipv6").write_text("1")
        node = self.node(host=host, verbose=None)
        self.assertEqual({row.host for row in node.rows}, {"127.0.0.1"})
        self.assertEqual(node.stop(), 0)
        self.assertRegex(node.log(), r"left out: .*\[::1\]")
