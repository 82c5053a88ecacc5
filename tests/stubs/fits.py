"""Small FITS files, written without libraries so that a stand-in starts quickly."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

BLOCK = 2880


def _card(name: str, value: object) -> str:
    if isinstance(value, bool):
        text = f"{'T' if value else 'F':>20}"
    elif isinstance(value, str):
        text = f"'{value:<8}'"
    else:
        text = f"{value:>20}"
    return f"{name:<8}= {text}".ljust(80)


def _header(cards: Mapping[str, object]) -> bytes:
    text = "".join(_card(name, value) for name, value in cards.items()) + "END".ljust(80)
    return text.ljust(-(-len(text) // BLOCK) * BLOCK).encode("ascii")


def _padded(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // BLOCK) * BLOCK, b"\0")


def write_image(path: Path, width: int, height: int, value: float = 1.0) -> None:
    """An image of one value."""
    cards = {"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": width, "NAXIS2": height}
    data = struct.pack(f">{width * height}f", *[value] * (width * height))
    path.write_bytes(_header(cards) + _padded(data))


def _table(name: str, columns: Mapping[str, Sequence[float]], cards: Mapping[str, object]) -> bytes:
    rows = len(next(iter(columns.values())))
    told: dict[str, object] = {
        "XTENSION": "BINTABLE",
        "BITPIX": 8,
        "NAXIS": 2,
        "NAXIS1": 8 * len(columns),
        "NAXIS2": rows,
    }
    told |= {"PCOUNT": 0, "GCOUNT": 1, "TFIELDS": len(columns), "EXTNAME": name}
    for at, column in enumerate(columns, 1):
        told |= {f"TTYPE{at}": column, f"TFORM{at}": "D"}
    data = b"".join(struct.pack(f">{len(columns)}d", *row) for row in zip(*columns.values(), strict=True))
    return _header(told | dict(cards)) + _padded(data)


def write_table(
    path: Path,
    name: str,
    columns: Mapping[str, Sequence[float]],
    *,
    cards: Mapping[str, object] | None = None,
    gti: Sequence[tuple[float, float]] = (),
) -> None:
    """A table of numbers, with good times behind it."""
    primary = _header({"SIMPLE": True, "BITPIX": 8, "NAXIS": 0, "EXTEND": True, **(cards or {})})
    times = {"START": [one for one, _ in gti], "STOP": [two for _, two in gti]}
    behind = _table("GTI", times, {}) if gti else b""
    path.write_bytes(primary + _table(name, columns, cards or {}) + behind)
