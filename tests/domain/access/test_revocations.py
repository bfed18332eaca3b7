"""The revocation list: what it revokes, exactly, and what makes it invalid."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bridge.domain.access.claims import Claims
from bridge.domain.access.revocations import (
    MAX_ENTRIES,
    AllEntry,
    Revocation,
    Revocations,
    RevocationsError,
    TokenEntry,
    UserEntry,
    encode_list,
    parse_list,
)
from bridge.domain.utc_time import parse_rfc3339, rfc3339

NOON = 1_767_700_800_000
AT = rfc3339(NOON)
USER = {"kind": "user", "subject": "eva", "revoked_at": AT}
# As printable texts may differ: by case, blanks, quotes, comments, width, and the order or form of marks.
PIECES = (
    "name",
    "Name",
    "#EXT#@tenant",
    " ",
    "\u3000",
    '"',
    "\\",
    "é",
    "e\u0301",
    "ﬁ",
    "fi",
    "ß",
    "ss",
    "user",
    ",",
    "\U0001f600",
)
IDS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map("".join)
SUBJECTS = (IDS | IDS.map(lambda text: (text * 255)[:255])).filter(str.isprintable)
TOKEN_IDS = IDS | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255)
TIMES = st.none() | st.integers(NOON - 2, NOON + 2)


def claims(subject: str, *, token_id: str | None = None, issued_at: int | None = NOON) -> Claims:
    return Claims(subject, "floor", NOON + 1_000, token_id, {}, issued_at)


def written(*entries: Revocation) -> Revocations:
    """Return what a list of these revokes, after it was written and read."""
    return Revocations.parse(encode_list(entries), source="revoked.json")


@given(SUBJECTS, SUBJECTS)
@example("name#EXT#@tenant", "name")
@example("first last", "first")
@example("eva", "Eva")
@example("eva", "eva ")
@example("é", "e\u0301")
@example("ﬁ", "fi")
def test_every_subject_that_may_sign_in_is_revoked_exactly(one: str, other: str) -> None:
    revocations = written(UserEntry(subject=one, revoked_at=AT))
    assert revocations.revokes(claims(one, token_id=other))
    assert revocations.revokes(claims(other, token_id=one)) == (one == other)


@given(TOKEN_IDS, TOKEN_IDS)
@example("a\n#b", "a")
def test_every_token_id_is_revoked_exactly(one: str, other: str) -> None:
    revocations = written(TokenEntry(token_id=one, revoked_at=AT))
    assert revocations.revokes(claims(other, token_id=one))
    assert revocations.revokes(claims(one, token_id=other)) == (one == other)
    assert not revocations.revokes(claims(one))


def is_named(entry: Revocation, subject: str, issued_at: int | None) -> bool:
    if isinstance(entry, TokenEntry) or (isinstance(entry, UserEntry) and entry.subject != subject):
        return False
    return entry.issued_before is None or issued_at is None or issued_at < parse_rfc3339(entry.issued_before)


BEFORE = st.integers(NOON - 2, NOON + 2).map(rfc3339)
ENTRIES = st.lists(
    st.builds(
        UserEntry, subject=st.sampled_from(["eva", "otto"]), issued_before=st.none() | BEFORE, revoked_at=st.just(AT)
    )
    | st.builds(AllEntry, issued_before=BEFORE, revoked_at=st.just(AT)),
    max_size=4,
)


@given(ENTRIES, st.sampled_from(["eva", "otto"]), TIMES)
@example([AllEntry(issued_before=AT, revoked_at=AT)], "eva", NOON)
@example([AllEntry(issued_before=AT, revoked_at=AT)], "eva", NOON - 1)
@example([UserEntry(subject="eva", issued_before=AT, revoked_at=AT)], "eva", None)
@example([UserEntry(subject="eva", issued_before=AT, revoked_at=AT)], "otto", None)
def test_issue_times_are_compared_to_the_millisecond(
    entries: list[Revocation], subject: str, issued_at: int | None
) -> None:
    """A token without an issue time was issued before any."""
    revoked = any(is_named(entry, subject, issued_at) for entry in entries)
    assert written(*entries).revokes(claims(subject, issued_at=issued_at)) == revoked


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ({**USER, "subject": ""}, r"revocations\[1\]\.subject: "),
        ({**USER, "subject": "x" * 256}, r"revocations\[1\]\.subject: "),
        ({**USER, "subject": None}, r"revocations\[1\]\.subject: "),
        ({**USER, "token_id": "t"}, r"revocations\[1\]: .*token_id"),
        ({**USER, "comment": "t"}, r"revocations\[1\]: .*comment"),
        ({**USER, "kind": "users"}, r"revocations\[1\]\.kind: "),
        ({"kind": "user", "subject": "eva"}, r"revocations\[1\]: .*revoked_at"),
        ({**USER, "revoked_at": "2026-02-30T00:00:00.000Z"}, r"revocations\[1\]: "),
        ({**USER, "until": "2026-02-03"}, r"revocations\[1\]\.until: "),
        ({**USER, "issued_before": AT + "\n"}, r"revocations\[1\]: "),
        ({**USER, "note": "x" * 201}, r"revocations\[1\]\.note: "),
        ({"kind": "all", "revoked_at": AT}, r"revocations\[1\]: .*issued_before"),
        ("user eva", r"revocations\[1\]: "),
    ],
)
def test_an_invalid_entry_refuses_the_list_by_its_place(entry: Any, fault: str) -> None:
    """To skip it would leave a token valid."""
    text = json.dumps({"version": 1, "revocations": [USER, entry]})
    with pytest.raises(RevocationsError, match=f"^revoked.json: {fault}"):
        Revocations.parse(text.encode(), source="revoked.json")


@pytest.mark.parametrize("text", ["", "user eva\n", "# nobody yet\n", "user eva   # left in March"])
def test_the_former_format_is_refused_with_the_place_where_the_new_one_is_described(text: str) -> None:
    with pytest.raises(RevocationsError, match=r"the format of the list is new: docs/authorization\.md"):
        Revocations.parse(text.encode(), source="revoked")


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[]", "the list: Expected `object`"),
        ('{"version": 2, "revocations": []}', "version: "),
        ('{"version": 1}', "the list: .*revocations"),
        ('{"version": 1, "revocations": [], "more": 1}', "the list: .*more"),
        ('{"version": 1, "revocations": [], "revocations": []}', "not acceptable JSON: duplicate_key"),
        (
            '{"version": 1, "revocations": [{"kind": "user", "subject": "eva", "subject": "otto", "revoked_at": ""}]}',
            "not acceptable JSON: duplicate_key",
        ),
        (" " * 8_388_609, "not acceptable JSON: too_large"),
    ],
)
def test_a_list_of_another_form_is_refused(text: str, fault: str) -> None:
    with pytest.raises(RevocationsError, match=f"^revoked.json: {fault}"):
        Revocations.parse(text.encode(), source="revoked.json")


def test_the_list_is_bounded() -> None:
    entries = [UserEntry(subject=f"u{number}", revoked_at=AT) for number in range(MAX_ENTRIES + 1)]
    assert len(written(*entries[1:])) == MAX_ENTRIES
    with pytest.raises(RevocationsError, match=r"revocations: Expected .* length <= 10000"):
        written(*entries)


@given(ENTRIES)
def test_a_list_is_read_as_it_was_written(entries: list[Revocation]) -> None:
    assert list(parse_list(encode_list(entries), source="")) == entries
