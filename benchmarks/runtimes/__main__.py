"""`python -m benchmarks.runtimes`."""

from __future__ import annotations

import sys

from benchmarks.runtimes.cli import main

if __name__ == "__main__":
    sys.exit(main())
