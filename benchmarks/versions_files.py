"""The files of the observations whose versions are measured; as a program, it writes those of the given ObsIDs."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["BLOCK", "content", "write_flat"]

BLOCK = 4096
"""Bytes of a file."""


def content(*what: object) -> bytes:
    """A block of text that depends on the values."""
    return hashlib.sha256(repr(what).encode()).hexdigest().encode() * (BLOCK // 64)


def write_flat(root: Path, ids: Sequence[str]) -> None:
    """Ten files of each of some observations, below ``data/``."""
    for obs_id in ids:
        (root / "data" / obs_id).mkdir(parents=True)
        for number in range(10):
            (root / "data" / obs_id / f"product{number}.json").write_bytes(content(obs_id, number))


if __name__ == "__main__":
    write_flat(Path(), sys.argv[1:])
