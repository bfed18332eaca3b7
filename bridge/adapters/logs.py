"""Logging: one line per event, with fields, as console text or JSON; libraries' own logs included."""

import logging
import sys
from typing import Literal

import structlog
from structlog.typing import EventDict, WrappedLogger

CONTROL_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160), 0x2028, 0x2029)}


def configure(*, level: str, log_format: Literal["console", "json"]) -> None:
    """Set up the process's logging, to stderr."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        escape_control_characters,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(level=max(threshold, logging.INFO), handlers=[handler], force=True)
    logging.getLogger("uvicorn.access").disabled = True  # its lines would contain query strings


def escape_control_characters(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape control characters and line breaks: names come from devices and users. Tracebacks keep their lines."""
    return {
        name: value.translate(CONTROL_ESCAPES) if isinstance(value, str) and name != "exception" else value
        for name, value in event.items()
    }
