"""The flare filter of the step clean: its parameters, and the cards that describe it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from daxa.backends.native.exposure import ExposureTask, band_channels, band_text
from daxa.backends.native.parameters import CleanParameters
from daxa.xray.cleaning.bandscreen import BandPass, BandScreen, final_status, screen_bands
from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.flarereport import flare_cards, write_flare_picture, write_flare_table
from daxa.xray.cleaning.flarescreen import FlareScreen, screen_flares
from daxa.xray.cleaning.livetime import ontime
from daxa.xray.cleaning.residual import MOST_LEFT, FlareResidual, residual_in
from daxa.xray.eventlists.cards import card_number, card_text
from daxa.xray.eventlists.clock import in_seconds
from daxa.xray.eventlists.gti import intersect

__all__ = ["Cards", "FlareScreens", "find_flares", "left_in_band", "why_no_flares", "write_flares"]

Cards = dict[str, tuple[object, str]]
"""Keyword to (value, comment)."""


@dataclass(frozen=True, eq=False)
class FlareScreens:
    """The result: the first screen, the later ones with the good times, and cards about all of them."""

    first: FlareScreen
    later: BandScreen
    cards: Cards


def why_no_flares(exposure: ExposureTask) -> str:
    """Why flares cannot be distinguished from the sources of an exposure, '' if they can."""
    return exposure.events.why_not("energy-band") or exposure.events.why_not("image")


def find_flares(exposure: ExposureTask, cut: Cut, parameters: CleanParameters) -> FlareScreens:
    """Search for flares as the parameters say.

    Parameters
    ----------
    exposure
        The exposure, whose log receives what was found.
    cut
        Screening, and the archive's good times; no channels.
    parameters
        Parameters of the step, with a method.
    """
    events, mission, form = exposure.events, exposure.task.mission, exposure.events.format

    def channels(band: tuple[float, float]) -> tuple[int, int]:
        return band_channels(mission, form, band)

    first = screen_flares(
        events,
        Cut(cut.rules, cut.gtis, channels(parameters.searched)),
        parameters.flare_bin,
        mask_sources=parameters.mask_sources,
        threshold=parameters.flare_threshold,
        method=parameters.flares,
        sigma=parameters.flare_sigma,
        scale=parameters.flare_scale,
    )
    exposure.say(f"flares: {_summary(first)}")
    soft = parameters.flare_soft_band if parameters.flares == "histogram" else None
    bands = list(dict.fromkeys([*parameters.flare_bands, *([soft] if soft else [])]))
    later = screen_bands(
        events,
        cut,
        first.good_times(cut.gtis),
        [(band, channels(band)) for band in bands],
        soft=(soft, channels(soft)) if soft else None,
        width=parameters.flare_bin,
        sigma=parameters.flare_sigma,
        mask=first.mask,
    )
    before, after = (max(ontime(events, gtis).values(), default=0.0) for gtis in (cut.gtis, later.gtis))
    kept = after / before if before > 0 else 0.0
    status = final_status(first.result.status, later, kept)
    cards = flare_cards(first) | _settings(parameters) | dict(_pass_cards(later.passes)) | dict(_left(later.residuals))
    cards["FLARESTA"] = (status.upper(), "of all screens and bands")
    cards["FLAREALL"] = (round(kept, 6), "good time that all screens leave, as a share")
    for one in later.passes:
        limit = f"{one.sigma:g} standard deviations"
        exposure.say(f"screen at {band_text(one.band)}, {limit}: {_summary(one.screen)}")
        if not one.applied:
            exposure.say("this screen is not applied: it would leave almost no time")
    for left in later.residuals:
        if left.is_measured:
            exposure.say(
                f"flares leave {100 * left.excess:+.1f} +- {100 * left.error:.1f} % of the quiescent rate "
                f"at {band_text(left.band)}"
            )
        else:
            exposure.say(_unmeasured(left.band))
    exposure.say(f"flares: {status} after all screens, {100 * kept:.1f} % of the time kept")
    return FlareScreens(first, later, cards)


def _pass_cards(passes: tuple[BandPass, ...]) -> Iterator[tuple[str, tuple[object, str]]]:
    """Cards of the first of the later screens in full, and how many of them were applied."""
    if not passes:
        return
    soft = passes[0]
    yield "FLAR2LO", (soft.band[0], "[keV] band of the second screen")
    yield "FLAR2HI", (soft.band[1], "[keV] band of the second screen")
    yield "FLAR2STA", (soft.screen.result.status.upper(), "status of the second screen")
    yield "FLAR2USE", (soft.applied, "whether the good times are those that it leaves")
    yield "FLAR2KEP", (round(soft.screen.result.kept_fraction, 6), "time that it would keep over time before")
    yield "FLARMORE", (sum(one.applied for one in passes[1:]), "further screens that were applied")


def _left(residuals: tuple[FlareResidual, ...]) -> Iterator[tuple[str, tuple[object, str]]]:
    for number, one in enumerate(residuals, start=1):
        yield f"FLRLO{number}", (one.band[0], "[keV] a band that was looked at")
        yield f"FLRHI{number}", (one.band[1], "[keV] a band that was looked at")
        if one.is_measured:
            yield f"FLREX{number}", (round(one.excess, 4), "mean rate kept over quiescent rate, minus 1")
            yield f"FLRER{number}", (round(one.error, 4), "its standard error")


def write_flares(exposure: ExposureTask, found: FlareScreens, parameters: CleanParameters, cards: Mapping) -> None:
    """Write the light curves in which flares were searched for, with the time that is left, and pictures of them."""
    screens = {parameters.searched: found.first}
    for one in found.later.passes:
        if one.applied:
            # Of several screens in a band the last says what was left, in the time that all of them leave.
            before = screens.get(one.band)
            screens[one.band] = _within(one.screen, before) if before else one.screen
    header = in_seconds(exposure.events.header, exposure.events.primary)
    for band, screen in screens.items():
        own = cards if band == parameters.searched else {}
        write_flare_table(exposure.path("lightcurve", band), screen, header, own)
        title = f"{exposure.title}  {band_text(band)}"
        write_flare_picture(exposure.path("flares", band, "png"), screen, title=title)


def _within(screen: FlareScreen, before: FlareScreen) -> FlareScreen:
    return replace(screen, result=replace(screen.result, gti=intersect(screen.result.gti, before.result.gti)))


def _unmeasured(band: tuple[float, float]) -> str:
    return f"too few counts at {band_text(band)} to measure what flares leave there"


def left_in_band(exposure: ExposureTask, cut: Cut, band: tuple[float, float] | None) -> Cards:
    """What flares left in a band, from the cards of the cleaned list, or else measured in it."""
    header = exposure.events.header
    status, width = card_text(header, "FLARESTA"), card_number(header, "FLAREBIN", 0.0)
    if band is None or not status or not width > 0:
        return {}
    excess, error = math.nan, math.nan
    for number in range(1, 100):
        if f"FLRLO{number}" not in header:
            left = residual_in(exposure.events, cut, band, width)
            excess, error = left.excess, left.error
            break
        if band == (card_number(header, f"FLRLO{number}"), card_number(header, f"FLRHI{number}")):
            excess, error = (card_number(header, f"{word}{number}", math.nan) for word in ("FLREX", "FLRER"))
            break
    if status == "SPARSE" and "FLARERAT" in header:
        # Flares were screened for; it may be another band that could not be measured.
        status = "GOOD"
    if status == "GOOD" and excess > MOST_LEFT:
        status = "INTERMEDIATE"
        exposure.say(f"flares leave {100 * excess:+.1f} % of the quiescent rate at {band_text(band)}")
    if status == "GOOD" and math.isnan(excess):
        status = "SPARSE"
        exposure.say(_unmeasured(band))
    cards: Cards = {"FLARESTA": (status, "flares in this band")}
    if math.isfinite(excess):
        cards["FLREX"] = (round(excess, 4), "mean rate over quiescent rate, minus 1")
        cards["FLRER"] = (round(error, 4), "its standard error")
    return cards


def _settings(parameters: CleanParameters) -> Cards:
    lo, hi = parameters.searched
    sigma = ("FLARESIG", parameters.flare_sigma, "half width of the cut, in standard deviations")
    key, value, comment = {
        "threshold": ("FLARETHR", parameters.flare_threshold, "[count/s] most that is kept, of the whole field"),
        "scale": ("FLARESCL", parameters.flare_scale, "factor of the mean that is kept"),
    }.get(parameters.flares, sigma)
    return {
        key: (value, comment),
        "FLARE_LO": (lo, "[keV] band of the flare light curve"),
        "FLARE_HI": (hi, "[keV] band of the flare light curve"),
    }


def _summary(screen: FlareScreen) -> str:
    result = screen.result
    text = f"{result.status}, {100 * result.kept_fraction:.1f} % of the time kept"
    if screen.sources:
        places = ", ".join(f"{x:.0f},{y:.0f}" for x, y in screen.sources)
        text += f"; variable sources, whose time was not cut, at sky pixels {places}"
    return text
