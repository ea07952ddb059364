"""Clients as Python programs have written them for twenty years, and as they write them today."""

import asyncio
import os
import re
import socket
import time

from harness import CTIME, PATIENCE, TestCase, needs_ipv6

STAMPED = re.compile(rb"\[" + CTIME.encode() + rb"\] (.*)", re.DOTALL)


class PythonClients(TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.owner = TestCase()
        cls.addClassCleanup(cls.owner.doCleanups)
        cls.server = cls.owner.node(*cls.owner.every_service(), verbose=None)

    def assert_stamped(self, answer, data):
        found = STAMPED.fullmatch(answer)
        self.assertTrue(found, answer)
        self.assertEqual(found[1], data)

    def test_a_datagram_client_learns_the_time_by_an_empty_datagram(self):
        address = self.server.address("time")
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        before = int(time.time())
        client.sendto(b"", address)
        data, server = client.recvfrom(1024)
        text = data.decode()
        self.assertRegex(text, f"^{CTIME}$")
        self.assertIn(int(time.mktime(time.strptime(text))), range(before, int(time.time()) + 1))
        self.assertEqual(server, address)

    def test_a_datagram_client_learns_how_long_its_data_were(self):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        for data in (b"", b"x", "Grüße".encode(), bytes(65507)):
            client.sendto(data, self.server.address("length"))
            answer, _ = client.recvfrom(65536)
            self.assertEqual(answer, b"Your data was %d bytes long" % len(data))

    def test_a_datagram_client_gets_its_data_behind_a_time_stamp(self):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        for data in (b"hello", b"", b"a\r\nb\n", bytes(range(256))):
            client.sendto(data, self.server.address("stamp"))
            answer, _ = client.recvfrom(1024)
            self.assert_stamped(answer, data)

    def test_a_datagram_client_gets_the_fixed_reply_and_its_echo(self):
        self.assertEqual(self.ask(self.server.address("reply")), "你好".encode())
        self.assertEqual(self.ask(self.server.address("echo"), b"\0\xff"), b"\0\xff")

    def test_a_stream_client_sends_chunks_without_line_ends_and_waits_for_each_answer(self):
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        client.connect(self.server.address("stamp", "tcp"))
        for data in (b"hi", b"one more", b"bye"):
            client.send(data)
            self.assert_stamped(client.recv(1024), data)

    def test_a_stream_client_opens_a_connection_for_each_line(self):
        for data in ("hi", "one more", ""):
            client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            client.settimeout(PATIENCE)
            client.connect(self.server.address("stamp", "tcp"))
            client.send(f"{data}\r\n".encode())
            with client.makefile("rb") as answers:
                line = answers.readline()
            client.close()
            self.assert_stamped(line, f"{data}\r\n".encode())

    def test_the_clients_of_socketserver_s_own_documentation_work(self):
        text = "Hello World"
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(self.server.address("stamp", "tcp"))
            sock.sendall(bytes(text + "\n", "utf-8"))
            received = sock.recv(1024)
        self.assert_stamped(received, b"Hello World\n")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(PATIENCE)
            sock.sendto(bytes(text + "\n", "utf-8"), self.server.address("stamp"))
            received = sock.recv(1024)
        self.assert_stamped(received, b"Hello World\n")

    def test_a_client_that_closes_its_sending_side_gets_the_whole_answer(self):
        for service, answer in (("length", b"Your data was 5 bytes long"), ("echo", b"hello")):
            client = self.tcp(self.server.address(service, "tcp"))
            client.sendall(b"hello")
            client.shutdown(socket.SHUT_WR)
            with client.makefile("rb") as answers:
                self.assertEqual(answers.read(), answer)

    def test_asyncio_asks_by_datagram_and_by_stream(self):
        class Client(asyncio.DatagramProtocol):
            def __init__(self, answer):
                self.answer = answer

            def connection_made(self, transport):
                transport.sendto(b"hello")

            def datagram_received(self, data, address):
                self.answer.set_result(data)

            def error_received(self, error):
                self.answer.set_exception(error)

        async def datagram():
            loop = asyncio.get_running_loop()
            answer = loop.create_future()
            remote = self.server.address("stamp")
            transport, _ = await loop.create_datagram_endpoint(lambda: Client(answer), remote_addr=remote)
            try:
                return await asyncio.wait_for(answer, PATIENCE)
            finally:
                transport.close()

        async def stream():
            reader, writer = await asyncio.open_connection(*self.server.address("stamp", "tcp"))
            try:
                writer.write(b"hello\r\n")
                return await asyncio.wait_for(reader.readline(), PATIENCE)
            finally:
                writer.close()
                await writer.wait_closed()

        self.assert_stamped(asyncio.run(datagram()), b"hello")
        self.assert_stamped(asyncio.run(stream()), b"hello\r\n")

    @needs_ipv6
    def test_the_same_services_answer_over_ipv6(self):
        answer = self.ask(self.server.address("stamp", family=socket.AF_INET6))
        self.assert_stamped(answer, b"hello")
        client = self.tcp(self.server.address("stamp", "tcp", family=socket.AF_INET6))
        client.send(b"hello")
        self.assert_stamped(client.recv(1024), b"hello")

    def test_a_unix_stream_client_is_answered(self):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        client.connect(self.server.row("stamp", "unix").path)
        for data in (b"hi", b"one more"):
            client.send(data)
            self.assert_stamped(client.recv(1024), data)

    def test_a_unix_datagram_client_with_a_path_or_an_abstract_name_is_answered(self):
        for name in (os.path.join(self.directory(), "client"), ""):
            client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self.addCleanup(client.close)
            client.settimeout(PATIENCE)
            client.bind(name)
            client.connect(self.server.row("stamp", "unixgram").path)
            client.send(b"hello")
            self.assert_stamped(client.recv(1024), b"hello")

    def test_a_unix_datagram_client_without_a_name_cannot_be_answered_and_harms_nobody(self):
        server = self.node("stamp", "--on", f"unixgram:{self.directory()}/s")
        path = server.row("stamp", "unixgram").path
        nobody = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(nobody.close)
        nobody.sendto(b"hello", path)
        client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        client.bind("")
        client.sendto(b"hello", path)
        self.assert_stamped(client.recv(1024), b"hello")
        self.assertEqual(server.stop(), 0)
        self.assertEqual(server.counts()["no_return_address"], 1)
