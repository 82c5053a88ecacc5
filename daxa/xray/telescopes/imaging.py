"""How the events of a telescope are usually imaged, and how flares show in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from daxa.quantities import band_text

__all__ = ["Band", "FlareFilter", "Imaging"]


@dataclass(frozen=True)
class Band:
    """A named energy band.

    Parameters
    ----------
    lo, hi
        Nominal edges, keV.
    pi
        First and last channel, both inside the band: whole, or at least their middle.
    others
        Instruments whose channels are others, and theirs.
    """

    lo: float
    hi: float
    pi: tuple[int, int]
    others: tuple[tuple[str, tuple[int, int]], ...] = ()

    def channels(self, instrument: str) -> tuple[int, int]:
        """First and last channel of an instrument.

        Examples
        --------
        >>> Band(0.5, 2.0, (83, 332), (("RESOLVE", (1000, 3999)),)).channels("RESOLVE")
        (1000, 3999)
        """
        return dict(self.others).get(instrument, self.pi)

    @property
    def text(self) -> str:
        """As written in a params file, such as ``0.5-2.0 keV``."""
        return band_text((self.lo, self.hi))


@dataclass(frozen=True)
class FlareFilter:
    """How the light curve for flare screening is made.

    Parameters
    ----------
    band
        Energies whose rate shows the particle background, keV.
    bin
        Length of a time bin, s.
    soft
        Energies of a second pass for flares that the first does not show, keV; None for no second pass.
    """

    band: tuple[float, float]
    bin: float
    soft: tuple[float, float] | None = None


@dataclass(frozen=True)
class Imaging:
    """The default images and light curves of one mission of a telescope.

    Parameters
    ----------
    bands
        Energy bands, in rising order; they share no channel.
    pixel
        Side of an image pixel, arcsec; 0 where nothing is imaged.
    pixels
        Instrument to the side of its pixels, arcsec, where it is not that of the others.
    flares
        None where the archive's good time intervals are kept as they are.

    Examples
    --------
    >>> Imaging(pixel=15.0, pixels={"HRI": 5.0}).pixel_of("HRI")
    5.0
    """

    bands: tuple[Band, ...] = ()
    pixel: float = 0.0
    pixels: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    flares: FlareFilter | None = None

    def pixel_of(self, instrument: str) -> float:
        """Side of an image pixel of an instrument, arcsec."""
        return self.pixels.get(instrument, self.pixel)
