"""Who listens on the topic of the stream's status."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiomqtt

STATUS = "floor/v1/bridge/main"


class Statuses:
    """What was heard on the stream's topic, live."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []

    @property
    def last(self) -> dict[str, Any]:
        return self.heard[-1] if self.heard else {}

    def owners(self) -> set[str]:
        return {each["owner"] for each in self.heard if each["online"]}


@contextlib.asynccontextmanager
async def statuses(port: int) -> AsyncIterator[Statuses]:
    found = Statuses()

    async def listen(client: aiomqtt.Client) -> None:
        async for message in client.messages:
            assert isinstance(message.payload, bytes)
            if not message.retain:
                found.heard.append(json.loads(message.payload))

    async with aiomqtt.Client("127.0.0.1", port) as client:
        await client.subscribe(STATUS, qos=1)
        listening = asyncio.create_task(listen(client))
        try:
            yield found
        finally:
            listening.cancel()
            await asyncio.wait([listening])
