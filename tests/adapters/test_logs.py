import subprocess
import sys

import pytest

PROGRAM = """
import logging, structlog
from bridge.adapters import logs
logs.configure(level="info", log_format="{log_format}")
structlog.get_logger().info("device.seen", name="evil\\r\\nlevel=error\\x1b[2J", count=3)
structlog.get_logger().debug("not.shown")
logging.getLogger("somebody").warning("theirs\\nwith a line")
"""


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_a_name_with_line_breaks_stays_on_its_line(log_format: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(log_format=log_format)], capture_output=True, text=True, check=True
    )
    lines = ran.stderr.splitlines()
    assert len(lines) == 2, ran.stderr
    assert "device.seen" in lines[0]
    assert "evil" in lines[0]
    assert "\x1b[2J" not in ran.stderr
    assert "theirs" in lines[1]
    assert ran.stdout == ""
