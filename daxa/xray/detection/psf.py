"""Point spread functions without calibration files, as the telescopes declare them.

Every function is the fraction of counts within a radius (EEF), as a formula with its
source (`daxa.xray.telescopes`).  For fits it becomes a sum of round Gaussians, which are
exact to integrate over pixels, to convolve with an extended source and to differentiate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from daxa.errors import NotPossible
from daxa.xray.telescopes.optics import PsfFacts, gaussian
from daxa.xray.telescopes.registry import LazyDeclarations, psf_facts

__all__ = ["PSFS", "Psf", "PsfFacts", "beta_mixture", "gaussian_psf", "psf_for"]

PSFS: Mapping[str, PsfFacts] = LazyDeclarations(psf_facts)
"""Name, which is that of the instrument where it is of one only, to what is declared of its point spread function."""

_RADII = np.geomspace(0.03, 60.0, 90)
_WIDTHS = np.geomspace(0.1, 30.0, 22)
"""Radii of the fit and widths of the Gaussians, in half-power radii."""


@dataclass(frozen=True)
class Psf:
    """The point spread function of an image.

    Parameters
    ----------
    facts
        The instrument's.
    pixel_arcsec
        Side of an image pixel, arcsec.
    kev
        Energy of the photons, keV.
    axis
        Pixel (x, y), from 0, of the optical axis; None takes what holds on the axis everywhere.
    """

    facts: PsfFacts
    pixel_arcsec: float
    kev: float = 1.0
    axis: tuple[float, float] | None = None

    def angle(self, x: float, y: float) -> float:
        """How far a pixel lies from the optical axis.

        Parameters
        ----------
        x, y
            Place in the image, pixels from 0.

        Returns
        -------
        float
            Arcmin, in steps of half an arcmin.
        """
        if self.axis is None:
            return 0.0
        distance = math.hypot(x - self.axis[0], y - self.axis[1]) * self.pixel_arcsec / 60.0
        return min(round(2.0 * distance) / 2.0, self.facts.angle)

    def moved(self, x: int, y: int) -> Psf:
        """The same function in a part of the image.

        Parameters
        ----------
        x, y
            First column and row of the part.

        Returns
        -------
        Psf
            Whose pixels count from there.
        """
        return self if self.axis is None else replace(self, axis=(self.axis[0] - x, self.axis[1] - y))

    def eef(self, radius: np.ndarray, angle: float = 0.0) -> np.ndarray:
        """Fraction of the counts within some radii.

        Parameters
        ----------
        radius
            Any shape, pixels.
        angle
            From the optical axis, arcmin.

        Returns
        -------
        numpy.ndarray
            Of the shape of `radius`.
        """
        kev = float(np.clip(self.kev, *self.facts.energies))
        return self.facts.eef(kev, min(angle, self.facts.angle))(np.asarray(radius, float) * self.pixel_arcsec)

    def radius(self, fraction: float, angle: float = 0.0) -> float:
        """The radius within which a fraction of the counts lies.

        Parameters
        ----------
        fraction
            Share of the counts, between 0 and 1.
        angle
            From the optical axis, arcmin.

        Returns
        -------
        float
            Pixels.
        """
        return _radius(self, fraction, angle)

    def mixture(self, angle: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Gaussians that make up the function in an image.

        Parameters
        ----------
        angle
            From the optical axis, arcmin.

        Returns
        -------
        tuple of numpy.ndarray
            Weights, which sum to 1, and standard deviations in pixels, each of shape (n,).

        Notes
        -----
        A photon is known to have fallen on a pixel of the detector, and is placed anywhere in it: from its
        true place it is moved by the difference of two uniform variables, of the variance side^2 / 6.
        """
        weights, widths = _mixture(self, angle)
        return weights, np.hypot(widths, self.facts.pixel / math.sqrt(6.0) / self.pixel_arcsec)


@lru_cache(maxsize=2048)
def _radius(psf: Psf, fraction: float, angle: float) -> float:
    radii = np.geomspace(1e-3, 3600.0, 4000) / psf.pixel_arcsec
    return float(np.interp(fraction, psf.eef(radii, angle), radii))


@lru_cache(maxsize=512)
def _mixture(psf: Psf, angle: float) -> tuple[np.ndarray, np.ndarray]:
    from scipy.optimize import nnls

    half = psf.radius(0.5, angle)
    radii, widths = _RADII * half, _WIDTHS * half
    weights, _ = nnls(
        -np.expm1(-0.5 * (radii[:, None] / widths) ** 2), psf.eef(radii, angle), maxiter=100 * len(widths)
    )
    kept = weights > 1e-5
    return weights[kept] / weights[kept].sum(), widths[kept]


def psf_for(instrument: str, pixel_arcsec: float, *, kev: float = 1.0, axis: tuple[float, float] | None = None) -> Psf:
    """The point spread function of an instrument's images.

    Parameters
    ----------
    instrument
        A key of `PSFS`, or an instrument for which one of them is taken (`PsfFacts.starts`).
    pixel_arcsec
        Side of an image pixel, arcsec.
    kev
        Energy of the photons, keV.
    axis
        Pixel (x, y), from 0, of the optical axis, if the image has one.

    Returns
    -------
    Psf
        Of the instrument, or of the one that stands for it.

    Raises
    ------
    NotPossible
        No function is known for the instrument.

    Examples
    --------
    >>> psf = psf_for("M1", 4.35, kev=1.0)
    >>> float(psf.eef(15 / 4.35).round(2))
    0.68
    """
    name = instrument.upper()
    if name not in PSFS:
        name = next((key for key, facts in PSFS.items() if name.startswith(facts.starts)), name)
    if name not in PSFS:
        raise NotPossible(
            "psf",
            f"no point spread function is known for {instrument}",
            remedy=f"choose one of {', '.join(sorted(PSFS))}, or give a Gaussian (daxa.xray.gaussian_psf)",
        )
    return Psf(PSFS[name], float(pixel_arcsec), float(kev), axis)


def gaussian_psf(sigma: float) -> Psf:
    """A round Gaussian, the same everywhere in the image.

    Parameters
    ----------
    sigma
        Standard deviation, pixels.

    Returns
    -------
    Psf
        Without an optical axis.

    Examples
    --------
    >>> weights, widths = gaussian_psf(2.0).mixture()
    >>> bool(np.isclose(weights @ widths**2, 4.0, rtol=0.02))
    True
    """
    return Psf(_gaussian_facts(float(sigma)), 1.0)


@lru_cache(maxsize=64)
def _gaussian_facts(sigma: float) -> PsfFacts:
    return PsfFacts(lambda _kev, _arcmin: gaussian(sigma), (0.0, np.inf), 0.0, f"Gaussian, sigma {sigma:g} pixels")


@lru_cache(maxsize=1)
def beta_mixture() -> tuple[np.ndarray, np.ndarray]:
    """Gaussians that make up a beta model of beta = 2/3, ``(1 + r^2)^-1.5``, of core radius 1.

    Returns
    -------
    tuple of ndarray
        Weights, which sum to 1, and standard deviations.
    """
    from scipy.special import gammainc

    # The model is the mixture of Gaussians of variance 1/2t, t drawn from a Gamma distribution of shape 1/2.
    edges = np.geomspace(3e-4, 8.0, 13)
    weights = np.diff(np.concatenate(([0.0], gammainc(0.5, edges[1:-1]), [1.0])))
    return weights, 1.0 / np.sqrt(2.0 * np.sqrt(edges[:-1] * edges[1:]))
