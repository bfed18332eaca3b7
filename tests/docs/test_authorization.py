"""docs/authorization.md: what it shows of `floor explain-access` and of the policy file is so."""

import json
import re
import shlex
from pathlib import Path

from tests.support.command_line import ROOT, floor, write_config

DOCUMENT = (ROOT / "docs" / "authorization.md").read_text()
(EXAMPLE,) = re.findall(
    r"^```sh\nfloor (explain-access .*)\n```\n\n```json\n(.*?)^```", DOCUMENT, re.MULTILINE | re.DOTALL
)


def test_the_example_of_explain_access_has_the_output_that_is_shown(tmp_path: Path) -> None:
    command, output = EXAMPLE
    write_config(tmp_path)
    ended = floor(tmp_path, *shlex.split(command))
    assert (ended.returncode, ended.stdout) == (0, output)
    refused = floor(tmp_path, *shlex.split(command.replace("andon:L2", "andon:L1")))
    assert refused.returncode == 3
    assert list(json.loads(refused.stdout)) == ["allowed", "witness", "reason"]
