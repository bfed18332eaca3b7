"""The schema of the revocation list accepts what the bridge accepts, dates that are in no calendar aside."""

import json
from typing import Any

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from bridge.contract.schemas import revocations_schema
from bridge.domain.access.revocations import RevocationsError, parse_list

VALIDATOR = jsonschema.Draft202012Validator(revocations_schema())
AT = "2026-11-29T15:00:00.000Z"
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        "",
        "eva",
        "x" * 255,
        "x" * 256,
        "\U0001f600" * 255,
        "user",
        "token",
        "all",
        "User",
        AT,
        AT[:-1],
        f"{AT} ",
        1,
        True,
        [],
        {},
    ]
)
FIELDS = ("kind", "subject", "token_id", "issued_before", "revoked_at", "until", "note", "colour")
VALID: tuple[dict[str, Any], ...] = (
    {"kind": "user", "subject": "eva", "revoked_at": AT},
    {"kind": "user", "subject": "eva", "revoked_at": AT, "issued_before": AT, "until": AT, "note": ""},
    {"kind": "token", "token_id": "t\n", "revoked_at": AT, "note": "x" * 200},
    {"kind": "all", "issued_before": AT, "revoked_at": AT, "until": None},
)
ENTRIES = st.builds(
    lambda entry, changes, without: {
        name: value for name, value in {**entry, **changes}.items() if name not in without
    },
    st.sampled_from(VALID),
    st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=2),
    st.sets(st.sampled_from(FIELDS), max_size=1),
)
LISTS = st.fixed_dictionaries(
    {"version": st.just(1) | st.sampled_from([1.0, 2, "1", True, None]), "revocations": st.lists(ENTRIES, max_size=3)},
    optional={"more": VALUES},
)


def is_accepted(tree: Any) -> bool:
    try:
        parse_list(json.dumps(tree).encode(), source="")
    except RevocationsError:
        return False
    return True


def test_the_schema_is_one_and_accepts_every_kind_of_entry() -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)
    tree = {"version": 1, "revocations": list(VALID)}
    assert VALIDATOR.is_valid(tree)
    assert is_accepted(tree)


@given(LISTS)
def test_what_the_schema_accepts_the_list_accepts_and_nothing_else(tree: Any) -> None:
    assert VALIDATOR.is_valid(tree) == is_accepted(tree)
