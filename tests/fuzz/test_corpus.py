"""What the fuzzer found interesting, and its former finds, through the targets without the fuzzer."""

import pytest

from tests.fuzz.target import CORPUS, FOUND, MAX_CORPUS_BYTES, MAX_FILES, TARGETS, kept, load


@pytest.mark.parametrize("name", TARGETS)
def test_no_kept_input_is_a_find(name: str) -> None:
    target = load(name)
    inputs = [path.read_bytes() for path in kept(name)]
    assert inputs, "make fuzz, then python -m tests.fuzz keep"
    for data in (b"", *target.seeds(), *inputs):
        try:
            target.run(data)
        except BaseException as error:
            error.add_note(f"{name}: {data!r}")
            raise


def test_the_corpus_stays_small() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    for name in TARGETS:
        sampled = [path for path in kept(name) if not path.name.startswith(FOUND)]
        assert len(sampled) <= MAX_FILES
        assert sum(path.stat().st_size for path in sampled) <= MAX_CORPUS_BYTES
