"""Mutations of the floor's rules: each one, applied alone to a copy of the tree, must turn a test red.

`rules.toml` is the list. An entry replaces one piece of text that occurs exactly once, so the list stays true to the
code: `make test` checks that, and `make proof` applies every mutation and runs the tests named beside it.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]
COPIED: Final = ("bridge", "device_sim", "docs", "mosquitto", "tests")
LEAST: Final = 60
TESTS_FAILED: Final = 1  # pytest's exit code; 2 to 5 say that no test failed, but that none could run
RUN_SECONDS: Final = 300
ALL_SECONDS: Final = 1_800  # every file that is named anywhere, in one process


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    name: str
    file: str
    before: str
    after: str
    tests: list[str]


RULES: Final = tomllib.loads((Path(__file__).parent / "rules.toml").read_text(encoding="utf-8"))
MUTATIONS: Final = [Mutation(**entry) for entry in RULES["mutation"]]


def test_there_are_enough_mutations_and_every_name_is_its_own() -> None:
    assert RULES.keys() == {"mutation"}
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= LEAST


def test_a_mutation_names_one_piece_of_text_and_tests_that_exist() -> None:
    for mutation in MUTATIONS:
        assert (ROOT / mutation.file).read_text(encoding="utf-8").count(mutation.before) == 1, mutation.name
        assert mutation.before != mutation.after, mutation.name
        assert mutation.tests, mutation.name
        assert all((ROOT / test.partition("::")[0]).exists() for test in mutation.tests), mutation.name


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("mutated")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.glob("*.*"):
        if file.is_file():
            shutil.copy(file, folder)
    yield folder
    shutil.rmtree(folder)


def run(folder: Path, tests: list[str], *, seconds: float = RUN_SECONDS) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "--no-header", "-p", "no:cacheprovider", *tests]
    env = {**os.environ, "HYPOTHESIS_PROFILE": "mutations"}  # a proof's many examples are no excuse
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=seconds, check=False)


@pytest.mark.proof
def test_the_copy_passes_unmutated(copy: Path) -> None:
    finished = run(copy, sorted({test for mutation in MUTATIONS for test in mutation.tests}), seconds=ALL_SECONDS)
    assert finished.returncode == 0, finished.stdout[-3_000:]


@pytest.mark.proof
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_turns_a_test_red(mutation: Mutation, copy: Path) -> None:
    file = copy / mutation.file
    original = file.read_text(encoding="utf-8")
    file.write_text(original.replace(mutation.before, mutation.after), encoding="utf-8")
    try:
        finished = run(copy, mutation.tests)
    finally:
        file.write_text(original, encoding="utf-8")
    assert finished.returncode == TESTS_FAILED, finished.stdout[-3_000:]
