from bridge.cli.floor import app, main

__all__ = ["app", "main"]
