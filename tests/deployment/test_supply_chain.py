"""Supply chain: what is installed is what the locks say, byte for byte, and so is the list of components."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
LOCKS = sorted(ROOT.glob("requirements*.lock"))
PIN = re.compile(
    r"^([a-z0-9.\-]+)(?:\[[a-z,]+\])?==([^ ;\\]+)([^\\\n]*)((?: \\\n    --hash=sha256:[0-9a-f]{64})*)$", re.MULTILINE
)
AUDIT = '#!/bin/sh\necho "$@" >> audited\ntest "$(wc -l < audited)" -ne "${FAIL:-0}"\n'  # in place of pip-audit
INSTALLING = [
    *(ROOT / name for name in ("Makefile", "Dockerfile", "README.md", ".ci/test-versions", ".ci/run")),
    *(ROOT / "docs").glob("*.md"),
]


def pins(lock: Path) -> dict[tuple[str, str], set[str]]:
    """Return the SHA-256 hashes of each distribution file, by the package's name and version."""
    text = lock.read_text()
    found = {(match[1], match[2]): set(re.findall(r"sha256:(\w+)", match[4])) for match in PIN.finditer(text)}
    assert len(found) == len(re.findall(r"^\S", text, re.MULTILINE)), "every entry is read"
    return found


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_pin_has_hashes(lock: Path) -> None:
    assert [pin for pin, hashes in pins(lock).items() if not hashes] == []


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = {re.split(r"[\[<>=;~! ]", dependency)[0] for dependency in project["project"]["dependencies"]}
    assert wanted <= {name for name, _ in pins(ROOT / "requirements.lock")}


@pytest.mark.parametrize("path", INSTALLING, ids=lambda path: path.name)
def test_nothing_is_installed_without_its_hash(path: Path) -> None:
    text = path.read_text().replace("\\\n", " ")
    commands = re.findall(r'(?:pip install|\$\(PIP\)|"\$\{pip\[@\]\}")([^\n&|`)]*)', text)
    installing = [command for command in commands if any(not word.startswith("--") for word in command.split())]
    assert [words for words in installing if "--require-hashes" not in words and "--no-deps" not in words] == []


def test_the_list_of_components_is_that_of_the_lock() -> None:
    listed = json.loads((ROOT / "docs" / "sbom.cdx.json").read_text())["components"]
    components = {
        (component["name"], component["version"]): {
            digest["content"] for reference in component["externalReferences"] for digest in reference.get("hashes", ())
        }
        for component in listed
    }
    assert components == pins(ROOT / "requirements.lock")


def audited(folder: Path, *, fail: int = 0) -> tuple[int, list[str]]:
    """Run `make audit` in a copy of the project, and return its exit status and what pip-audit is asked each time.

    `fail`: the number of the time at which pip-audit finds something.
    """
    tools = folder / ".venv-tools"
    (tools / "bin").mkdir(parents=True)
    for path in (ROOT / "Makefile", *LOCKS):
        shutil.copy(path, folder)
    (tools / "bin" / "pip-audit").write_text(AUDIT)
    (tools / "bin" / "pip-audit").chmod(0o755)
    (tools / ".made").touch()
    ended = subprocess.run(["make", "audit", f"FAIL={fail}"], cwd=folder, check=False, capture_output=True)
    return ended.returncode, (folder / "audited").read_text().splitlines()


def test_every_lock_is_audited(tmp_path: Path) -> None:
    status, calls = audited(tmp_path)
    assert status == 0
    assert sorted(call.split()[-1] for call in calls) == [lock.name for lock in LOCKS]
    assert all({"--strict", "--require-hashes"} <= set(call.split()) for call in calls)


@pytest.mark.parametrize("number", range(1, len(LOCKS) + 1))
def test_a_finding_in_any_lock_fails_the_audit(tmp_path: Path, number: int) -> None:
    status, calls = audited(tmp_path, fail=number)
    assert status != 0
    assert len(calls) == number
