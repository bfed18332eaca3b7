"""Policies name their faults by place, and tokens unfold to grants that are never wider than their claims."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.access.claims import Claims
from bridge.domain.access.grants import MAX_GRANTS
from bridge.domain.access.policy import Policy, PolicyError, Role
from bridge.domain.access.topic_layout import ACTIONS
from bridge.domain.access.viewer import TooManyClaimValues, TooManyGrants, Viewer, admit
from bridge.domain.place import Place
from bridge.domain.topics import TopicFilter, TopicName

SHIPPED = Path(__file__).parents[3] / "bridge" / "policy.toml"
POLICY = Policy.parse(SHIPPED.read_text(encoding="utf-8"), source="policy.toml")
EVENT = "andon/andon_event/high/L1.call.1"


def viewer(*, trust_grants: bool = False, policy: Policy = POLICY, subject: str = "u1", **statements: object) -> Viewer:
    return admitted(statements, trust_grants=trust_grants, policy=policy, subject=subject)


def admitted(
    statements: dict[str, object], *, trust_grants: bool = False, policy: Policy = POLICY, subject: str = "u1"
) -> Viewer:
    claims = Claims(subject=subject, issuer="floor", expires_at=1, token_id="t", claim_set=statements)
    return admit(claims, policy, trust_grants=trust_grants)


def reads(user: Viewer) -> list[str]:
    return sorted(str(grant.filter) for grant in user.read_grants.all)


def sees(user: Viewer, line: str) -> bool:
    return user.may_read(TopicName.parse(f"{line}/E1/{EVENT}"))


def commands(user: Viewer, place: Place) -> list[str]:
    return [action for action in ACTIONS if user.levels_granted(action, place) & {"+", place.levels()[3]}]


def test_the_shipped_policy_has_a_rule_for_every_role() -> None:
    assert set(POLICY.roles) == set(Role)
    assert [role for role, rule in POLICY.roles.items() if rule.unscoped] == [Role.ADMIN]


def test_an_admin_sees_and_does_everything_despite_other_claims() -> None:
    admin = viewer(roles=["admin"], sites=[], lines=None)
    assert (reads(admin), sees(admin, "S9/A9/L9")) == (["#"], True)
    assert commands(admin, Place("S9", "A9", "L9")) == list(ACTIONS)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMIN])
def test_every_other_role_sees_its_lines_and_no_more(role: Role) -> None:
    user = viewer(roles=[role.value], lines=["L1"])
    assert reads(user) == ["+/+/L1/#"]
    assert reads(viewer(roles=[role.value])) == []
    assert not viewer(roles=[role.value]).command_grants.all


def test_claims_narrow_each_other_and_their_values_add_up() -> None:
    user = viewer(roles=["viewer"], sites=["S1", "S2"], lines=["L1", "L2"])
    assert reads(user) == ["S1/+/L1/#", "S1/+/L2/#", "S2/+/L1/#", "S2/+/L2/#"]
    assert sees(user, "S1/A1/L1")
    assert not sees(user, "S1/A1/L3")
    assert not sees(user, "S3/A1/L1")


@pytest.mark.parametrize("value", [[], None, "S1", {"S1": 1}, 7, True, [None], [["S1"]], ["+"], ["#"], ["S1/A1"], [""]])
def test_a_claim_that_is_empty_or_malformed_grants_nothing_even_beside_a_good_one(value: object) -> None:
    assert reads(viewer(roles=["viewer", "operator"], sites=value, lines=["L1"])) == []


@pytest.mark.parametrize(
    "bad", ["+", "#", "$SYS", "_", ".", "..", "a/b", "a*", "a\n", "L1\n", "x" * 65, "\uff0b", "{line}"]
)
def test_a_value_that_is_no_id_is_dropped_and_the_others_count(bad: str) -> None:
    assert reads(viewer(roles=["viewer"], lines=[bad, "L1"])) == ["+/+/L1/#"]


@pytest.mark.parametrize("roles", [None, "admin", {"admin": True}, [["admin"]], ["ADMIN"], ["root"], ["admin "], [], 7])
def test_roles_of_the_wrong_type_or_unknown_are_no_roles(roles: object) -> None:
    user = viewer(roles=roles, sites=["S1"])
    assert (user.roles, reads(user), user.command_grants.all) == ((), [], ())


def test_a_role_that_the_policy_does_not_list_is_none() -> None:
    policy = Policy.parse('[roles.viewer]\nread = ["+/+/{line}/#"]\n[roles.quality]\n')
    assert viewer(policy=policy, roles=["admin", "viewer", "quality"], lines=["L1"]).roles == ("viewer", "quality")


def test_operators_do_their_jobs_and_maintenance_answers_calls() -> None:
    place = Place("S1", "A1", "L1")
    operator = viewer(roles=["operator"], lines=["L1"])
    assert commands(operator, place) == [
        *("andon.raise", "andon.cancel"),
        *("job.accept", "job.start", "job.pause", "job.complete"),
    ]
    assert commands(operator, Place("S1", "A1", "L2")) == []
    maintenance = viewer(roles=["maintenance"], sites=["S1"])
    assert {"andon.acknowledge", "andon.arrive", "andon.resolve", "downtime.classify"} <= {
        *commands(maintenance, place)
    }
    assert "quality.clear" not in commands(maintenance, place)
    assert commands(viewer(roles=["quality"], lines=["L1"]), place)[-1] == "quality.clear"
    assert commands(viewer(roles=["viewer"], sites=["S1"]), place) == []


def test_two_roles_keep_their_actions_apart() -> None:
    policy = Policy.parse(
        """
        [roles.operator]
        command = ["+/+/{line}/+/andon"]
        actions = ["andon.raise"]
        [roles.engineer]
        unscoped = true
        command = ["+/+/+/+/downtime"]
        """
    )
    user = viewer(policy=policy, roles=["operator", "engineer"], lines=["L1"])
    assert commands(user, Place("S1", "A1", "L1", "E1")) == [
        "andon.raise",
        "downtime.classify",
        "downtime.confirm",
        "downtime.unconfirm",
    ]
    assert commands(user, Place("S1", "A1", "L2")) == ["downtime.classify", "downtime.confirm", "downtime.unconfirm"]


def test_the_levels_of_a_line_at_which_an_action_is_granted() -> None:
    policy = Policy.parse(
        """
        [roles.operator]
        command = ["+/+/{line}/E1/andon", "S1/+/{line}/_/+"]
        actions = ["andon.raise", "job.start"]
        [roles.engineer]
        unscoped = true
        command = ["+/A2/+/+/andon"]
        """
    )
    user = viewer(policy=policy, roles=["operator", "engineer"], lines=["L1"])
    assert user.levels_granted("andon.raise", Place("S1", "A1", "L1")) == {"E1", "_"}
    assert user.levels_granted("andon.raise", Place("S2", "A1", "L1", "E1")) == {"E1"}
    assert user.levels_granted("andon.cancel", Place("S1", "A1", "L1")) == set()
    assert user.levels_granted("andon.raise", Place("S1", "A2", "L1")) == {"E1", "_", "+"}
    assert user.levels_granted("job.start", Place("S1", "A1", "L1")) == {"_"}
    assert user.levels_granted("andon.raise", Place("S1", "A1", "L2")) == set()


def test_the_user_placeholder_is_the_subject_and_never_a_wildcard() -> None:
    policy = Policy.parse('[roles.viewer]\nread = ["{site}/+/+/+/job/+/+/{user}"]')
    assert reads(viewer(policy=policy, roles=["viewer"], sites=["S1"])) == ["S1/+/+/+/job/+/+/u1"]
    for subject in ("+", "#", "a/b", "auth0|123", ""):
        assert reads(viewer(policy=policy, subject=subject, roles=["viewer"], sites=["S1"])) == []


GRANTS = {"read": ["S1/#", "S2/+/L2/#"], "command": ["S1/+/+/+/andon"]}


def test_a_tokens_own_grants_count_only_where_the_issuer_is_trusted() -> None:
    assert reads(viewer(grants=GRANTS)) == []
    user = viewer(grants=GRANTS, trust_grants=True)
    assert reads(user) == ["S1/#", "S2/+/L2/#"]
    assert {grant.reason for grant in user.read_grants.all} == {"grants claim of the token"}
    assert commands(user, Place("S1", "A", "L")) == [action for action in ACTIONS if action.startswith("andon.")]


def test_scope_claims_narrow_a_tokens_own_grants_too() -> None:
    assert reads(viewer(grants={"read": ["#"]}, sites=["S1"], trust_grants=True)) == ["S1/+/+/#"]
    assert reads(viewer(grants=GRANTS, lines=["L2"], trust_grants=True)) == ["S1/+/L2/#", "S2/+/L2/#"]
    assert reads(viewer(grants=GRANTS, sites=["S2"], trust_grants=True)) == ["S2/+/L2/#"]
    assert reads(viewer(grants=GRANTS, sites=[], trust_grants=True)) == []


def test_a_tokens_own_grants_are_filters_and_no_templates() -> None:
    assert reads(viewer(grants={"read": ["{site}/#"]}, sites=["S1"], trust_grants=True)) == []


@pytest.mark.parametrize(
    "grants",
    [
        *(None, [], "#", 7, ["#"], {"read": None}, {"read": "#"}, {"read": {"#": 1}}, {"read": [None, 7, ["#"]]}),
        *(
            {"read": [grant]}
            for grant in ("", "a#", "$share/g/x", "$SYS/#", "{site}/#", "a/b", "+/+/+/+/weather/#", "\0")
        ),
    ],
)
def test_grants_that_are_absent_null_or_malformed_allow_nothing(grants: object) -> None:
    assert reads(viewer(grants=grants, trust_grants=True)) == []


def test_a_token_that_unfolds_past_the_bounds_is_refused() -> None:
    few = [f"S{number}" for number in range(40)]
    with pytest.raises(TooManyGrants):
        viewer(roles=["viewer"], sites=few, lines=few)
    with pytest.raises(TooManyClaimValues) as caught:
        viewer(roles=["viewer"], sites=[f"S{number}" for number in range(257)])
    assert (caught.value.claim, caught.value.count) == ("sites", 257)
    many = [f"S{number}/#" for number in range(MAX_GRANTS)]
    assert len(viewer(grants={"read": many}, trust_grants=True).read_grants.all) == MAX_GRANTS
    with pytest.raises(TooManyClaimValues):
        viewer(grants={"read": [*many, "x/#"]}, trust_grants=True)


scopes = st.fixed_dictionaries(
    {},
    optional={
        claim: st.lists(st.sampled_from(("S1", "S2", "+", "")), max_size=3) for claim in ("sites", "areas", "lines")
    },
)


@given(
    scopes, st.lists(st.sampled_from([role.value for role in Role if role is not Role.ADMIN]), min_size=1, max_size=3)
)
def test_every_claim_of_an_event_is_required_to_see_it(scope: dict[str, list[str]], roles: list[str]) -> None:
    user = admitted({"roles": roles, **scope})
    for site in ("S1", "S2"):
        for area in ("S1", "S2"):
            for line in ("S1", "S2"):
                place = {"sites": site, "areas": area, "lines": line}
                holds = bool(scope) and all(place[claim] in values for claim, values in scope.items())
                named = "lines" in scope or roles != ["operator"] * len(roles)
                assert sees(user, f"{site}/{area}/{line}") == (holds and named)


def test_only_admit_makes_a_viewer() -> None:
    user = viewer()
    with pytest.raises(TypeError, match="only admit"):
        Viewer(
            user_id="u",
            name=None,
            roles=("admin",),
            read_grants=user.read_grants,
            command_grants=user.command_grants,
            claims=user.claims,
            proof=object(),
        )


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[roles.operater]\nread = ["{site}/#"]', "roles.operater"),
        ('[roles.viewer]\nread = ["{site}/#", "a#"]', "roles.viewer.read[1]"),
        ('[roles.viewer]\nread = ["{line}/#"]', "roles.viewer.read[0]"),
        ('[roles.viewer]\nread = ["{site}/{sight}/#"]', "roles.viewer.read[0]"),
        ('[roles.viewer]\nread = ["{site}/+/+/+/wether/#"]', "roles.viewer.read[0]"),
        ('[roles.viewer]\nread = ["{site}/+"]', "roles.viewer.read[0]"),
        ('[roles.viewer]\nread = ["#"]', "my.toml: roles.viewer: # names no claim"),
        ('[roles.viewer]\nread = ["+/+/+/+/job/+/+/{user}"]', "roles.viewer"),
        ('[roles.viewer]\nunscoped = true\nread = ["{site}/#"]', "roles.viewer"),
        ("[roles.viewer]\nunscoped = 1", "roles.viewer.unscoped"),
        ('[roles.viewer]\nreads = ["{site}/#"]', "roles.viewer.reads: no such field; did you mean read?"),
        ('[roles.viewer]\ncommand = ["{site}/+/+/+/andon/andon_event/#"]', "roles.viewer.command[0]"),
        ('[roles.viewer]\nactions = ["andon.fly"]', "roles.viewer.actions[0]"),
        ("[roles.viewer]\nread =\n", "line 2"),
        ("", "roles"),
    ],
)
def test_a_fault_in_the_policy_is_named_with_its_place(text: str, place: str) -> None:
    with pytest.raises(PolicyError) as caught:
        Policy.parse(text, source="my.toml")
    assert str(caught.value).startswith("my.toml: ")
    assert place in str(caught.value)


def test_a_policy_can_be_made_of_a_decoded_tree() -> None:
    assert Policy.model_validate(tomllib.loads(SHIPPED.read_text(encoding="utf-8"))) == POLICY


def test_every_grant_states_which_rule_made_it() -> None:
    (grant,) = viewer(roles=["operator"], lines=["L1"]).read_grants.all
    assert (grant.filter, grant.reason) == (TopicFilter.parse("+/+/L1/#"), "role operator: +/+/{line}/#")
