"""The simulated field: its sources, and how their photons are drawn.

The field lies where Abell 907 is, but its sources are invented, and known exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from daxa.simulator.observation_tables import Row

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["CENTRE", "FIELD", "Sky", "Source", "draw_king", "draw_photons", "draw_power_law", "plane", "sphere"]

CENTRE = (149.591, -11.064)
"""Position of the cluster, RA and Dec in degrees."""


@dataclass(frozen=True)
class Source:
    """A simulated source.

    Parameters
    ----------
    name
        What it is called.
    ra, dec
        Degrees.
    flux
        Photons cm^-2 s^-1 between 0.5 and 10 keV.
    index
        Photon index of its power law spectrum.
    core
        Core radius of a beta model with beta 2/3, arcsec; 0 for a point.
    """

    name: str
    ra: float
    dec: float
    flux: float
    index: float
    core: float = 0.0


@dataclass(frozen=True)
class Sky:
    """A sky that the sample observatory can serve.

    Parameters
    ----------
    root
        The file tree as it is below ``/FTP``.
    tables
        Rows of the observation tables, by HEASARC's table name.
    names
        Positions for the name resolver: RA and Dec in degrees.
    sources
        The truth, where it is known.
    files
        Archive path to real file, where real files are laid out.
    """

    root: Path
    tables: Mapping[str, Sequence[Row]]
    names: Mapping[str, tuple[float, float]]
    sources: tuple[Source, ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)


def _point(number: int, east: float, north: float, flux: float, index: float) -> Source:
    ra, dec = sphere(np.array(east * 60.0), np.array(north * 60.0), *CENTRE)
    return Source(f"Sample {number}", round(float(ra), 6), round(float(dec), 6), flux, index)


def plane(ra: ArrayLike, dec: ArrayLike, ra0: float, dec0: float) -> tuple[np.ndarray, np.ndarray]:
    """Gnomonic projection: arcsec to the east and to the north of a point; angles in degrees."""
    alpha, delta, delta0 = np.radians(np.asarray(ra) - ra0), np.radians(dec), np.radians(dec0)
    depth = np.sin(delta0) * np.sin(delta) + np.cos(delta0) * np.cos(delta) * np.cos(alpha)
    east = np.cos(delta) * np.sin(alpha) / depth
    north = (np.cos(delta0) * np.sin(delta) - np.sin(delta0) * np.cos(delta) * np.cos(alpha)) / depth
    return np.degrees(east) * 3600, np.degrees(north) * 3600


def sphere(east: np.ndarray, north: np.ndarray, ra0: float, dec0: float) -> tuple[np.ndarray, np.ndarray]:
    """Inverse of `plane`: RA and Dec in degrees.

    Examples
    --------
    >>> ra, dec = sphere(0.0, 3600.0, 149.591, -11.064)
    >>> bool(abs(ra - 149.591) < 1e-9 and abs(dec + 10.064) < 1e-3)
    True
    """
    xi, eta, delta0 = np.radians(np.asarray(east) / 3600), np.radians(np.asarray(north) / 3600), np.radians(dec0)
    depth = np.cos(delta0) - eta * np.sin(delta0)
    ra = ra0 + np.degrees(np.arctan2(xi, depth))
    dec = np.degrees(np.arctan2(np.sin(delta0) + eta * np.cos(delta0), np.hypot(xi, depth)))
    return ra, dec


FIELD = (
    Source("Abell 907", *CENTRE, flux=1.6e-3, index=2.2, core=45.0),
    _point(1, 5.0, 3.0, 3.0e-4, 1.8),
    _point(2, -6.5, 2.0, 2.2e-4, 1.9),
    _point(3, 3.5, -7.0, 1.8e-4, 1.7),
    _point(4, -4.0, -5.5, 1.5e-4, 2.0),
    _point(5, 8.5, -2.5, 1.2e-4, 1.8),
    _point(6, -2.0, 8.0, 1.2e-4, 1.6),
    _point(7, -8.5, -3.0, 1.0e-4, 1.9),
    _point(8, 6.0, 7.5, 1.0e-4, 1.7),
    _point(9, 1.5, 5.0, 8.0e-5, 1.8),
    _point(10, -3.0, -9.5, 8.0e-5, 2.1),
    _point(11, 10.5, 4.0, 6.0e-5, 1.7),
    _point(12, -10.0, 6.0, 6.0e-5, 1.9),
)
"""The cluster and twelve point sources, at offsets of 5 to 12 arcmin from it."""

_GRID = np.geomspace(0.2, 80.0, 1200)


def draw_photons(
    rng: np.random.Generator,
    source: Source,
    area: tuple[Sequence[float], Sequence[float]],
    seconds: float,
    band: tuple[float, float],
) -> np.ndarray:
    """Energies (keV) of the photons that a telescope collects from a source on its axis.

    Parameters
    ----------
    area
        Effective area: energies in keV, cm^2 at them.
    seconds
        How long it collects.
    band
        Energies outside are not looked at, keV.
    """
    rise = 1.0 - source.index
    norm = source.flux * rise / (10.0**rise - 0.5**rise)
    inside = _GRID[(band[0] <= _GRID) & (band[1] >= _GRID)]
    rate = norm * inside**-source.index * np.interp(inside, *area, left=0.0, right=0.0)
    steps = np.diff(inside) * (rate[1:] + rate[:-1]) / 2
    count = rng.poisson(steps.sum() * seconds)
    return np.interp(rng.random(count), np.append(0.0, np.cumsum(steps)) / steps.sum(), inside)


def draw_power_law(rng: np.random.Generator, count: int, index: float, band: tuple[float, float]) -> np.ndarray:
    """Energies (keV) that follow a power law in detector space; index 0 is flat."""
    rise = 1.0 - index
    lo, hi = band[0] ** rise, band[1] ** rise
    return (lo + (hi - lo) * rng.random(count)) ** (1.0 / rise)


def draw_king(
    rng: np.random.Generator, count: int, core: float, slope: float, limit: float
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets that follow a King profile (1 + (r/core)^2)^-slope out to ``limit``.

    Serves for the XMM point spread function (Ghizzardi 2001, core about 5 arcsec, slope
    1.4 to 1.5) and, with slope 3 beta - 1/2, for the beta model of a cluster.

    Returns
    -------
    tuple of numpy.ndarray
        Offsets in two directions, in the unit of ``core``.
    """
    reach = 1.0 - (1.0 + (limit / core) ** 2) ** (1.0 - slope)
    radius = core * np.sqrt((1.0 - reach * rng.random(count)) ** (1.0 / (1.0 - slope)) - 1.0)
    angle = rng.random(count) * 2 * np.pi
    return radius * np.cos(angle), radius * np.sin(angle)
