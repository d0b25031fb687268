"""The guide's API server as the load rig wants it: the release on every answer,
one line per request that has an id, bodies echoed, answers after a while."""

import asyncio
import os
import re

from fastapi import FastAPI, Request, Response

RELEASE = os.environ.get("RELEASE", "1")


class Marked:
    """Pure ASGI, and not @app.middleware("http"): that one ends an answer in a
    message of its own, and Debian's Uvicorn (0.17) may then drop the answer to a
    request that takes longer than Gunicorn's keep-alive of 2 s and comes right after
    another on its connection: 2 of 8 on bare sockets, with no proxy at all."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        status = 0

        async def marked(message):
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-release", RELEASE.encode())]
            await send(message)

        await self.app(scope, receive, marked)
        rid = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
        if rid:
            rid = re.sub(r"[^!-~]", "_", rid)[:256]
            line = f"id={rid} method={scope['method']} path={scope['path']} status={status} release={RELEASE}\n"
            os.write(1, line.encode())  # one write: the workers share the pipe


app = FastAPI()
app.add_middleware(Marked)


@app.get("/health")
async def health():
    return {"status": "ok", "release": RELEASE}


@app.get("/echo")
async def echo(request: Request):
    return {"release": RELEASE, "header": dict(request.headers)}


@app.post("/echo")
async def echo_body(request: Request):
    kind = request.headers.get("content-type", "application/octet-stream")
    return Response(await request.body(), media_type=kind)


@app.get("/slow")
async def slow(d: str = "2s"):
    number, unit = re.fullmatch(r"(\d+)(ms|s)", d).groups()
    await asyncio.sleep(int(number) / (1000 if unit == "ms" else 1))
    return {"release": RELEASE, "slept": d}
