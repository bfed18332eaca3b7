from bridge.cli.main import app, main

__all__ = ["app", "main"]
