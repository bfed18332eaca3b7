"""Reports are numbered as they are sent, and a mailbox keeps what people did while the broker is away."""

import json

from device_sim.link import MAILBOX, Mailbox
from device_sim.messages import Message, Stamp

TOPIC = "report/s/a/l/D/counts"


def message(kind: str = "counts", number: int = 0) -> Message:
    return Message(1_000, "D", kind, TOPIC, {"number": number})


def test_a_stamp_counts_from_0_over_all_kinds() -> None:
    stamp = Stamp(7)
    payloads = [json.loads(stamp.payload(message(kind))) for kind in ("birth", "state", "counts")]
    assert [(payload["boot_id"], payload["seq"]) for payload in payloads] == [(7, 0), (7, 1), (7, 2)]
    assert "ts" not in payloads[0]


def test_timestamps_are_the_simulated_milliseconds_where_asked_for() -> None:
    assert json.loads(Stamp(7, timestamps=True).payload(message()))["ts"] == 1_000


async def test_a_mailbox_gives_in_order_and_ends_when_closed() -> None:
    mailbox = Mailbox()
    for number in range(3):
        mailbox.post(message(number=number), online=True)
    mailbox.close()
    given = []
    while (first := await mailbox.first()) is not None:
        given.append(first.body["number"])
        mailbox.sent(first)
    assert given == [0, 1, 2]


async def test_a_message_stays_until_the_broker_has_it() -> None:
    mailbox = Mailbox()
    mailbox.post(message(number=1), online=True)
    assert await mailbox.first() is await mailbox.first()


async def test_while_the_broker_is_away_only_deeds_are_kept() -> None:
    mailbox = Mailbox()
    mailbox.post(message("counts"), online=True)
    mailbox.post(message("andon"), online=True)
    mailbox.keep_actions()
    mailbox.post(message("state"), online=False)
    mailbox.post(message("job"), online=False)
    mailbox.close()
    kinds = []
    while (first := await mailbox.first()) is not None:
        kinds.append(first.kind)
        mailbox.sent(first)
    assert kinds == ["andon", "job"]
    assert mailbox.dropped == 2


async def test_a_mailbox_is_bounded_and_drops_the_oldest() -> None:
    mailbox = Mailbox()
    for number in range(MAILBOX + 5):
        mailbox.post(message(number=number), online=True)
    first = await mailbox.first()
    assert first is not None
    assert first.body["number"] == 5
    assert mailbox.dropped == 5
