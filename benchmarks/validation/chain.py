"""Simulated observations through the whole native chain: events, clean, images, sources."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from astropy.io import fits

from benchmarks.validation.origins import Photons
from tests.backends.native.observations import Fetched, run_step

__all__ = ["Observation", "Searched", "search_field"]

BAND = ["0.5-2.0 keV"]
STEPS = ("events", "clean", "images", "sources")


class Observation(Protocol):
    """A simulated observation: what it is of, and the truth about its point sources."""

    mission: str
    obs_id: str
    instrument: str

    def write(self, root: Path) -> None:
        """Write it as the archive lays it out, below ``root / "fetch"``."""

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Event pixels (x, y) of the point sources."""

    def rates(self) -> np.ndarray:
        """Their rates, count/s of 0.5 to 2 keV, as the exposure map of the image counts seconds."""


@dataclass(frozen=True, eq=False)
class Searched:
    """What the chain made of a simulated field.

    ``places`` are the pixels (x, y from 1) of the true point sources, ``rates`` their true rates (count/s, on the
    axis), ``seen`` the counts that the image should hold of each.
    """

    field: Observation
    table: dict[str, np.ndarray]
    expected_false: float
    photons: Photons
    places: np.ndarray
    rates: np.ndarray
    seen: np.ndarray
    counts: np.ndarray
    seconds: np.ndarray
    background: np.ndarray
    header: fits.Header

    @property
    def pixel(self) -> float:
        """Arcsec."""
        return 3600.0 * abs(float(self.header["CDELT2"]))

    def at(self, x, y) -> np.ndarray:
        """Pixels (x, y from 1) of event pixels."""
        return _pixels(self.header, x, y)


def _pixels(header: fits.Header, x, y) -> np.ndarray:
    axes = zip((x, y), (1, 2), strict=True)
    return np.column_stack(
        [
            header[f"CRPIX{n}L"] + (np.asarray(values, float) - header[f"CRVAL{n}L"]) / header[f"CDELT{n}L"]
            for values, n in axes
        ]
    )


def search_field(
    field: Observation, *, false_per_field: float = 1.0, keep: Callable[[Path], object] | None = None
) -> Searched:
    """Write the observation, run the four steps on it, and read what they made.

    ``keep`` sees the folder of the products before it goes.
    """
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        field.write(root)
        fetched = Fetched(field.mission, field.obs_id, (field.instrument,), {})
        settings = {"images": {"bands": BAND}, "sources": {"false_per_field": false_per_field}}
        for step in STEPS:
            run_step(fetched, step, root, **settings.get(step, {}))
        if keep is not None:
            keep(root)
        return _read(root, field)


def _read(root: Path, field: Observation) -> Searched:
    [found] = (root / "sources").glob("*-sourcelist.fits")
    [image] = (root / "images").glob("*-image.fits")
    [expmap] = (root / "images").glob("*-expmap.fits")
    [below] = (root / "sources").glob("*-background.fits")
    [told] = json.loads(next((root / "sources").glob("*-search.json")).read_text(encoding="ascii"))
    [clean] = (root / "clean").glob("*-finalevents.fits")
    header = fits.getheader(image)
    with fits.open(found) as units:
        data = units["SOURCES"].data
        table = {name.lower(): np.array(data[name], float) for name in data.names}
    with fits.open(clean) as units:
        rows = units["EVENTS"].data
        soft = (rows["PI"] >= header["CHANMIN"]) & (rows["PI"] <= header["CHANMAX"])
        photons = Photons(_pixels(header, rows["X"][soft], rows["Y"][soft]), np.array(rows["PHOTSRC"][soft]))
    seconds = fits.getdata(expmap).astype(float)
    places, rates = _pixels(header, *field.places()), field.rates()
    seen = np.array([np.count_nonzero(photons.origin == number) for number in range(1, len(rates) + 1)])
    return Searched(
        field, table, float(told["expected_false"]), photons, places, rates, seen,
        fits.getdata(image), seconds, fits.getdata(below).astype(float), header,
    )  # fmt: skip
