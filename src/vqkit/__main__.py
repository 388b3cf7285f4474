"""``python -m vqkit``, and the installed command: nothing is loaded before Ctrl-C is understood."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line."""
    try:
        from vqkit.cli.main import main as command
    except KeyboardInterrupt:
        if os.environ.get("VQKIT_TRACEBACK"):
            raise
        sys.exit(130)
    command()


if __name__ == "__main__":
    main()
