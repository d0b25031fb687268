"""The guide's API server as the load rig wants it: the release on every answer,
one line per request that has an id, bodies echoed, answers after a while."""

import asyncio
import os
import re

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

RELEASE = os.environ.get("RELEASE", "1")

app = FastAPI()


@app.middleware("http")
async def marked(request: Request, call_next):
    response = await call_next(request)
    response.headers["X-Release"] = RELEASE
    rid = request.headers.get("x-request-id")
    if rid:
        rid = re.sub(r"[^!-~]", "_", rid)[:256]
        print(f"id={rid} method={request.method} path={request.url.path} "
              f"status={response.status_code} release={RELEASE}", flush=True)
    return response


@app.get("/health")
async def health():
    return {"status": "ok", "release": RELEASE}


@app.get("/echo")
async def echo(request: Request):
    return JSONResponse({"release": RELEASE, "header": dict(request.headers), "client": request.client.host})


@app.post("/echo")
async def echo_body(request: Request):
    kind = request.headers.get("content-type", "application/octet-stream")
    return Response(await request.body(), media_type=kind)


@app.get("/slow")
async def slow(d: str = "2s"):
    number, unit = re.fullmatch(r"(\d+)(ms|s)", d).groups()
    await asyncio.sleep(int(number) / (1000 if unit == "ms" else 1))
    return {"release": RELEASE, "slept": d}
