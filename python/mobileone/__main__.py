"""`python -m mobileone` is the `mobileone` command."""

import sys

from mobileone.cli import main

if __name__ == "__main__":
    sys.exit(main())
