"""Histograms and housekeeping of the BAT in the archive's tree: times, exposures and rates alone."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from astropy.io import fits

START = 612_345_600.0
"""2020-05-28T08:00, a moment of the mission's clock."""

SECONDS = 300.0
NAMES = ("20201490800", "20201490945")
"""Pointings: the second begins 105 minutes after the first."""


def add_survey(place: Path, obs_id: str, counts: Sequence[int] = (3, 2), detectors: int = 15000) -> None:
    """So many histograms of 300 s in each pointing, which begin 105 minutes after each other."""
    times = [START + 6300.0 * at + SECONDS * one for at, number in enumerate(counts) for one in range(number)]
    for at, number in enumerate(counts):
        begin = START + 6300.0 * at
        inside = [one for one in times if begin <= one < begin + SECONDS * number]
        table = {
            "TIME": inside,
            "EXPOSURE": [SECONDS] * number,
            "DATA_FLAGS": [0.0] * number,
            "RATE": [0.01 * (at + 1)] * number,
        }
        _write(place / f"bat/survey/sw{obs_id}bsvpbo0e78g03{at:02d}.dph.gz", "BAT_DPH", table)
    kept = {"TIME": [START - 100.0, START + 1e5], "BDIHKNGOODDETS": [float(detectors)] * 2}
    _write(place / f"bat/hk/sw{obs_id}ben.hk.gz", "hk139x001", kept)
    for path in (
        *(f"bat/hk/sw{obs_id}{name}.hk.gz" for name in ("bdecb", "bgocb", "bdqcb", "bhd")),
        *(f"auxil/sw{obs_id}{name}.gz" for name in ("sat.fits", "sao.fits", "sen.hk", "s.mkf")),
    ):
        _write(place / path, "TABLE", {"TIME": [START, START + 1e5]})


def _write(path: Path, name: str, table: dict[str, list[float]]) -> None:
    columns = [fits.Column(one, "D", array=np.asarray(values)) for one, values in table.items()]
    content = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name=name)]).writeto(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content.getvalue(), 1, mtime=0))
