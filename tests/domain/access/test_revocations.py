import pytest

from bridge.domain.access.revocations import MAX_ENTRIES, Revocations, RevocationsError

LIST = """
# left in March
user eva
token 9f3bXk2   # lost tablet
"""


def test_revocation_file_lists_users_and_tokens() -> None:
    revoked = Revocations.parse(LIST, source="revoked")
    assert revoked.is_revoked(user_id="eva", token_id="other")
    assert revoked.is_revoked(user_id="otto", token_id="9f3bXk2")
    assert not revoked.is_revoked(user_id="otto", token_id=None)
    assert not revoked.is_revoked(user_id="9f3bXk2", token_id="eva")


@pytest.mark.parametrize("line", ["eva", "user", "user eva otto", "users eva", "sub:eva"])
def test_a_line_that_is_no_entry_is_named(line: str) -> None:
    with pytest.raises(RevocationsError, match="revoked:2: expected"):
        Revocations.parse(f"user otto\n{line}\n", source="revoked")


def test_the_list_is_bounded() -> None:
    text = "".join(f"user u{number}\n" for number in range(MAX_ENTRIES + 1))
    with pytest.raises(RevocationsError, match="more than"):
        Revocations.parse(text, source="revoked")
