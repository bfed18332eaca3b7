"""Fuzz target: a policy file, and what a token of every role may do under it."""

from collections.abc import Iterable
from typing import Final

from bridge.domain.access.claims import Claims
from bridge.domain.access.policy import Policy, PolicyError, Role
from bridge.domain.access.topic_layout import ACTIONS
from bridge.domain.access.viewer import AdmissionError, admit
from bridge.domain.topics import TopicFilter
from tests.support.command_line import ROOT

MAX_BYTES: Final = 8_192
SCOPE: Final = {"sites": ["north"], "areas": ["pack", "mix"], "lines": ["L1"]}
WORDS: Final = (
    *(f"[roles.{role}]\n" for role in Role),
    *(f'"{action}"' for action in (*ACTIONS, "andon.*", "job.*")),
    *('read = ["', 'command = ["', 'actions = ["', "unscoped = true", "{site}", "{area}", "{line}", "{user}"),
    *("+/", "#", '"""', "\\u0000", "[[", "1979-05-27T07:32:00Z"),
)


def seeds() -> Iterable[bytes]:
    yield (ROOT / "bridge" / "policy.toml").read_bytes()
    yield b'[roles.viewer]\nread = ["{site}/{area}/{line}/{user}/job/+/+/#", "+/+/{line}/#"]\n'
    yield b'[roles.operator]\nread = ["south/{area}/+/#"]\ncommand = ["{site}/+/+/+/andon"]\nactions = ["andon.*"]\n'
    yield b'roles.admin = {unscoped = true, read = ["#"], command = ["a/+/+/+/andon"], actions = ["andon.*"]}\n'


def run(data: bytes) -> None:
    """Parse: a policy under which every role is admitted within its scope, or an error with a line for each fault."""
    try:
        policy = Policy.parse(data.decode(errors="replace"), source="fuzz")
    except PolicyError as error:
        assert str(error)
        return
    for scope in ({}, SCOPE):
        claims = Claims("eva", "floor", 1, None, {"roles": list(Role), **scope})
        try:
            viewer = admit(claims, policy, trust_grants=False)
        except AdmissionError:
            continue
        for grant in (*viewer.read_grants.all, *viewer.command_grants.all):
            assert TopicFilter.parse(str(grant.filter)) == grant.filter
            unscoped = any(rule.unscoped for rule in policy.roles.values())
            assert unscoped or not scope or grant.filter.levels[0] == "north", grant
