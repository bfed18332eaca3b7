"""The manager of FastAPI's documentation: a list of WebSockets, and a loop that awaits `send_text` on each."""

import asyncio
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from starlette.routing import WebSocketRoute

from bridge.http.listener import listen
from bridge.wiring import runtime
from tests.bench.load import StampedBatch
from tests.bench.servers.served import obey


class ConnectionManager:
    def __init__(self) -> None:
        self.active_connections: list[WebSocket] = []

    async def connect(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.active_connections.append(websocket)
        await websocket.send_text("ready")

    def disconnect(self, websocket: WebSocket) -> None:
        self.active_connections.remove(websocket)

    async def broadcast(self, message: str) -> None:
        for connection in self.active_connections:
            await connection.send_text(message)


manager = ConnectionManager()


async def endpoint(websocket: WebSocket) -> None:
    await manager.connect(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        manager.disconnect(websocket)


def prepare(batches: Sequence[StampedBatch]) -> list[tuple[int, list[str]]]:
    return [(batch.due, [event.body.decode() for event in batch.events]) for batch in batches]


async def send(messages: Sequence[str]) -> None:
    for message in messages:
        await manager.broadcast(message)


async def run() -> None:
    app = FastAPI(routes=[WebSocketRoute("/ws", endpoint)])
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off"))
    listener = listen("127.0.0.1", 0)
    serving = asyncio.create_task(server.serve([listener]))
    await obey(listener.getsockname()[1], prepare, send)
    serving.cancel()


if __name__ == "__main__":
    runtime.run(run())
