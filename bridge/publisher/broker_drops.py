"""Messages dropped by the broker, as it reports them."""

from typing import Final

import structlog

from bridge.ports.broker import MessageSource

DROPPED_TOPIC: Final = "$SYS/broker/publish/messages/dropped"
MAX_DIGITS: Final = 20  # of the reported number: stops a payload of another publisher from becoming a huge integer

log = structlog.get_logger(__name__)


class BrokerDrops:
    """Sum of all drops reported; the broker itself counts from zero again at each of its starts."""

    def __init__(self) -> None:
        self.total = 0
        self._reported = 0

    def update(self, payload: bytes) -> int:
        """Take over a reported number, and return how many messages it adds; 0 for a payload that is no number."""
        digits = payload[:MAX_DIGITS]
        if not digits.isdigit():
            return 0
        former, self._reported = self._reported, int(digits)
        more = self._reported - former if self._reported >= former else self._reported
        self.total += more
        return more

    async def watch(self, source: MessageSource) -> None:
        """Log when the broker drops messages: it reports success to their publishers, so nothing else shows it."""
        while True:
            for message in await source.receive(most=10):
                more = self.update(message.payload)
                if more:
                    log.warning("broker.messages_dropped", dropped=self.total, more=more)
