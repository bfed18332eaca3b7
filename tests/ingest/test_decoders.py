"""The table of decoders: the first matching row decodes, and every topic is subscribed once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.intake import Decoder
from bridge.domain.reports import Disposition, Report, StateReport, quarantined
from bridge.domain.topics import TopicFilter, TopicName
from bridge.ingest import native
from bridge.ingest.decoders import DecoderTable, build_decoders
from tests.ingest import raw_state

NATIVE = "report/north/pack/L1/bagger/state"
NATIVE_STATE = b'{"state": "stopped"}'


def decoded(table: DecoderTable, topic: str, payload: bytes) -> Report | Disposition:
    return table(topic, payload, received_at=1_000, cause="input:1", retained=False)


def deciding(reason: str) -> Decoder:
    """Return a decoder whose result names it."""
    return lambda *_, **__: quarantined(reason)


def table_of(*filters: str) -> DecoderTable:
    return DecoderTable([(text, deciding(text)) for text in filters])


def test_the_pipelines_table_decodes_the_bridges_own_messages() -> None:
    table = build_decoders(max_bytes=100)
    assert table.subscriptions == ("report/#", "command/#")
    expected = native.decode(NATIVE, NATIVE_STATE, received_at=1_000, cause="input:1", retained=False)
    assert decoded(table, NATIVE, NATIVE_STATE) == expected
    assert decoded(table, NATIVE, b"x" * 101) == quarantined("too_large")


@pytest.mark.parametrize("topic", ["else/where", "report", "reports/north/pack/L1/bagger/state", "", "a\n/\u0000", "/"])
def test_a_topic_of_no_decoder_is_quarantined(topic: str) -> None:
    assert decoded(build_decoders(max_bytes=100), topic, NATIVE_STATE) == quarantined("bad_topic")


def test_a_second_format_needs_a_module_and_a_row() -> None:
    table = DecoderTable([("report/#", native.decode), (raw_state.FILTER, raw_state.decode)])
    assert table.subscriptions == ("report/#", raw_state.FILTER)
    for topic, payload in ((raw_state.TOPIC, b"stopped"), (NATIVE, NATIVE_STATE)):
        report = decoded(table, topic, payload)
        assert isinstance(report, Report)
        assert report.body == StateReport(state="stopped")
        assert report.place.equipment == "bagger"
    assert decoded(table, raw_state.TOPIC, b"gone") == quarantined("unknown_word")


def test_the_first_matching_row_decodes() -> None:
    table = table_of("report/+/raw", "report/#", "#")
    assert decoded(table, "report/a/raw", b"") == quarantined("report/+/raw")
    assert decoded(table, "report/a/other", b"") == quarantined("report/#")
    assert decoded(table, "raw", b"") == quarantined("#")
    assert table.subscriptions == ("#",)  # it delivers what the other rows decode, too


def test_a_row_that_is_never_used_is_refused() -> None:
    with pytest.raises(ValueError, match=r"report/\+/raw is never used: report/#, before it, covers it"):
        table_of("report/#", "report/+/raw")


def test_rows_whose_subscriptions_could_deliver_a_message_twice_are_refused() -> None:
    with pytest.raises(ValueError, match=r"report/\+/raw and report/a/\+ overlap"):
        table_of("report/+/raw", "report/a/+")


LEVELS = st.sampled_from(("a", "b", "", "$x", "a.c", "\n"))
FILTERS = st.builds(
    lambda levels, tail: "/".join([*levels, "#"] if tail else levels) or "+",
    st.lists(LEVELS.filter(str.isprintable) | st.just("+"), min_size=1, max_size=4),
    st.booleans(),
)


@given(FILTERS, st.lists(LEVELS.filter(str.isprintable), min_size=1, max_size=5).map("/".join).filter(bool))
def test_a_row_decodes_what_its_filter_matches(text: str, topic: str) -> None:
    matches = TopicFilter.parse(text).matches(TopicName.parse(topic))
    assert decoded(table_of(text), topic, b"") == quarantined(text if matches else "bad_topic")
