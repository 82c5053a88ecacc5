"""``python -m daxa`` is ``daxa``."""

from __future__ import annotations

from daxa.cli import run

if __name__ == "__main__":
    run()
