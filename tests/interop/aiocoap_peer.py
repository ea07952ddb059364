"""What `test_coap` asks of aiocoap, run by a Python that has it: prints a JSON object for each answer.

    aiocoap_peer.py coap://HOST:PORT get|post|put|observe PATH [LENGTH]
"""

import asyncio
import json
import sys

import aiocoap

from coap_body import body


def show(response, wanted=None):
    text = response.payload.decode() if len(response.payload) < 1000 and wanted is None else None
    print(json.dumps({
        "code": str(response.code),
        "length": len(response.payload),
        "text": text,
        "same": None if wanted is None else response.payload == wanted,
        "observed": response.opt.observe is not None,
    }), flush=True)


async def main(base, what, path, length=0):
    context = await aiocoap.Context.create_client_context()
    payload = body(int(length))
    code = {"post": aiocoap.POST, "put": aiocoap.PUT}.get(what, aiocoap.GET)
    observe = 0 if what == "observe" else None
    request = aiocoap.Message(code=code, uri=base + path, payload=payload if code != aiocoap.GET else b"", observe=observe)
    exchange = context.request(request)
    response = await exchange.response
    show(response, payload if length else None)
    if observe == 0 and response.opt.observe is not None:
        seen = 0
        async for notification in exchange.observation:
            show(notification)
            seen += 1
            if seen == 3:
                break
        exchange.observation.cancel()
    await context.shutdown()


asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 60))
