"""Commands for tokens and access rights: `token` and `explain-access`."""

import json
from typing import Annotated

import typer

from bridge.cli.settings_options import ConfigOption, console, fail, read_settings, warn
from bridge.cli.user_options import (
    AreasOption,
    LinesOption,
    RolesOption,
    SitesOption,
    UserOption,
    issue_token,
    require_no_user_options,
    subscription_body,
)


def token(
    user: UserOption,
    role: RolesOption = None,
    *,
    site: SitesOption = None,
    area: AreasOption = None,
    line: LinesOption = None,
    name: Annotated[str | None, typer.Option(help="Display name of the user.")] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 365, help="Lifetime of the token.")] = 12.0,
    config: ConfigOption = None,
) -> None:
    """Print an access token, signed with the secret in the settings (HS256).

    `floor token --user eva --role operator --line L1`

    For trials, and for sites without an identity provider.
    """
    from bridge.wiring import access_decisions  # noqa: PLC0415

    settings = read_settings(config)
    made = issue_token(settings, user=user, name=name, roles=role, sites=site, areas=area, lines=line, hours=hours)
    try:
        shortfall = access_decisions.explain_empty_access(settings, made, role or [])
    except access_decisions.DecisionError as error:
        fail(str(error))
    console.print(made, markup=False, highlight=False, soft_wrap=True)
    if shortfall is not None:
        warn(f"this token {shortfall}")


def explain_access(
    context: typer.Context,
    subscribe: Annotated[str, typer.Argument(help="`TYPE` or `TYPE:TARGET`, or an MQTT filter with --filter.")],
    *,
    user: UserOption = "someone",
    role: RolesOption = None,
    site: SitesOption = None,
    area: AreasOption = None,
    line: LinesOption = None,
    token: Annotated[
        str | None, typer.Option("--token", help="Token to use instead of one with these options.")
    ] = None,
    as_filter: Annotated[
        bool, typer.Option("--filter", help="Read the argument as an MQTT filter relative to `event/`.")
    ] = False,
    config: ConfigOption = None,
) -> None:
    """Show what a user would receive from a subscription: the effective filters and grants, or a refused topic.

    `floor explain-access andon:L2 --role operator --line L2`

    `explain` over WebSocket and HTTP gives the same answer. Exit codes: 0 at least partly allowed, 3 refused.
    """
    from bridge.wiring import access_decisions  # noqa: PLC0415

    if token is not None:
        require_no_user_options(context)
    settings = read_settings(config)
    access_token = token or issue_token(settings, user=user, roles=role, sites=site, areas=area, lines=line, hours=1)
    body = {"mqtt_filter": subscribe} if as_filter else subscription_body(subscribe)
    try:
        explanation = access_decisions.explain_subscription(settings, access_token, body)
        shortfall = None if token else access_decisions.explain_empty_access(settings, access_token, role or [])
    except access_decisions.DecisionError as error:
        fail(str(error))
    if shortfall is not None:
        warn(f"a token with these options {shortfall}")
    console.print_json(json.dumps(explanation))
    raise typer.Exit(0 if explanation["allowed"] else 3)
