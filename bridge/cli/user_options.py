"""Options that describe a user, the token issued from them, and the subscribe body of an argument."""

from typing import Annotated, Final

import typer

from bridge.cli.settings_options import fail
from bridge.settings.settings import Settings

UserOption = Annotated[str, typer.Option("--user", help="User id: the token's `sub`.")]
RolesOption = Annotated[list[str] | None, typer.Option("--role", help="Role; may be repeated.")]
SitesOption = Annotated[list[str] | None, typer.Option("--site", help="Limit to this site; may be repeated.")]
AreasOption = Annotated[list[str] | None, typer.Option("--area", help="Limit to this area; may be repeated.")]
LinesOption = Annotated[list[str] | None, typer.Option("--line", help="Limit to this line; may be repeated.")]

USAGE_ERROR: Final = 2  # exit code, as for an unknown option


def require_no_user_options(context: typer.Context) -> None:
    """Exit with a usage error if options describe a user although a token is given, which they would not change."""
    given = [
        f"--{name}"
        for name in ("user", "role", "site", "area", "line")
        if (source := context.get_parameter_source(name)) is not None and source.name == "COMMANDLINE"
    ]
    if not given:
        return
    source = context.get_parameter_source("token")
    is_inherited = source is not None and source.name == "ENVIRONMENT"
    other = "the token in FLOOR_TOKEN" if is_inherited else "--token"
    fail(f"{', '.join(given)} cannot be combined with {other}", code=USAGE_ERROR)


def subscription_body(text: str) -> dict[str, str]:
    kind, _, target = text.partition(":")
    return {"id": text, "subscription_type": kind, **({"target_id": target} if target else {})}


def issue_token(
    settings: Settings,
    *,
    user: str,
    roles: list[str] | None,
    hours: float,
    name: str | None = None,
    sites: list[str] | None = None,
    areas: list[str] | None = None,
    lines: list[str] | None = None,
) -> str:
    from bridge.adapters.tokens import TokenIssuer, TokenKeyError  # noqa: PLC0415
    from bridge.ports.clock import wall_ms  # noqa: PLC0415

    try:
        return TokenIssuer(settings.token).issue(
            subject=user,
            name=name,
            roles=roles or [],
            sites=sites,
            areas=areas,
            lines=lines,
            now=wall_ms(),
            ttl_seconds=round(hours * 3_600),
        )
    except TokenKeyError as error:
        fail(str(error))
