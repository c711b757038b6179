"""`python -m benchmarks.builds`."""

from __future__ import annotations

import sys

from benchmarks.builds.cli import main

if __name__ == "__main__":
    sys.exit(main())
