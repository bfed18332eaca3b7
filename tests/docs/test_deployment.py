"""docs/deployment.md: the processes of its commands can run beside each other."""

import re
from pathlib import Path

from bridge.settings.load import load_settings
from tests.support.command_line import ROOT, write_config

DOCUMENT = (ROOT / "docs" / "deployment.md").read_text()
COMMAND = re.compile(r"^((?:FLOOR_\w+=\d+ )*)floor run --role (?:pipeline|front)\b", re.MULTILINE)


def test_separate_processes_have_ports_of_their_own_when_one_for_metrics_is_set(tmp_path: Path) -> None:
    config = write_config(tmp_path, more="metrics_port = 9464\n")
    environments = [dict(word.split("=") for word in words.split()) for words in COMMAND.findall(DOCUMENT)]
    assert len(environments) == 3
    webs = [load_settings(config, environment).web for environment in environments]
    ports = {port for web in webs for port in (web.port, web.metrics_port)}
    assert len(ports) == 6
