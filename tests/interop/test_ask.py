"""`squall ask` against the servers that Python's standard library makes."""

import socketserver
import subprocess
import threading

from harness import PATIENCE, SQUALL, TestCase, needs_hosts


class Lines(socketserver.StreamRequestHandler):
    """Answers once it has a line, or all there is."""

    def handle(self):
        self.wfile.write(self.rfile.readline().strip().upper())


class Chunks(socketserver.BaseRequestHandler):
    """Answers each chunk until the client closes."""

    def handle(self):
        while data := self.request.recv(1024):
            self.request.sendall(data.upper())


class Datagrams(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data.upper(), self.client_address)


class Ask(TestCase):
    def serve(self, server, handler):
        server = server(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(server.shutdown)
        return "%s:%d" % server.server_address

    def squall_ask(self, *arguments):
        return subprocess.run([SQUALL, "ask", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE)

    def test_servers_of_socketserver_answer_it(self):
        for transport, server, handler in (
            ("udp", socketserver.UDPServer, Datagrams),
            ("udp", socketserver.ThreadingUDPServer, Datagrams),
            ("udp", socketserver.ForkingUDPServer, Datagrams),
            ("tcp", socketserver.TCPServer, Lines),
            ("tcp", socketserver.ThreadingTCPServer, Chunks),
        ):
            with self.subTest(server=server.__name__, handler=handler.__name__):
                done = self.squall_ask(f"{transport}://{self.serve(server, handler)}", "hello")
                self.assertEqual((done.returncode, done.stdout.rstrip("\n")), (0, "HELLO"), done.stderr)

    def test_a_server_that_is_not_there_is_told_by_exit_code_69(self):
        with self.udp(bind=("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        done = self.squall_ask(f"udp://127.0.0.1:{port}", "hello")
        self.assertEqual((done.returncode, done.stdout), (69, ""))
        self.assertIn(f"127.0.0.1:{port}", done.stderr)

    @needs_hosts
    def test_a_name_server_that_is_silent_is_told_by_exit_code_69_by_every_command(self):
        # A host without a network, and thus without a name server.
        host, name = self.host("alone"), "name.example"
        for command in (
            ["ask", name, "x"],
            ["ask", f"coap://{name}/x"],
            ["ask", "127.0.0.1", "x", "--from", name],
            ["mtu", name],
            ["shout", "x", "--to", name],
            ["listen", name],
            ["listen", "--group", name],
            ["lookup", name],
            ["bench", f"udp://{name}:9"],
            ["serve", "echo", "--on", f"udp://{name}:9"],
            ["relay", "--on", "127.0.0.1:0", "--to", f"{name}:9"],
            ["relay", "--on", f"{name}:9", "--to", "127.0.0.1:9"],
        ):
            with self.subTest(command), host.entered():
                ended = subprocess.run(
                    [SQUALL, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
                )
                self.assertEqual((ended.returncode, ended.stdout), (69, ""), ended.stderr)
                self.assertRegex(ended.stderr, r"^squall: .*the name servers did not answer for host \S+; try again\n$")
