"""Errors that end the demo."""


class DemoError(Exception):
    """The demo cannot run; the text gives the reason and the remedy."""
