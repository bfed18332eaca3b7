"""Simulated time: milliseconds since 1970, or a number of milliseconds."""

Millis = int
SECOND: Millis = 1_000
MINUTE: Millis = 60 * SECOND
