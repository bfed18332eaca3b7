"""Real time of the event loop's clock, which neither the floor's clock nor the host's affects."""

import asyncio

from bridge.domain.utc_time import Millis


def monotonic_ms() -> Millis:
    """Return real time in ms, for doubts about acknowledgements; the floor's clock does not affect it."""
    return int(asyncio.get_running_loop().time() * 1_000)
