"""Programs of the npm registry: what cannot be installed is named, and what is there is installed once."""

from pathlib import Path

import pytest

from tests.bench.npm import NotInstalled, installed_modules


def test_a_missing_npm_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotInstalled, match="npm cannot install ws: no `node` found"):
        installed_modules("ws", "8.18.3", cache=tmp_path)


def test_the_reason_of_npm_is_kept_and_nothing_half_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "npm"
    program.write_text(
        "#!/bin/sh\nmkdir node_modules\necho 'npm error code E404' >&2\necho 'npm error 404 gone' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    (tmp_path / "node").symlink_to("/bin/true")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(NotInstalled, match="npm cannot install ws: code E404; 404 gone"):
        installed_modules("ws", "8.18.3", cache=tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_what_is_installed_is_installed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modules = tmp_path / "ws-8.18.3" / "node_modules"
    modules.mkdir(parents=True)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert installed_modules("ws", "8.18.3", cache=tmp_path) == modules
