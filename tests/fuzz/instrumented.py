"""`python -m tests.fuzz.instrumented TARGET [OPTION OF LIBFUZZER ...]`: one target under atheris, in this process."""

import shlex
import sys
from pathlib import Path

from tests.fuzz.target import load

SEEDS = "seeds"
DICTIONARY = "words"


def main() -> None:
    try:
        import atheris  # noqa: PLC0415 - the group `fuzz` has it, for some platforms
    except ImportError:
        raise SystemExit("atheris is not installed: `make fuzz` does so on Linux, x86_64") from None
    name, *options = sys.argv[1:]
    with atheris.instrument_imports(include=["bridge"]):
        target = load(name)
    folder = Path(".fuzz") / name
    (folder / SEEDS).mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (folder / SEEDS / f"{number:03}").write_bytes(seed)
    dictionary = folder / DICTIONARY
    dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in target.WORDS))
    # libFuzzer starts its program again to merge corpora
    program = f"{shlex.quote(sys.executable)} -m tests.fuzz.instrumented {name}"
    atheris.Setup(
        [program, f"-max_len={target.MAX_BYTES}", f"-dict={dictionary}", *options],
        target.run,
        enable_python_coverage=True,
    )
    atheris.Fuzz()


def _escaped(word: str) -> str:
    return "".join(
        character if character.isalnum() and character.isascii() else f"\\x{byte:02x}"
        for character in word
        for byte in character.encode()
    )


if __name__ == "__main__":
    main()
