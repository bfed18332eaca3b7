"""`python -m tests.fuzz`: fuzzes the targets, two at a time, or keeps a part of what they found interesting.

    python -m tests.fuzz all [--seconds 600] [--only TARGET ...]
    python -m tests.fuzz keep [--only TARGET ...]

The corpus grows in `.fuzz/TARGET/corpus`, from that in `tests/fuzz/corpus`; `keep` writes a bounded part of it back. An
input that is a find is in `.fuzz/TARGET`: mend the fault, and keep the input as `tests/fuzz/corpus/TARGET/found-…`.
"""

import argparse
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from tests.fuzz.instrumented import SEEDS
from tests.fuzz.target import CORPUS, FOUND, MAX_CORPUS_BYTES, MAX_FILES, TARGETS

WORK: Final = Path(".fuzz")
AT_ONCE: Final = 2
SLOW_SECONDS: Final = 10  # for one input: work that grows with the square of its size
MEMORY_MB: Final = 2_048
FIND: Final = re.compile(r"^(crash|timeout|oom|leak)-")


class Result(NamedTuple):
    """One target's run. `find`: the input that ended it."""

    name: str
    runs: str
    coverage: str
    find: Path | None
    exit_code: int


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("command", choices=("all", "keep"))
    parser.add_argument("--seconds", type=int, default=600, help="of each target")
    parser.add_argument("--only", nargs="+", choices=TARGETS, default=TARGETS, metavar="TARGET")
    chosen = parser.parse_args()
    if chosen.command == "keep":
        for name in chosen.only:
            _say(f"{name}: {_keep(name)} files kept")
        return
    with ThreadPoolExecutor(AT_ONCE) as workers:
        results = list(workers.map(lambda name: _fuzz(name, chosen.seconds), chosen.only))
    _say(f"{'target':8} {'runs':>10} {'edges':>7}  result")
    for result in results:
        _say(f"{result.name:8} {result.runs:>10} {result.coverage:>7}  {_describe(result)}")
    sys.exit(any(result.exit_code for result in results))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _fuzz(name: str, seconds: int) -> Result:
    folder = WORK / name
    for path in folder.glob("*"):
        if FIND.match(path.name):
            path.unlink()  # of an earlier run; a find that was not mended is found again
    (folder / "corpus").mkdir(parents=True, exist_ok=True)
    _say(f"{name}: {seconds} s, log in {folder}/log")
    exit_code = _instrumented(
        name,
        *(folder / "corpus", CORPUS / name, folder / SEEDS),
        f"-max_total_time={seconds}",
        f"-timeout={SLOW_SECONDS}",
        f"-rss_limit_mb={MEMORY_MB}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
    )
    log = (folder / "log").read_text(errors="replace")
    runs = re.findall(r"^#(\d+)\s|^stat::number_of_executed_units: (\d+)", log, re.MULTILINE)
    coverage = re.findall(r"\bcov: (\d+)", log)
    find = next((path for path in sorted(folder.glob("*")) if FIND.match(path.name)), None)
    return Result(name, "".join(runs[-1]) if runs else "?", coverage[-1] if coverage else "?", find, exit_code)


def _instrumented(name: str, *options: str | Path) -> int:
    (WORK / name / SEEDS).mkdir(parents=True, exist_ok=True)
    (CORPUS / name).mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-m", "tests.fuzz.instrumented", name, *options)
    with (WORK / name / "log").open("wb") as log:
        return subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode


def _describe(result: Result) -> str:
    if not result.exit_code:
        return "no find"
    log = WORK / result.name / "log"
    if result.find is None:
        return f"ended with {result.exit_code}: see {log}"
    return f"{result.find}, see {log}: {result.find.read_bytes().hex()}"


def _keep(name: str) -> int:
    """Merge what the corpora reach into the fewest inputs, and keep a sample of them over all sizes."""
    folder = WORK / name
    merged = folder / "merged"
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir(parents=True)
    (folder / "corpus").mkdir(exist_ok=True)
    if _instrumented(name, "-merge=1", merged, CORPUS / name, folder / "corpus", folder / SEEDS):
        raise SystemExit(f"{name}: see {folder}/log")
    inputs = sorted(merged.iterdir(), key=lambda path: (path.stat().st_size, path.name))
    while len(inputs) > MAX_FILES or sum(path.stat().st_size for path in inputs) > MAX_CORPUS_BYTES:
        inputs = inputs[:-1] if len(inputs) <= MAX_FILES else inputs[:: -(-len(inputs) // MAX_FILES)]
    for path in (CORPUS / name).iterdir():
        if not path.name.startswith(FOUND):
            path.unlink()
    for path in inputs:
        shutil.copy(path, CORPUS / name)
    return len(inputs)


if __name__ == "__main__":
    main()
