"""What is imaged of an exposure: bands where its instrument has energies, and pixels that suit it."""

from __future__ import annotations

from daxa.backends.native.exposure import ExposureTask, band_channels
from daxa.xray.eventlists.channels import adjacent_ranges
from daxa.xray.telescopes import imaging_of

__all__ = ["Chosen", "chosen_bands", "chosen_pixel"]

Chosen = tuple[tuple[float, float] | None, tuple[int, int] | None]
"""Edges (keV) and channels of a band; None and None for everything that the screening keeps."""


def chosen_bands(exposure: ExposureTask, bands: tuple[tuple[float, float], ...]) -> list[Chosen]:
    """The bands of an exposure with their channels; bands that meet share none.

    The bands that a mission declares are not asked of those of its instruments that have no
    energies: what these recorded is imaged once, whole.

    Parameters
    ----------
    exposure
        Whose instrument it is.
    bands
        Edges, keV, as the parameters have them.

    Raises
    ------
    NotPossible
        Any other band is asked of an instrument that has no energies or does not reach so far.
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
    """The side of an image pixel, arcsec: the instrument's own where the mission's default is asked for."""
    usual = imaging_of(exposure.task.mission)
    return usual.pixel_of(exposure.product.instrument) if pixel == usual.pixel else pixel
