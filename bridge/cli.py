"""The `floor` command: thin; each command reads its options and calls the room that does the work."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from bridge import settings as settings_module
from bridge.settings import Settings, SettingsError

CONFIG_PLACES = (Path("floor.toml"), Path(".floor/demo/floor.toml"))
"""Where a settings file is looked for when none is named: this folder's own, then the demo's."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    add_completion=False,
    pretty_exceptions_enable=False,
    help="""Shop-floor reports in over MQTT, 13 event types out to dashboards that see exactly what they may.

    Start with `floor demo`. For your own plant: write `floor.toml` and `plant.toml` (docs/settings.md, docs/plant.md),
    see that `floor check` is content, then `floor run`.""",
)
console = Console()
errors = Console(stderr=True)

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        envvar="FLOOR_CONFIG",
        help="Settings file. Without it: ./floor.toml, else the demo's in ./.floor/demo.",
    ),
]
User = Annotated[str, typer.Option("--user", help="User id: the token's `sub`.")]
Roles = Annotated[list[str] | None, typer.Option("--role", help="Role; may be given several times.")]
Sites = Annotated[list[str] | None, typer.Option("--site", help="Limit to this site; may be repeated.")]
Areas = Annotated[list[str] | None, typer.Option("--area", help="Limit to this area; may be repeated.")]
Lines = Annotated[list[str] | None, typer.Option("--line", help="Limit to this line; may be repeated.")]


def fail(text: str, *, code: int = 1) -> NoReturn:
    errors.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(code)


def find_config(config: Path | None) -> Path:
    for place in (config,) if config is not None else CONFIG_PLACES:
        if place.is_file():
            return place
    if config is not None:
        fail(f"no settings file {config}")
    fail("no settings file: name one with --config, or start the demo (make demo), which writes its own")


def read_settings(config: Path | None) -> Settings:
    try:
        return settings_module.load(find_config(config))
    except SettingsError as error:
        fail(str(error))


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its journal, secret and logs.")] = Path(
        ".floor/demo"
    ),
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the dashboards' front.")] = 8080,
    broker_port: Annotated[int, typer.Option(min=1, max=65_535, help="Port of the MQTT broker.")] = 11883,
    scale: Annotated[float, typer.Option(min=0.01, max=3_600, help="How many times faster than life.")] = 30.0,
    seed: Annotated[int, typer.Option(help="Seed of the simulated plant: same seed, same day.")] = 1,
) -> None:
    """Show it all on this machine: a broker, the bridge, its front and a simulated plant.

    Nothing else needs to be installed. Ctrl-C stops all of it; the next start finds its journal again.
    """
    from bridge.adapters import logs  # noqa: PLC0415 - what only one command needs is loaded by that command
    from bridge.demo import supervisor  # noqa: PLC0415

    logs.configure(level="warning", log_format="console")
    options = supervisor.DemoOptions(folder=folder, port=port, broker_port=broker_port, scale=scale, seed=seed)
    try:
        asyncio.run(
            supervisor.run(
                options,
                console=console,
                issue_token=lambda config: _issue(read_settings(config), user="demo", roles=["admin"], hours=12),
            )
        )
    except* supervisor.DemoError as group:
        fail("\n".join(str(error) for error in group.exceptions))


@app.command()
def run(config: Config = None) -> None:
    """Run the bridge: pipeline, publisher and front in one process, until SIGTERM or Ctrl-C."""
    from bridge import app as composition  # noqa: PLC0415

    settings = read_settings(config)
    try:
        composition.run(settings)
    except (composition.StartError, composition.Crashed) as error:
        fail(str(error))


@app.command()
def check(
    config: Config = None,
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Leave out what needs the broker.")] = False,
) -> None:
    """Check settings, plant, policy, journal and broker, and say clearly what is wrong. Exit 1 when something is."""
    from bridge import checks  # noqa: PLC0415
    from bridge.adapters import logs  # noqa: PLC0415

    logs.configure(level="error", log_format="console")  # what the broker says to each attempt is in the verdict
    findings = asyncio.run(checks.run(find_config(config), offline=offline))
    for finding in findings:
        mark = "[green]ok[/]  " if finding.ok else "[red]FAIL[/]"
        console.print(f"{mark} [bold]{finding.name:<9}[/]", end=" ")
        console.print(finding.text, markup=False, highlight=False, soft_wrap=True)
    bad = sum(not finding.ok for finding in findings)
    console.print(f"{bad} of {len(findings)} checks failed" if bad else "all is well")
    raise typer.Exit(1 if bad else 0)


@app.command()
def token(
    user: User,
    role: Roles = None,
    *,
    site: Sites = None,
    area: Areas = None,
    line: Lines = None,
    name: Annotated[str | None, typer.Option(help="The user's name as people read it.")] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=24 * 365, help="How long it is good for.")] = 12.0,
    config: Config = None,
) -> None:
    """Print a token for the secret in the settings (HS256).

    `floor token --user eva --role operator --line L1`

    In a plant, tokens come from the identity provider; this is for trying out and for machines without one.
    """
    from bridge import checks  # noqa: PLC0415

    settings = read_settings(config)
    made = _issue(settings, user=user, name=name, roles=role, sites=site, areas=area, lines=line, hours=hours)
    try:
        shortfall = checks.shortfall(settings, made, role or [])
    except checks.CheckError as error:
        fail(str(error))
    console.print(made, markup=False, highlight=False, soft_wrap=True)
    if shortfall is not None:
        errors.print(f"this token {shortfall}", style="yellow", markup=False, highlight=False, soft_wrap=True)


@app.command()
def watch(
    subscribe: Annotated[
        list[str] | None,
        typer.Argument(help="Subscriptions: `TYPE` or `TYPE:TARGET`, such as `andon:L1`. Without: everything."),
    ] = None,
    *,
    url: Annotated[str | None, typer.Option(help="WebSocket address. Without it: from the settings.")] = None,
    token: Annotated[
        str | None,
        typer.Option("--token", envvar="FLOOR_TOKEN", help="Token. Without it: one is made from the settings."),
    ] = None,
    user: User = "watch",
    role: Roles = None,
    count: Annotated[int | None, typer.Option(min=1, help="End after this many events.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print every frame as a line of JSON.")] = False,
    config: Config = None,
) -> None:
    """Watch events as a dashboard would: `floor watch andon:L1 job:me --role team_leader`.

    Reconnects and resumes by itself; nothing is missed or told twice.
    """
    from bridge.watch import Watch, WatchEnded, line_printer  # noqa: PLC0415

    settings = None if url is not None and token is not None else read_settings(config)

    def current_token() -> str:
        if token is not None:
            return token
        assert settings is not None
        return _issue(settings, user=user, roles=role or ["admin"], hours=12)

    if url is None:
        assert settings is not None
        scheme = "wss" if settings.web.tls_cert_file else "ws"
        host = "127.0.0.1" if settings.web.host in ("0.0.0.0", "::") else settings.web.host  # noqa: S104
        url = f"{scheme}://{host}:{settings.web.port}{settings.web.root_path}/ws"
    show = (lambda frame: print(json.dumps(frame), flush=True)) if as_json else line_printer(console)  # noqa: T201
    watching = Watch(
        url=url,
        token=current_token,
        subscriptions=[_subscription(text) for text in subscribe or ["line"]],
        show=show,
        limit=count,
    )
    try:
        asyncio.run(watching.run())
    except WatchEnded as ended:
        fail(str(ended))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@app.command()
def schema(
    write: Annotated[Path | None, typer.Option(help="Write schemas and asyncapi.json below this folder.")] = None,
) -> None:
    """Print the AsyncAPI 3 document of topics and frames; with --write, that and a JSON Schema for each event."""
    from bridge.contract import schemas  # noqa: PLC0415

    if write is None:
        print(json.dumps(schemas.asyncapi("floor/v1"), indent=2))  # noqa: T201 - a document, not a message
        return
    try:
        written = schemas.write(write)
    except OSError as error:
        fail(str(error))
    for path in written:
        console.print(str(path), highlight=False)


@app.command(name="explain-access")
def explain_access(
    subscribe: Annotated[str, typer.Argument(help="`TYPE` or `TYPE:TARGET`, or an MQTT filter with --filter.")],
    *,
    user: User = "someone",
    role: Roles = None,
    site: Sites = None,
    area: Areas = None,
    line: Lines = None,
    token: Annotated[str | None, typer.Option("--token", help="Explain for this token instead.")] = None,
    as_filter: Annotated[bool, typer.Option("--filter", help="The argument is an MQTT filter below `event/`.")] = False,
    config: Config = None,
) -> None:
    """Say what somebody would see of a subscription, and which grant allows it or which topic it fails on.

    `floor explain-access andon:L1 --role operator --line L2`

    The same decision as the WebSocket's and HTTP's `explain`. Exit 0 when something is allowed, 3 when refused.
    """
    from bridge import checks  # noqa: PLC0415

    settings = read_settings(config)
    given = token or _issue(settings, user=user, roles=role, sites=site, areas=area, lines=line, hours=1)
    body = {"mqtt_filter": subscribe} if as_filter else _subscription(subscribe)
    try:
        explained = checks.explain(settings, given, body)
    except checks.CheckError as error:
        fail(str(error))
    console.print_json(json.dumps(explained))
    raise typer.Exit(0 if explained["allowed"] else 3)


def _subscription(text: str) -> dict[str, str]:
    kind, _, target = text.partition(":")
    return {"id": text, "subscription_type": kind, **({"target_id": target} if target else {})}


def _issue(
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
    from bridge.adapters.clock import wall_ms  # noqa: PLC0415
    from bridge.adapters.tokens import TokenIssuer, TokenKeyError  # noqa: PLC0415

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


def main() -> None:
    """Run the command line: the `floor` script and `python -m bridge`."""
    app()
