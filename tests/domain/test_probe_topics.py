"""Topics of the probe: an input on one is suppressed, whatever it is; no place of a plant has one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.ids import is_id
from bridge.domain.place import Place
from bridge.domain.probe_topics import (
    CANARY,
    FORBIDDEN,
    canary_topic,
    forbidden_topic,
    probe_disposition,
    real_filter,
    real_topic,
)
from bridge.domain.records import input_kind
from bridge.domain.reports import BODY_OF, Disposition, Report, quarantined, suppressed
from bridge.domain.topic_tree import TopicBranch
from bridge.domain.topics import TopicFilter, TopicName
from bridge.ingest.decoders import build_decoders

IDS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
LEVELS = st.sampled_from([CANARY, FORBIDDEN, "", "a", "_", "main", "state", "andon", "\ud800", "\n"]) | st.text(
    max_size=3
)


def decoded(topic: str, payload: bytes) -> Report | Disposition:
    return build_decoders(max_bytes=100)(topic, payload, received_at=1, cause="input:1", retained=False)


@given(
    st.sampled_from([TopicBranch.REPORT, TopicBranch.COMMAND]),
    st.sampled_from([(CANARY, "canary"), (FORBIDDEN, "forged")]),
    st.lists(LEVELS, max_size=6),
    st.binary(max_size=200),
)
def test_an_input_on_a_topic_of_the_probe_is_suppressed_at_any_depth_and_with_any_payload(
    branch: TopicBranch, second: tuple[str, str], more: list[str], payload: bytes
) -> None:
    level, reason = second
    topic = "/".join([branch, level, *more])
    assert decoded(topic, payload) == suppressed(reason)
    assert input_kind(topic) == "probe"


@pytest.mark.parametrize("kind", BODY_OF)
def test_a_good_report_below_the_probe_has_no_effect(kind: str) -> None:
    """Only rules that are too wide let it through, so it is no device's."""
    assert decoded(f"report/{CANARY}/a/b/c/{kind}", b'{"state": "running"}') == suppressed("canary")
    assert decoded(f"command/{FORBIDDEN}/a/b/c/{kind}", b"{}") == suppressed("forged")


@given(
    st.sampled_from([TopicBranch.REPORT, TopicBranch.COMMAND]),
    st.builds(Place, IDS, IDS, IDS, st.none() | IDS),
    st.binary(max_size=200),
)
def test_an_input_of_the_probe_at_a_place_of_the_plant_is_suppressed_with_any_payload(
    branch: TopicBranch, place: Place, payload: bytes
) -> None:
    topic = real_topic(branch, place)
    assert decoded(topic, payload) == suppressed("forged")
    assert input_kind(topic) == "probe"
    assert TopicFilter.parse(real_filter(branch)).matches(TopicName.parse(topic))


def test_no_kind_of_report_is_a_level_of_the_probe() -> None:
    assert not {CANARY, FORBIDDEN} & set(BODY_OF)


@given(IDS)
def test_no_id_is_a_level_of_the_probe(text: str) -> None:
    assert is_id(text)
    assert text not in (CANARY, FORBIDDEN)
    assert probe_disposition(f"report/{text}/a") is None


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "report",
        "_canary",
        "report/x/_canary",
        "report/_canaryx/main",
        "report//_probe",
        "report/_probes",
        "report/a/b/c/d/e/_probe",
    ],
)
def test_any_other_topic_is_none_of_the_probe(topic: str) -> None:
    assert probe_disposition(topic) is None
    assert input_kind(topic) != "probe"
    assert decoded(topic, b"{}") == quarantined("bad_topic")


def test_the_topics_that_are_published_are_those_that_are_recognized() -> None:
    assert canary_topic(TopicBranch.REPORT, "main") == "report/_canary/main"
    assert forbidden_topic(TopicBranch.COMMAND, "0a") == "command/_probe/0a"
    assert probe_disposition(canary_topic(TopicBranch.COMMAND, "main")) == suppressed("canary")
    assert probe_disposition(forbidden_topic(TopicBranch.REPORT, "0a")) == suppressed("forged")
