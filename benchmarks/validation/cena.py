"""The real Chandra field of Centaurus A: background in rings about a bright nucleus, jet and diffuse gas."""

from __future__ import annotations

import gzip
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from benchmarks.validation.checks import Check, Figure, between, real_data
from tests.backends.native.observations import Fetched, run_step

__all__ = ["CHECKS"]

NUCLEUS = (201.36506, -43.01911)
"""Deg, ICRS (Ma et al. 1998, AJ 116, 516)."""

EDGES = (3.0, 3.5, 4.0, 4.5, 5.0, 6.0, 7.0, 8.0)
"""Arcmin."""

_LIST = ("acisf18461N001_evt2.fits.gz", "chandra/acis_18461_cena_evt2.fits")


def check_rings(_scale: float) -> list[Figure]:
    """Background over counts, without the sources that were found."""
    content = (real_data() / _LIST[1]).read_bytes()
    fetched = Fetched("chandra", "18461", ("ACIS",), {})
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        target = root / "fetch" / "primary" / _LIST[0]
        target.parent.mkdir(parents=True)
        target.write_bytes(gzip.compress(content, 1, mtime=0))
        for step in ("events", "clean"):
            run_step(fetched, step, root)
        run_step(fetched, "images", root, bands=["0.5-2.0 keV"])
        run_step(fetched, "sources", root, realisations=0)
        [image] = (root / "images").glob("*-image.fits")
        [below] = (root / "sources").glob("*-background.fits")
        [found] = (root / "sources").glob("*-sourcelist.fits")
        return _rings(image, below, found)


def _rings(image: Path, below: Path, found: Path) -> list[Figure]:
    counts, header, background = fits.getdata(image), fits.getheader(image), fits.getdata(below)
    with fits.open(found) as units:
        rows = units["SOURCES"].data
        points = rows[rows["EXTENT"] == 0]
        places = [(float(row["X"]), float(row["Y"]), float(row["RADIUS"])) for row in points]
    x0, y0 = (float(at) for at in WCS(header).wcs_world2pix([NUCLEUS], 1)[0])
    y, x = np.indices(counts.shape) + 1.0
    away = np.hypot(x - x0, y - y0) * abs(header["CDELT2"]) * 60.0
    kept = background > 0
    for column, line, radius in places:
        kept &= np.hypot(x - column, y - line) > 2.0 * radius
    figures = []
    for inner, outer in pairwise(EDGES):
        ring = kept & (away >= inner) & (away < outer)
        number = max(float(counts[ring].sum()), 1.0)
        figures.append(
            between(f"{inner:g} to {outer:g} arcmin", float(background[ring].sum()) / number, 0.9, 1.1,
                    error=number**-0.5, note=f", {number:.0f} counts")
        )  # fmt: skip
    return [*figures, _scatter(counts, background, kept & (away >= 5.0) & (away < 10.0), (away, x - x0, y - y0))]


def _scatter(counts: np.ndarray, background: np.ndarray, used: np.ndarray, place: tuple[np.ndarray, ...]) -> Figure:
    """Whether counts scatter about the background as Poisson's do: sectors of 45 degrees and an arcmin."""
    from scipy.stats import chi2

    away, x, y = place
    sector = (np.arctan2(y, x) / (2.0 * np.pi) % 1.0 * 8).astype(int) + 8 * away.astype(int)
    number, below = (np.bincount(sector[used], image[used]) for image in (counts, background))
    kept = below > 3.0
    value = float(((number - below)[kept] ** 2 / below[kept]).sum())
    chance = float(chi2.sf(value, kept.sum()))
    text = f"chi^2 {value:.1f} in {kept.sum()} sectors, chance {chance:.3f}; all of it {below.sum() / number.sum():.3f}"
    return Figure("5 to 10 arcmin: scatter of counts about the background", text, "a chance above 0.01", chance > 0.01)


CHECKS = (
    Check("cena-rings", "Background over counts, in rings about Centaurus A", "the counts themselves",
          "Chandra 18461 through the whole chain", check_rings),
)  # fmt: skip
