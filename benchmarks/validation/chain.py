"""Simulated observations through the whole native chain: events, clean, images, sources."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.validation.epiclist import Field, livetime, sky_pixel, write_field
from benchmarks.validation.optics import OUT_OF_TIME
from benchmarks.validation.origins import Photons
from tests.backends.observations import Fetched, run_step

__all__ = ["Searched", "search_field"]

BAND = ["0.5-2.0 keV"]
CHANNELS = (500, 2000)
STEPS = ("events", "clean", "images", "sources")


@dataclass(frozen=True, eq=False)
class Searched:
    """What the chain made of a simulated field.

    ``places`` are the pixels (x, y from 1) of the true point sources, ``rates`` their true rates (count/s, on the
    axis), ``seen`` the counts that the image should hold of each.
    """

    field: Field
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

    def at(self, detx, dety) -> np.ndarray:
        """Pixels (x, y from 1) of places in detector coordinates."""
        return _pixels(self.header, *sky_pixel(self.field, detx, dety))


def _pixels(header: fits.Header, x, y) -> np.ndarray:
    axes = zip((x, y), (1, 2), strict=True)
    return np.column_stack(
        [
            header[f"CRPIX{n}L"] + (np.asarray(values, float) - header[f"CRVAL{n}L"]) / header[f"CDELT{n}L"]
            for values, n in axes
        ]
    )


def search_field(
    field: Field, *, false_per_field: float = 1.0, keep: Callable[[Path], object] | None = None
) -> Searched:
    """Write the observation, run the four steps on it, and read what they made.

    ``keep`` sees the folder of the products before it goes.
    """
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        write_field(root, field)
        fetched = Fetched("xmm", field.obs_id, (field.camera,), {})
        settings = {"images": {"bands": BAND}, "sources": {"false_per_field": false_per_field}}
        for step in STEPS:
            run_step(fetched, step, root, **settings.get(step, {}))
        if keep is not None:
            keep(root)
        return _read(root, field)


def _read(root: Path, field: Field) -> Searched:
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
        soft = (rows["PI"] >= CHANNELS[0]) & (rows["PI"] <= CHANNELS[1])
        photons = Photons(_pixels(header, rows["X"][soft], rows["Y"][soft]), np.array(rows["PHOTSRC"][soft]))
    seconds = fits.getdata(expmap).astype(float)
    detx, dety, counts = (np.array([getattr(one, name) for one in field.points]) for name in ("detx", "dety", "counts"))
    places = _pixels(header, *sky_pixel(field, detx, dety)) if len(counts) else np.empty((0, 2))
    rates = counts * (1.0 - OUT_OF_TIME[field.camera]) / livetime(field)
    seen = np.array([np.count_nonzero(photons.origin == number) for number in range(1, len(counts) + 1)])
    return Searched(
        field, table, float(told["expected_false"]), photons, places, rates, seen,
        fits.getdata(image), seconds, fits.getdata(below).astype(float), header,
    )  # fmt: skip
