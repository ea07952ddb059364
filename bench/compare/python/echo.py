"""Datagram echo servers as Python's standard library offers them.

usage: echo.py plain|threading|forking|asyncio|raw PORT
"""

import asyncio
import socket
import socketserver
import sys


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        sock.sendto(data, self.client_address)


class ThreadingServer(socketserver.ThreadingUDPServer):
    daemon_threads = True


class Protocol(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


async def serve_asyncio(address):
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(Protocol, local_addr=address)
    await asyncio.Event().wait()


def serve_raw(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        while True:
            data, peer = sock.recvfrom(65536)
            sock.sendto(data, peer)


SERVERS = {
    "plain": socketserver.UDPServer,
    "threading": ThreadingServer,
    "forking": socketserver.ForkingUDPServer,
}


def main():
    mode, address = sys.argv[1], ("127.0.0.1", int(sys.argv[2]))
    if mode == "asyncio":
        asyncio.run(serve_asyncio(address))
    elif mode == "raw":
        serve_raw(address)
    else:
        with SERVERS[mode](address, Handler) as server:
            server.serve_forever()


if __name__ == "__main__":
    main()
