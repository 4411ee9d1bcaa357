"""An HTTP proxy in front of the local DynamoDB that can make it fail."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from random import Random

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from benchmarks.drills.store_fault import SLOW_SECONDS, Outage, StoreFault

LOOK_SECONDS = 0.05
MAX_CONNECTIONS = 200

_THROTTLED = {
    "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
    "message": "throttled",
}


class StoreProxy:
    """`now` is the clock of the outage."""

    def __init__(self, table: str, outage: Outage, now: Callable[[], float]) -> None:
        self._outage = outage
        self._now = now
        self._luck = Random(13)
        limits = httpx.Limits(max_connections=MAX_CONNECTIONS)
        self._client = httpx.AsyncClient(base_url=table, trust_env=False, limits=limits)
        self.app = Starlette(routes=[Route("/", self._forward, methods=["POST"])])

    async def close(self) -> None:
        await self._client.aclose()

    async def _forward(self, request: Request) -> Response:
        body = await request.body()
        match self._outage.at(self._now()):
            case StoreFault.THROTTLED:
                return JSONResponse(_THROTTLED, 400)
            case StoreFault.SLOW:
                await asyncio.sleep(self._luck.uniform(*SLOW_SECONDS))
            case StoreFault.UNAVAILABLE:
                if await self._has_left(request):
                    return Response(status_code=503)  # nobody reads it
        kept = ("x-amz-target", "content-type", "authorization", "x-amz-date")
        headers = {name: request.headers[name] for name in kept if name in request.headers}
        answer = await self._client.post("/", content=body, headers=headers)
        return Response(answer.content, answer.status_code, {"content-type": "application/json"})

    async def _has_left(self, request: Request) -> bool:
        """Keep the client waiting. One that still waits at the end of the outage is served."""
        while self._outage.at(self._now()) is StoreFault.UNAVAILABLE:
            if await request.is_disconnected():
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # they belong to the program


@asynccontextmanager
async def store_proxy(table: str, outage: Outage, now: Callable[[], float]) -> AsyncIterator[str]:
    """Yields the address of the proxy."""
    proxy = StoreProxy(table, outage, now)
    server = _Server(uvicorn.Config(proxy.app, lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(server.serve([listener]))
            try:
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            finally:
                server.should_exit = True
                server.force_exit = True
                await proxy.close()
