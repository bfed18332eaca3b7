"""Attempts of the probe as a stranger: publishing and reading what no device may.

It tries it below `_probe`, where no plant has a place, and at places of the plant: a rule may concern those alone.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

from bridge.domain.ids import is_id
from bridge.domain.place import Place
from bridge.domain.probe_topics import forbidden_topic, real_topic
from bridge.domain.topic_tree import TopicBranch
from bridge.mqtt.probe_client import Arrival, ProbeClient
from bridge.mqtt.probe_result import Outcome, ProbeCheck, ProbeResult

REAL_SECONDS: Final = 3.0
"""For the subscriptions at real places, and again for the publications there; the rest waits for a later round."""

PRIVATE: Final = {TopicBranch.REPORT: "reports", TopicBranch.COMMAND: "commands", TopicBranch.EVENT: "events"}


@dataclass(frozen=True, slots=True)
class Stranger:
    """A client that may neither publish nor read here; it publishes under a token of its own."""

    who: str
    client: ProbeClient
    token: str


@dataclass(slots=True)
class StrangerTrial:
    """The trial of these strangers below this root, and at these places."""

    strangers: Sequence[Stranger]
    root: str
    places: Sequence[Place]
    tried: list[Place] = field(default_factory=list)
    """Places at which every stranger has published."""

    async def subscribe(self) -> None:
        """Subscribe to all that strangers must not read. Granted or refused proves nothing."""
        for stranger in self.strangers:
            for topic_filter in (*(branch.topic_filter(self.root) for branch in PRIVATE), "#"):
                await _subscribe(stranger, topic_filter)
        until = asyncio.get_running_loop().time() + REAL_SECONDS
        for site in dict.fromkeys(place.site for place in self.places):
            if asyncio.get_running_loop().time() > until:
                return
            for stranger in self.strangers:
                for branch in PRIVATE:
                    await _subscribe(stranger, f"{branch.prefix(self.root)}{site}/#")

    async def publish(self, bridge: ProbeClient) -> None:
        """Publish what strangers must not; `bridge` publishes, at the same places, an event that none may read."""
        for stranger in self.strangers:
            for branch in PRIVATE:
                await stranger.client.publish(f"{self.root}/{forbidden_topic(branch, stranger.token)}", b"")
        until = asyncio.get_running_loop().time() + REAL_SECONDS
        for place in self.places if self.strangers else ():
            if asyncio.get_running_loop().time() > until:
                return
            await bridge.publish(self._real(TopicBranch.EVENT, place), b"")
            for stranger in self.strangers:
                for branch in PRIVATE:
                    await stranger.client.publish(self._real(branch, place), stranger.token.encode())
            self.tried.append(place)

    def results(self, arrived: AbstractSet[Arrival], *, is_certain: bool) -> Iterator[ProbeResult]:
        """Yield the results, with `arrived` at any client; not `is_certain`: what did not arrive proves nothing."""
        topics = {topic for topic, _ in arrived}
        for stranger in self.strangers:
            made_up = {
                branch for branch in PRIVATE if f"{self.root}/{forbidden_topic(branch, stranger.token)}" in topics
            }
            token = stranger.token.encode()
            real = {
                place: {branch for branch in PRIVATE if (self._real(branch, place), token) in arrived}
                for place in self.tried
            }
            yield self._result(stranger, ProbeCheck.STRANGER_PUBLISH, made_up, real, is_certain=is_certain)
            made_up, real = self._read(topic for topic, _ in stranger.client.received)
            yield self._result(stranger, ProbeCheck.STRANGER_READ, made_up, real, is_certain=is_certain)

    def _read(self, topics: Iterable[str]) -> tuple[set[TopicBranch], dict[Place, set[TopicBranch]]]:
        """Return the branches of these topics: of those of no place, and by place, those that are tried first."""
        made_up, real = set[TopicBranch](), {place: set[TopicBranch]() for place in self.places}
        for topic in sorted(topics):
            branch = next(branch for branch in PRIVATE if topic.startswith(branch.prefix(self.root)))
            levels = topic.removeprefix(branch.prefix(self.root)).split("/", 4)
            if len(levels) == 5 and is_id(levels[0]):
                real.setdefault(Place.from_levels(levels[:4]), set()).add(branch)
            else:
                made_up.add(branch)
        return made_up, real

    def _result(
        self,
        stranger: Stranger,
        check: ProbeCheck,
        made_up: AbstractSet[TopicBranch],
        real: Mapping[Place, AbstractSet[TopicBranch]],
        *,
        is_certain: bool,
    ) -> ProbeResult:
        may = f"{stranger.who} may"
        verb = "publish" if check is ProbeCheck.STRANGER_PUBLISH else "read"
        places = tuple(place for place, branches in real.items() if branches)
        seen = [what for branch, what in PRIVATE.items() if branch in made_up or branch in set().union(*real.values())]
        if seen:
            at = f" at {'/'.join(places[0].levels())}" if not made_up else ""
            return ProbeResult(check, Outcome.FAILED, f"{may} {verb} {' and '.join(seen)}{at}", places)
        if not is_certain:
            text = f"not tested: what {may} {verb} (the bridge receives nothing)"
            return ProbeResult(check, Outcome.UNTESTED, text)
        nor = f", nor at {len(self.tried)} places of the plant" if self.tried else ""
        return ProbeResult(check, Outcome.PASSED, f"{may} not {verb} what it must not{nor}")

    def _real(self, branch: TopicBranch, place: Place) -> str:
        return f"{self.root}/{real_topic(branch, place)}"


async def _subscribe(stranger: Stranger, topic_filter: str) -> None:
    await stranger.client.subscribe([topic_filter], qos=0, retained=False)  # QoS 0 costs the broker least
