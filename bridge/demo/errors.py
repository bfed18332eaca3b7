"""Errors that end the demo."""


class DemoError(Exception):
    """The demo cannot run; the text says why and what to do."""
