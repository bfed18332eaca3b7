"""The journal that the benchmarks measure is intact in every row."""

from pathlib import Path

from bridge.journal.tools.verify import verify_journal
from tests.bench.large_journal import make


def test_a_large_journal_passes_verification(tmp_path: Path) -> None:
    make(tmp_path / "journal.db", events=4_000, lines=10)
    result = verify_journal(tmp_path / "journal.db")
    assert result.is_intact, [part.faults for part in result.parts]
    assert result.summary is not None
    assert result.summary.meta.last_offset > 4_000
