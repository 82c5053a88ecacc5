"""Which exposures an observation of XMM-Newton has, from the names of its raw files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["RawExposure", "chip_text", "raw_exposures"]

_RAW = re.compile(
    r"(?:.*/)?\d{4}_\d{10}_(?P<instrument>M1|M2|PN|R1|R2)(?P<kind>[SUX])(?P<number>\d{3})(?P<chip>\d\d)"
    r"(?P<type>IME|SPE)\.FIT",
    re.ASCII,
)
"""Data Files Handbook: revolution, ObsID, instrument, scheduled or not, exposure, chip (and node), type: events of an
imaging mode, or of the gratings."""

_TYPES = {"R1": "SPE", "R2": "SPE"}


@dataclass(frozen=True)
class RawExposure:
    """An exposure with chips in an imaging mode, or of a grating spectrometer.

    Parameters
    ----------
    instrument
        ``PN``, ``M1``, ``M2``, ``R1`` or ``R2``.
    name
        Such as ``S003``.
    chips
        Its chips in such a mode, sorted.
    """

    instrument: str
    name: str
    chips: tuple[int, ...]

    @property
    def part(self) -> str:
        """Its name in calls and products, such as ``PN-S003``."""
        return f"{self.instrument}-{self.name}"

    @property
    def schedule(self) -> str:
        """``S`` or ``U``."""
        return self.name[0]

    @property
    def number(self) -> int:
        """Its number."""
        return int(self.name[1:])


def raw_exposures(paths: Iterable[str], instruments: Iterable[str], *, unscheduled: bool = True) -> list[RawExposure]:
    """The exposures of some instruments that can be processed, sorted.

    Parameters
    ----------
    paths
        Of the raw files.
    instruments
        Their names.
    unscheduled
        Whether to include exposures that were not planned.

    Examples
    --------
    >>> names = [f"0070_0123700101_{one}IME.FIT" for one in ("PNS00304", "PNS00301", "M1U00210")]
    >>> [(one.part, one.chips) for one in raw_exposures(names, ["PN", "M1"])]
    [('M1-U002', (1,)), ('PN-S003', (1, 4))]
    """
    chosen, found = set(instruments), dict[tuple[str, str], set[int]]()
    for match in filter(None, map(_RAW.fullmatch, paths)):
        instrument = match["instrument"]
        imaging = match["type"] == _TYPES.get(instrument, "IME")
        if instrument in chosen and imaging and (unscheduled or match["kind"] == "S"):
            # Chips of MOS are followed by the number of the node.
            chip = int(match["chip"][0]) if instrument in ("M1", "M2") else int(match["chip"])
            found.setdefault((instrument, match["kind"] + match["number"]), set()).add(chip)
    return [RawExposure(*name, tuple(sorted(chips))) for name, chips in sorted(found.items())]


def chip_text(chips: Iterable[int]) -> str:
    """Chips as epchain takes them.

    Examples
    --------
    >>> chip_text([1, 2, 3, 6, 8, 9])
    '1-3,6,8-9'
    """
    runs: list[list[int]] = []
    for chip in sorted(chips):
        if runs and runs[-1][1] == chip - 1:
            runs[-1][1] = chip
        else:
            runs.append([chip, chip])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)
