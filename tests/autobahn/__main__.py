"""`python -m tests.autobahn`: the Autobahn test suite against the bridge's WebSocket server, without compression."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.autobahn import suite, verdict
from tests.autobahn.echo import SETTINGS, echo_app
from tests.http.served_sockets import served


def main() -> None:
    try:
        python = suite.find_python()
        verdicts = asyncio.run(_run(python, suite.install(python)))
    except suite.NoSuite as error:
        sys.exit(f"make autobahn: {error}")
    wrong = verdict.faults(verdicts)
    sys.stdout.write("\n".join((verdict.summary(verdicts), *wrong, "")))
    sys.exit(1 if wrong else 0)


async def _run(python: Path, packages: Path) -> Mapping[str, Mapping[str, Any]]:
    async with served(echo_app, SETTINGS) as port:
        return await suite.run(python, packages, port)


if __name__ == "__main__":
    main()
