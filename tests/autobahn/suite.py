"""The Autobahn test suite: installed beside the project for Python 2.7, the only one that it runs on, and run.

Its packages are old and have known holes. They are in a folder of their own, and connect to this host only.
"""

import asyncio
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

REQUIREMENTS: Final = Path(__file__).with_name("requirements.txt")
FOLDER: Final = Path(".venv-autobahn")
AGENT: Final = "floor"
NOT_RUN: Final = ("9.*", "12.*", "13.*")  # load, and compression, which is off
SECONDS: Final = 900
PROGRAM: Final = """
import site, sys
site.addsitedir(sys.argv.pop(1))  # not PYTHONPATH, which ignores the .pth file of zope.interface
from autobahntestsuite.wstest import run
run()
"""


class NoSuite(Exception):
    """The suite cannot be run here."""


def find_python() -> Path:
    """Return a Python 2.7: of the PATH, else of pyenv; raise NoSuite."""
    for path in _candidates():
        probe = "import pip, sys; sys.exit(sys.version_info[:2] != (2, 7))"
        if subprocess.run([path, "-c", probe], capture_output=True, check=False).returncode == 0:
            return path
    raise NoSuite("needs Python 2.7 with pip, for which the suite is written: as python2.7 on the PATH, or in pyenv")


def install(python: Path) -> Path:
    """Install the suite, unless that is done since its requirements last changed; return its folder."""
    mark, target = FOLDER / ".made", FOLDER / "packages"
    if mark.exists() and mark.stat().st_mtime > REQUIREMENTS.stat().st_mtime:
        return target
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    command = f"-m pip install --quiet --no-deps --require-hashes --target {shlex.quote(str(target))} -r"
    made = subprocess.run(
        [python, *shlex.split(command), REQUIREMENTS],
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise NoSuite(f"its packages cannot be installed; they are for Linux on x86_64:\n{made.stderr[-2_000:]}")
    mark.touch()
    return target


async def run(python: Path, packages: Path, port: int) -> Mapping[str, Mapping[str, Any]]:
    """Let the suite test the server on this port; return its verdicts by case."""
    reports = FOLDER / "reports"
    shutil.rmtree(reports, ignore_errors=True)
    specification = FOLDER / "fuzzingclient.json"
    servers = [{"agent": AGENT, "url": f"ws://127.0.0.1:{port}/ws"}]
    chosen = {"cases": ["*"], "exclude-cases": NOT_RUN, "exclude-agent-cases": {}}
    specification.write_text(json.dumps({"outdir": str(reports), "servers": servers, **chosen}))
    log = FOLDER / "log"
    with log.open("wb") as output:
        suite = await asyncio.create_subprocess_exec(
            *(python, "-c", PROGRAM, packages, "-m", "fuzzingclient", "-s", specification),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            await asyncio.wait_for(suite.wait(), SECONDS)
        finally:
            if suite.returncode is None:
                suite.kill()
    if suite.returncode:
        raise NoSuite(f"the suite ended with {suite.returncode}: see {log}")
    verdicts: dict[str, dict[str, Any]] = json.loads((reports / "index.json").read_text())[AGENT]
    return verdicts


def _candidates() -> Iterator[Path]:
    if found := shutil.which("python2.7"):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted((pyenv / "versions").glob("2.7.*/bin/python2.7"), reverse=True)
