"""Entry point of `python -m device_sim`, the same as `device-sim`."""

import sys

from device_sim.cli.main import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
