"""The `floor watch` command: prints live events, as a dashboard receives them."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Final

import typer

from bridge.cli.settings_options import ConfigOption, console, fail, read_settings, warn
from bridge.cli.user_options import UserOption, issue_token, require_no_user_options, subscription_body
from bridge.settings.settings import Settings

LINE_TOPIC_LEVEL: Final = 2  # the level of an event's topic that names the line
MAX_LISTED_LINES: Final = 20  # of a plant, in a warning


def watch(
    context: typer.Context,
    subscribe: Annotated[
        list[str] | None,
        typer.Argument(help="Subscriptions: `TYPE` or `TYPE:TARGET`, such as `andon:L1`. Default: everything."),
    ] = None,
    *,
    url: Annotated[str | None, typer.Option(help="WebSocket address. Default: from the settings.")] = None,
    token: Annotated[
        str | None,
        typer.Option(
            "--token", envvar="FLOOR_TOKEN", help="Token. Default: one issued with the secret in the settings."
        ),
    ] = None,
    user: UserOption = "watch",
    role: Annotated[
        list[str] | None, typer.Option("--role", help="Role; may be repeated. Default: admin.", show_default=False)
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, help="Exit after this many events.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every frame as a line of JSON.")] = False,
    config: ConfigOption = None,
) -> None:
    """Print live events, as a dashboard receives them.

    `floor watch andon:L1 job:me --user eva`

    Reconnects and resumes automatically, without missing or repeating an event.

    For `wss` with a certificate of a private authority, name the file of its certificate in the environment:
    `SSL_CERT_FILE=ca.crt`.
    """
    from bridge.watch.client import WatchClient, WatchEnded  # noqa: PLC0415
    from bridge.watch.output import line_printer  # noqa: PLC0415

    if token is not None:
        require_no_user_options(context)
    settings = None if url is not None and token is not None else read_settings(config)

    def current_token() -> str:
        if token is not None:
            return token
        assert settings is not None
        return issue_token(settings, user=user, roles=role or ["admin"], hours=12)

    subscriptions = [subscription_body(text) for text in subscribe or ["line"]]
    if url is None:
        assert settings is not None
        for notice in _unknown_line_warnings(settings, subscriptions):
            warn(notice)
        scheme = "wss" if settings.web.tls_cert_file else "ws"
        host = "127.0.0.1" if settings.web.host in ("0.0.0.0", "::") else settings.web.host  # noqa: S104
        url = f"{scheme}://{host}:{settings.web.port}{settings.web.root_path}/ws"
    show = (lambda frame: print(json.dumps(frame), flush=True)) if as_json else line_printer(console)  # noqa: T201
    watching = WatchClient(
        url=url,
        token=current_token,
        subscriptions=subscriptions,
        on_frame=show,
        event_limit=count,
    )
    try:
        asyncio.run(watching.run())
    except WatchEnded as ended:
        fail(str(ended))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _unknown_line_warnings(settings: Settings, subscriptions: Sequence[dict[str, str]]) -> Iterator[str]:
    """Yield a warning for each line that the plant file does not have; nothing if it cannot be read.

    Not an error: a running bridge may use another plant file.
    """
    from bridge.adapters import plant_file  # noqa: PLC0415
    from bridge.domain.access.subscription_request import parse_subscription  # noqa: PLC0415
    from bridge.domain.access.subscription_types import SubscriptionError  # noqa: PLC0415

    try:
        lines = [line.id for line in plant_file.load(settings.plant_file).lines]
    except plant_file.PlantFileError:
        return
    for body in subscriptions:
        try:
            filters = parse_subscription(body).filters
        except SubscriptionError:
            continue  # the server reports the reason
        for levels in (topic_filter.levels for topic_filter in filters):
            if len(levels) > LINE_TOPIC_LEVEL and levels[LINE_TOPIC_LEVEL] not in ("+", "#", *lines):
                listed = ", ".join(lines[:MAX_LISTED_LINES])
                more = f" and {len(lines) - MAX_LISTED_LINES} more" if len(lines) > MAX_LISTED_LINES else ""
                yield f"the plant has no line {levels[LINE_TOPIC_LEVEL]}; it has {listed}{more}"
