"""Which images are made of an exposure: in bands, if its instrument measures energies, with suitable pixels."""

from __future__ import annotations

from daxa.backends.native.exposure import ExposureTask, band_channels
from daxa.xray.eventlists.channels import adjacent_ranges
from daxa.xray.telescopes import imaging_of

__all__ = ["Chosen", "chosen_bands", "chosen_pixel"]

Chosen = tuple[tuple[float, float] | None, tuple[int, int] | None]
"""Edges (keV) and channels of a band; None and None for everything that the screening keeps."""


def chosen_bands(exposure: ExposureTask, bands: tuple[tuple[float, float], ...]) -> list[Chosen]:
    """The bands of an exposure with their channels; adjacent bands share none.

    The bands that a mission declares do not apply to those of its instruments that measure no
    energies: there is one image of everything that these recorded.

    Parameters
    ----------
    exposure
        The exposure.
    bands
        Edges, keV, as the parameters have them.

    Raises
    ------
    NotPossible
        Another band is requested of an instrument that measures no energies or does not cover it.
    """
    mission, form = exposure.task.mission, exposure.events.format
    named = {(one.lo, one.hi) for one in imaging_of(mission).bands}
    if form.pi_to_kev is None and set(bands) <= named:
        exposure.say(f"one image of everything: {exposure.events.why_not('energy-band')}")
        return [(None, None)]
    return [
        (band, band_channels(mission, form, band) if band in named else channels)
        for band, channels in zip(bands, adjacent_ranges(form, bands), strict=True)
    ]


def chosen_pixel(exposure: ExposureTask, pixel: float) -> float:
    """The side of an image pixel, arcsec: the instrument's own if the mission's default is requested."""
    usual = imaging_of(exposure.task.mission)
    return usual.pixel_of(exposure.product.instrument) if pixel == usual.pixel else pixel
