"""Errors that end a process of the bridge, with texts for its operator."""


class StartError(Exception):
    """The bridge cannot start; the text has a line for each reason."""


class BridgeCrashed(Exception):
    """A task failed and ended the bridge; the text has a line for each reason, the log has more."""
