"""The command as a user runs it, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["daxa"]


def daxa(*arguments: str, cwd: Path, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run ``daxa`` with these arguments and give what became of it."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("DAXA_", "DVC_"))}
    return subprocess.run(
        [sys.executable, "-m", "daxa", *arguments],
        cwd=cwd,
        env={**clean, "DAXA_CONFIG": str(cwd / "no-config.toml"), "DAXA_CACHE": str(cwd / "cache"), **(environ or {})},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=900,
        check=False,
    )
