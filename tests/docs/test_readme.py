"""Examples of the documents: the two clients of the README against a bridge, and commands against their parsers."""

import asyncio
import os
import re
import shlex
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import typer.main
from playwright.async_api import Page, expect

from bridge.cli import app
from bridge.wiring.bridge import STOP_SECONDS
from device_sim.cli.main import build_parser as device_sim_parser
from tests.support.bridge_process import BridgeProcess, bridge_process
from tests.support.brokers import RunningBroker
from tests.support.browser_page import DEADLINE_MS, browser_page
from tests.support.command_line import ROOT
from tests.support.tokens import token

SECONDS = 30
DOCUMENTS = sorted(
    [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        ROOT / "SECURITY.md",
        ROOT / "mosquitto" / "README.md",
        *(ROOT / "docs").glob("*.md"),
    ]
)
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))
POINTING = [*DOCUMENTS, *DECISIONS]
PROGRAMS = ("floor", "device-sim", "make")


def code(language: str) -> str:
    """Return the README's one block of this language."""
    (block,) = re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    return str(block)


async def press(running: BridgeProcess, station: str, andon_type: str) -> None:
    """Press at a station as the README's reader would, by `device-sim`."""
    pressing = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "device_sim", "press", station, andon_type),
        *("--broker", f"127.0.0.1:{running.broker.port}"),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await asyncio.wait_for(pressing.wait(), SECONDS) == 0


async def test_the_python_client_shows_calls(tmp_path: Path, mosquitto: RunningBroker) -> None:
    client = tmp_path / "client.py"
    client.write_text(code("python"))
    async with bridge_process(tmp_path, mosquitto) as running:
        await press(running, "Andon-L1", "equipment")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(client)),
            env={**os.environ, "FLOOR_URL": f"ws://127.0.0.1:{running.port}/ws", "FLOOR_TOKEN": token()},
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(SECONDS):
                line, _, *data = (await process.stdout.readline()).split()
                assert (line, data) == (b"L1", [b"equipment", b"open"]), "from the snapshot"
                await press(running, "Andon-L2", "material")
                line, _, *data = (await process.stdout.readline()).split()
                assert (line, data) == (b"L2", [b"material", b"open"]), "live"
        finally:
            process.kill()
            await process.wait()


async def test_the_browser_client_shows_calls(tmp_path: Path, mosquitto: RunningBroker) -> None:
    async with bridge_process(tmp_path, mosquitto) as running, browser_page() as page:
        await press(running, "Andon-L1", "equipment")
        await open_client(page, running)
        await expect(page.locator("body")).to_contain_text("L1 equipment open", timeout=DEADLINE_MS)
        await press(running, "Andon-L2", "material")
        await expect(page.locator("body")).to_contain_text("L2 material open", timeout=DEADLINE_MS)


async def open_client(page: Page, running: BridgeProcess) -> None:
    """Run the README's script in a page of the front's origin without a script."""
    await page.goto(f"http://127.0.0.1:{running.port}/health/live")
    await page.evaluate(f"(token) => {{ window.floorToken = token; {code('js')} }}", token())


def commands(document: Path) -> list[list[str]]:
    """Return every command of ours that the document shows, in its shell blocks and between its backquotes."""
    text = document.read_text()
    lines = [
        line
        for block in re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
        for line in block.splitlines()
    ]
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    inline = [part for part in re.findall(r"`([^`]+)`", prose) if part.split()[0] in PROGRAMS]
    return [words for line in (*lines, *inline) for words in _commands(line)]


def _commands(line: str) -> list[list[str]]:
    invocations = []
    for part in shlex.join(shlex.split(line, comments=True)).split(" '&&' "):
        words = [word for word in shlex.split(part) if word != "sudo"]
        starts = [index for index, word in enumerate(words) if word in PROGRAMS]
        if starts and (starts[0] == 0 or words[:2] == ["docker", "compose"]):
            invocations.append(words[starts[0] :])
    return invocations


SHOWN = [(document.relative_to(ROOT), words) for document in DOCUMENTS for words in commands(document)]


def test_the_unit_for_systemd_starts_what_there_is_and_lets_it_drain() -> None:
    unit = ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # systemd's names are of upper and lower case
    unit.read(ROOT / "docs" / "examples" / "floor-bridge.service")
    program, name, *options = shlex.split(unit["Service"]["ExecStart"])
    group: Any = typer.main.get_command(app)
    assert Path(program).name == "floor"
    group.commands[name].make_context(name, options)
    assert int(unit["Service"]["TimeoutStopSec"]) > STOP_SECONDS


def test_there_are_commands_to_look_at() -> None:
    assert {words[0] for _, words in SHOWN} == set(PROGRAMS)


@pytest.mark.parametrize(("document", "words"), SHOWN, ids=[f"{path}: {shlex.join(words)}" for path, words in SHOWN])
def test_a_command_that_a_document_shows_is_one(document: Path, words: list[str]) -> None:
    program, *arguments = words
    if not arguments:
        return
    match program:
        case "make":
            targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
            assert {word for word in arguments if "=" not in word} <= set(targets), document
        case "floor":
            group: Any = typer.main.get_command(app)
            name, *rest = arguments
            while hasattr(group.commands[name], "commands") and rest:  # `floor journal verify`
                group, name, rest = group.commands[name], *rest[:1], rest[1:]
            if rest:  # parsed, with every option and its value, and not run
                group.commands[name].make_context(name, rest)
        case _:
            if len(arguments) > 1:
                device_sim_parser().parse_args(arguments)
            else:
                assert arguments[0] in ("run", "press", "list", "disturbances"), document


@pytest.mark.parametrize("document", POINTING, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_of_a_document_exist(document: Path) -> None:
    text = document.read_text()
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", text):
        path = document.parent / target if target else document
        assert path.exists(), f"{target} in {document.name}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
            assert anchor[1:] in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_changelog_knows_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert re.search(rf"^## {re.escape(version)}$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_map_of_the_readme_names_folders() -> None:
    (block,) = re.findall(r"^```\n(bridge/ .*?)^```$", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    assert [line for line in block.splitlines() if not (ROOT / line.split()[0]).is_dir()] == []


def test_decisions_have_unique_numbers_equal_to_their_titles() -> None:
    assert [path.name[:3] for path in DECISIONS] == [f"{number:03}" for number in range(1, len(DECISIONS) + 1)]
    assert [path.read_text()[:6] for path in DECISIONS] == [f"# {path.name[:3]} " for path in DECISIONS]
