"""A probe of the broker's access rules, by real deliveries instead of the broker's answers.

Mosquitto grants every subscription, even if its rules then deliver nothing. On MQTT 3.1.1 it acknowledges
publications that it discards. So it counts alone what arrives, and what does not.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bridge.domain.place import Place
from bridge.domain.probe_topics import FORBIDDEN, canary_topic, forbidden_topic, real_filter
from bridge.domain.topic_tree import TopicBranch
from bridge.mqtt.probe_client import MAX_SEEN, Arrival, ProbeClient
from bridge.mqtt.probe_result import Outcome, ProbeCheck, ProbeResult, ProbeUnfinished
from bridge.mqtt.probe_strangers import PRIVATE, Stranger, StrangerTrial
from bridge.ports.broker import BrokerUnavailable
from bridge.settings.broker import BrokerSettings

PROBE_SECONDS: Final = 15.0  # for one round
DELIVERY_SECONDS: Final = 3.0
REPEAT_SECONDS: Final = 1.0  # long enough for a short disturbance to end
MAX_AT_A_PLACE: Final = 10  # messages of one round: an event of the bridge, and three of each of three strangers
SETTLE_SECONDS: Final = 0.25  # a broker of several nodes need not keep the order between them

_PROVEN: Final = {ProbeCheck.OVER_RIGHTS, ProbeCheck.STRANGER_PUBLISH, ProbeCheck.STRANGER_READ}
_DEVICES_AND_USERS: Final = (TopicBranch.REPORT, TopicBranch.COMMAND)  # who alone publish there
_NO_CANARY: Final = "broker.canary_username is not set: whether reports arrive is not tested"
_OPEN: Final = "not tested: broker.probe is open: anyone may publish reports and commands; for trials only"
_ONE_USER: Final = (
    "not tested: without broker.front_username, bridge and front are one user, who may publish commands. "
    "Use this for trials only; set up the two users of mosquitto/acl.services"
)


async def probe_broker(
    settings: BrokerSettings,
    *,
    root: str,
    stream: str,
    new_canary: Callable[[], bytes],
    reads: Sequence[str] = (),
    places: Sequence[Place] = (),
) -> list[ProbeResult]:
    """Probe what the bridge needs of the broker and what the broker must refuse; return the results of all checks.

    `new_canary` is called for the payload of each canary report. `reads`: filters, relative to the root, whose
    subscription is tested too. `places` of the plant: strangers are tried there too.
    Takes some seconds at most. What fails is repeated once, unless something forbidden
    was delivered, which is proof. Raise `ProbeUnfinished`.

    Leaves nothing in the broker. A running bridge suppresses what arrives of it ("canary", "forged").
    """

    def new_round() -> _Round:
        return _Round(settings, root=root, stream=stream, canary=new_canary(), places=places)

    results = await new_round().run(reads)
    proven = {*_PROVEN, ProbeCheck.CANARY} if settings.canary_username is None else _PROVEN
    if any(result.outcome is Outcome.FAILED and result.check not in proven for result in results):
        await asyncio.sleep(REPEAT_SECONDS)
        results = await new_round().run(reads)
    return results


@dataclass(frozen=True, slots=True)
class _Sent:
    """A message that must arrive at `reader`; `refusal`: the broker's answer, None if it accepted it."""

    check: ProbeCheck
    claim: str
    reader: ProbeClient
    message: Arrival
    refusal: str | None


class _Round:
    """One round of the probe: its clients and their results."""

    def __init__(
        self, settings: BrokerSettings, *, root: str, stream: str, canary: bytes, places: Sequence[Place]
    ) -> None:
        self._settings = settings
        self._root = root
        self._stream = stream
        self._canary = canary
        self._places = places
        self._token = secrets.token_hex(8)
        self._clients: list[ProbeClient] = []
        self._results: list[ProbeResult] = []

    async def run(self, reads: Sequence[str]) -> list[ProbeResult]:
        """Run the round; raise `ProbeUnfinished`."""
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await self._run(reads)
                for client in self._clients:
                    await client.close()
        except TimeoutError:
            raise ProbeUnfinished(f"no end within {PROBE_SECONDS:g} s") from None
        except BrokerUnavailable as gone:
            raise ProbeUnfinished(gone.reason) from None
        finally:
            for client in self._clients:
                client.abort()
        return self._results

    async def _run(self, reads: Sequence[str]) -> None:
        reader = self._new_client(self._settings, most=MAX_SEEN + MAX_AT_A_PLACE * len(self._places))
        if not await self._open(reader) or not await self._subscribe(reader, reads):
            return
        settings = self._settings.model_copy(update={"protocol": reader.protocol})
        bridge = self._new_client(settings)
        front = self._new_client(settings.as_front()) if settings.has_front else None
        if not await self._open(bridge) or (front is not None and not await self._open(front)):
            return
        canary = await self._open_canary(settings)
        trial = StrangerTrial(
            [] if settings.probe == "open" else await self._strangers(settings, canary), self._root, self._places
        )
        await trial.subscribe()
        await self._check_wanted(reader, bridge=bridge, front=front, canary=canary)
        if settings.probe == "open":
            self._add(ProbeCheck.STRANGER_PUBLISH, Outcome.UNTESTED, _OPEN)
        else:
            await self._check_forbidden(reader, bridge, trial)

    async def _open_canary(self, settings: BrokerSettings) -> ProbeClient | None:
        """Return the canary's client, None if there is none, or if the broker refuses it."""
        if settings.canary_username is None:
            if settings.probe == "strict":
                self._add(ProbeCheck.CANARY, Outcome.FAILED, _NO_CANARY)
            return None
        canary = self._new_client(settings.as_canary(), private=True)
        refusal = await canary.open()
        outcome = Outcome.PASSED if refusal is None else Outcome.FAILED
        self._add(ProbeCheck.CANARY, outcome, f"{canary.user}: {refusal or 'connected'}")
        return canary if refusal is None else None

    # -- what must work ---------------------------------------------------------------------------------------------

    async def _open(self, client: ProbeClient) -> bool:
        refusal = await client.open()
        if refusal is not None:
            self._add(ProbeCheck.CONNECT, Outcome.FAILED, f"{client.user}: {refusal}")
            return False
        text = f"{client.user}: MQTT {client.protocol}, {'TLS' if self._settings.tls else 'no TLS'}"
        if all(text != result.text for result in self._results):  # the bridge connects twice
            self._add(ProbeCheck.CONNECT, Outcome.PASSED, text)
        return True

    async def _subscribe(self, reader: ProbeClient, reads: Sequence[str]) -> bool:
        """Subscribe to the probe's own topics, and apart from them to `reads`, which bring the plant's traffic."""
        own = [f"{branch.prefix(self._root)}{FORBIDDEN}/+" for branch in TopicBranch]
        own += [self._topic(real_filter(branch)) for branch in PRIVATE] if self._places else []
        own += [self._topic(canary_topic(branch, self._stream)) for branch in (TopicBranch.REPORT, TopicBranch.COMMAND)]
        refusal = await reader.subscribe(own)
        filters = [self._topic(text) for text in reads]
        if refusal is None and filters:
            client = self._new_client(self._settings.model_copy(update={"protocol": reader.protocol}))
            refusal = await client.open() or await client.subscribe(filters, retained=False)
            client.abort()
        if refusal is not None:
            self._add(ProbeCheck.SUBSCRIBE, Outcome.FAILED, refusal)
            return False
        self._add(ProbeCheck.SUBSCRIBE, Outcome.PASSED, f"{' and '.join(filters) or 'the probe'} granted")
        return True

    async def _check_wanted(
        self,
        reader: ProbeClient,
        *,
        bridge: ProbeClient,
        front: ProbeClient | None,
        canary: ProbeClient | None,
    ) -> None:
        """Check that what the bridge, its front and the canary publish arrives."""
        status, event, lamp = (
            self._topic(forbidden_topic(branch, self._token))
            for branch in (TopicBranch.BRIDGE, TopicBranch.EVENT, TopicBranch.STATION)
        )
        if front is not None and (refusal := await front.subscribe([status, event])) is not None:
            self._add(ProbeCheck.OWN_RIGHTS, Outcome.FAILED, f"the front: {refusal}")
            return
        sent = list[_Sent]()
        for topic, what in ((status, "status messages"), (event, "events"), (lamp, "lamp states")):
            refusal = await bridge.publish(topic, b"")
            claim = f"the bridge can publish {what} and receive them back"
            sent.append(_Sent(ProbeCheck.OWN_RIGHTS, claim, reader, (topic, b""), refusal))
            if front is not None and topic != lamp:  # a separate front needs both
                claim = f"the front receives the bridge's {what}"
                sent.append(_Sent(ProbeCheck.OWN_RIGHTS, claim, front, (topic, b""), refusal))
        canaries = [
            (ProbeCheck.COMMAND, TopicBranch.COMMAND, front or bridge, "the bridge receives the front's commands")
        ]
        if canary is not None or self._settings.probe == "open":
            canaries.append((ProbeCheck.REPORT, TopicBranch.REPORT, canary or bridge, "the bridge receives reports"))
        for check, branch, client, claim in canaries:
            message = self._topic(canary_topic(branch, self._stream)), self._canary
            sent.append(_Sent(check, claim, reader, message, await client.publish(*message)))
        for receiver in (reader, front):
            if receiver is not None:
                await self._judge_sent(receiver, [one for one in sent if one.reader is receiver])

    async def _judge_sent(self, reader: ProbeClient, sent: Sequence[_Sent]) -> None:
        accepted = {one.message for one in sent if one.refusal is None}
        missing = await reader.missing(accepted, seconds=DELIVERY_SECONDS)
        for one in sent:
            if one.refusal is None and one.message not in missing:
                self._add(one.check, Outcome.PASSED, one.claim)
            else:
                reason = one.refusal or "accepted, but not delivered"
                self._add(one.check, Outcome.FAILED, f"not true: {one.claim} ({one.message[0]}: {reason})")

    # -- what must not ----------------------------------------------------------------------------------------------

    async def _strangers(self, settings: BrokerSettings, canary: ProbeClient | None) -> list[Stranger]:
        """Return those that the broker lets in."""
        strangers: list[Stranger] = []
        ports = {settings.port: None}
        if canary is not None:
            user = settings.as_canary()
            ports[user.port] = None
            strangers.append(Stranger(f"{user.username} (port {user.port})", canary, secrets.token_hex(8)))
        for port in ports:
            who = f"a client without a user name (port {port})"
            nobody = self._new_client(settings.as_stranger(port), private=True)
            try:
                refusal = await nobody.open()
            except BrokerUnavailable as gone:  # a TLS alert; others got in at this port just now
                refusal = gone.reason
            if refusal is None:
                strangers.append(Stranger(who, nobody, secrets.token_hex(8)))
            else:
                self._add(ProbeCheck.STRANGER_PUBLISH, Outcome.PASSED, f"{who} is refused ({refusal})")
        return strangers

    async def _check_forbidden(self, reader: ProbeClient, bridge: ProbeClient, trial: StrangerTrial) -> None:
        """Check that nothing arrives of what nobody may publish: a marker, published after it, arrives after it."""
        if self._settings.has_front:
            for branch in _DEVICES_AND_USERS:
                await bridge.publish(self._topic(forbidden_topic(branch, self._token)), b"")
        await trial.publish(bridge)
        marker = self._topic(forbidden_topic(TopicBranch.BRIDGE, f"{self._token}-end")), b""
        await bridge.publish(*marker)
        is_certain = not await reader.missing([marker], seconds=DELIVERY_SECONDS)
        await asyncio.sleep(SETTLE_SECONDS)
        arrived = {arrival for client in self._clients for arrival in client.received}
        self._judge_over_rights({topic for topic, _ in arrived}, is_certain=is_certain)
        self._results += trial.results(arrived, is_certain=is_certain)

    def _judge_over_rights(self, arrived: set[str], *, is_certain: bool) -> None:
        check, who = ProbeCheck.OVER_RIGHTS, "the bridge's user"
        topics = {branch: self._topic(forbidden_topic(branch, self._token)) for branch in _DEVICES_AND_USERS}
        if not self._settings.has_front:
            self._add(check, Outcome.UNTESTED, _ONE_USER)
        elif seen := [PRIVATE[branch] for branch, topic in topics.items() if topic in arrived]:
            self._add(check, Outcome.FAILED, f"{who} may publish {' and '.join(seen)}")
        elif is_certain:
            self._add(check, Outcome.PASSED, f"{who} may not publish what it must not")
        else:
            self._add(check, Outcome.UNTESTED, f"not tested: what {who} may publish (the bridge receives nothing)")

    # -- parts ------------------------------------------------------------------------------------------------------

    def _new_client(self, settings: BrokerSettings, *, private: bool = False, most: int = MAX_SEEN) -> ProbeClient:
        """Return a client; with `private`, it keeps only what a stranger must not read."""
        prefixes = tuple(branch.prefix(self._root) for branch in PRIVATE)
        client = ProbeClient(settings, wanted=lambda topic: not private or topic.startswith(prefixes), most=most)
        self._clients.append(client)
        return client

    def _topic(self, text: str) -> str:
        return f"{self._root}/{text}"

    def _add(self, check: ProbeCheck, outcome: Outcome, text: str) -> None:
        self._results.append(ProbeResult(check, outcome, text))
