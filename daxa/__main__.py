"""``python -m daxa`` is ``daxa``."""

from __future__ import annotations

import sys

from daxa.cli import main

if __name__ == "__main__":
    sys.exit(main())
