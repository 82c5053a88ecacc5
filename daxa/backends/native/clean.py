"""The step clean, natively: screened events, and good times without flares."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TextIO

import numpy as np

from daxa.backends.native.exposure import ARCHIVED, Exposure, band_channels, band_text, products_in
from daxa.backends.parameters import CleanParameters, read_clean
from daxa.errors import DataError, NotPossible
from daxa.missions import find_mission
from daxa.run.product import parse_product
from daxa.run.task import Task
from daxa.xray.cleaning.cleaned import write_clean_events, write_gti
from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.flarereport import flare_cards, write_flare_picture, write_flare_table
from daxa.xray.cleaning.flarescreen import FlareScreen, screen_flares
from daxa.xray.cleaning.livetime import ontime
from daxa.xray.cleaning.merged import merge_events
from daxa.xray.cleaning.residual import find_residuals, worst_status
from daxa.xray.cleaning.screening import rules_text, screening_for
from daxa.xray.cleaning.spans import stated_assumptions
from daxa.xray.lists.cards import card_text
from daxa.xray.lists.events import open_events

__all__ = ["make_clean"]

_MERGED = ("xmm",)
"""Missions whose exposures of one camera are pointings of their own, not parts that must be kept apart."""

_SHARED = {
    "SCREENED": "event screening",
    "FLAREMET": "flare filter",
    "FLARE_LO": "[keV] band of the flare light curve",
    "FLARE_HI": "[keV] band of the flare light curve",
    "OOTCORR": "out-of-time events subtracted",
}
"""Cards that a merged list keeps, where its exposures say the same."""

_WORST = ("BAD", "INTERMEDIATE", "SPARSE", "SOURCE-VARIABILITY", "GOOD")
_SAME_TIMES = "good times are those of the archive's list"

_LEAST_KEPT = 0.2
"""Share of the time that a second pass must leave: with less it tells no quiescent rate."""


def make_clean(task: Task, sources: Mapping[str, Path], target: Path, log: TextIO) -> None:
    """Write the cleaned list, good times and flare light curve of every exposure.

    Raises
    ------
    DataError
        Nothing is left of any exposure.
    """
    parameters = read_clean(task)
    made, left = [], []
    for source, product in products_in(task, sources, "events", "events"):
        exposure = Exposure(task, open_events(source, obs_id=task.obs_id), product, target, log)
        if _clean_one(exposure, parameters):
            made.append(exposure)
        else:
            left.append(product.name)
    if not made:
        raise DataError(
            "no-good-time",
            f"{task.mission} {task.obs_id}: no good time is left of {', '.join(left) or 'any exposure'}",
            remedy=f'loosen the flare filter for it in params/{task.mission}.toml, [clean.obs."{task.obs_id}"]',
        )
    if task.mission in _MERGED:
        for _, group in groupby(made, key=lambda one: one.product.instrument):
            if len(exposures := list(group)) > 1:
                _merge(exposures)
    for name in (Path(item.file.path).name for item in task.inputs if item.step == "events"):
        if name.endswith(".fits") and (not name.startswith("obsid") or parse_product(name).kind == ARCHIVED):
            shutil.copyfile(sources["events"] / name, target / name)


def _merge(made: Sequence[Exposure]) -> None:
    """One list of all exposures of a camera, where the camera did the same thing in all of them; each keeps its own."""
    first = made[0]
    parts = []
    for one in made:
        events = open_events(one.path("finalevents"))
        parts.append((replace(events, exposure=one.product.exposure), Cut((), events.gtis)))
    headers = [events.header for events, _ in parts]
    same = {key: value for key, value in _SHARED.items() if len({str(header.get(key)) for header in headers}) == 1}
    cards = {key: (headers[0][key], comment) for key, comment in same.items() if key in headers[0]}
    status = [card_text(header, "FLARESTA") for header in headers]
    if all(status):
        worst = next((one for one in _WORST if one in status), status[0])
        cards["FLARESTA"] = (worst, "the worst of the exposures")
    cards["GTISAME"] = (all(header.get("GTISAME") is True for header in headers), _SAME_TIMES)
    whole = Exposure(first.task, first.events, replace(first.product, exposure="ALL"), first.target, first.log)
    path = whole.path("finalevents")
    try:
        merged = merge_events(path, parts, cards)
    except NotPossible as refusal:
        first.say(refusal.message)
        return
    write_gti(whole.path("gti"), merged, Cut((), merged.gtis), cards)
    names = ", ".join(one.product.exposure for one in made)
    good = max(ontime(merged, merged.gtis).values(), default=0.0)
    whole.say(f"exposures {names} merged: {len(merged.rows)} events, {good:.1f} s of good time")


def _clean_one(exposure: Exposure, parameters: CleanParameters) -> bool:
    events = exposure.events
    rules = screening_for(events) if parameters.screening else ()
    if parameters.screening and events.format.unverified:
        exposure.say(f"not screened by what no source at hand confirms: {rules_text(events.format.unverified)}")
    cards = {"SCREENED": ("standard" if parameters.screening else "none", "event screening")}
    for assumption in stated_assumptions(events):
        exposure.say(f"assumed: {assumption}")
    gtis = dict(events.gtis)
    screen = None
    reason = _fieldless(exposure) if parameters.flares != "none" else ""
    if reason:
        exposure.say(f"the archive's good times are kept: {reason}")
    if parameters.flares != "none" and not reason:
        channels = band_channels(exposure.task.mission, events.format, parameters.flare_band)
        screen = screen_flares(
            events,
            Cut(rules, events.gtis, channels),
            parameters.flare_bin,
            mask_sources=parameters.mask_sources,
            threshold=parameters.flare_threshold,
            method=parameters.flares,
            sigma=parameters.flare_sigma,
            scale=parameters.flare_scale,
        )
        gtis = screen.good_times(events.gtis)
        cards |= flare_cards(screen) | _asked(parameters)
        exposure.say(_told(screen))
        gtis, more = _softer(exposure, Cut(rules, events.gtis, channels), gtis, screen, parameters)
        cards |= more
    else:
        cards["FLAREMET"] = ("NONE", "flare filter")
    cut = Cut(rules, gtis, None)
    same = Cut((), gtis, None).identity == Cut((), events.gtis, None).identity
    cards["GTISAME"] = (same, _SAME_TIMES)
    good = max(ontime(events, gtis).values(), default=0.0)
    if good <= 0:
        exposure.say("no good time is left")
        return False
    if events.format.instrument == "PN":
        cards["OOTCORR"] = (False, "out-of-time events subtracted")
    count = write_clean_events(exposure.path("finalevents"), events, cut, cards)
    write_gti(exposure.path("gti"), events, cut, cards)
    exposure.say(f"{count} of {len(events.rows)} events kept, {good:.1f} s of good time")
    if screen is not None:
        _write_flares(exposure, screen, parameters.flare_band, cards)
    return True


def _write_flares(
    exposure: Exposure, screen: FlareScreen, band: tuple[float, float], cards: Mapping[str, tuple[object, str]]
) -> None:
    """The light curve in which flares were looked for, with the time that it leaves, and its picture."""
    write_flare_table(exposure.path("lightcurve", band), screen, exposure.events.header, cards)
    title = f"{exposure.title}  {band_text(band)}"
    write_flare_picture(exposure.path("flares", band, "png"), screen, title=title)


def _softer(
    exposure: Exposure, cut: Cut, gtis: dict[int, np.ndarray], screen: FlareScreen, parameters: CleanParameters
) -> tuple[dict[int, np.ndarray], dict[str, tuple[object, str]]]:
    """Good times after a second pass in a softer band, and cards of it and of what is left in each band."""
    events, mission, form = exposure.events, exposure.task.mission, exposure.events.format
    cards: dict[str, tuple[object, str]] = {}
    second, mask = "", screen.mask
    if parameters.flare_soft_band and parameters.flares == "histogram" and _has_time(gtis):
        channels = band_channels(mission, form, parameters.flare_soft_band)
        again = screen_flares(
            events,
            Cut(cut.rules, gtis, channels),
            parameters.flare_bin,
            method=parameters.flares,
            sigma=parameters.flare_sigma,
        )
        second, mask = again.result.status, again.mask or mask
        left = again.good_times(gtis)
        exposure.say(f"second pass at {band_text(parameters.flare_soft_band)}: {_told(again)}")
        applied = _has_time(left) and again.result.kept_fraction >= _LEAST_KEPT
        if applied:
            gtis = left
            _write_flares(exposure, again, parameters.flare_soft_band, {})
        else:
            exposure.say("the second pass is not applied: it would leave next to nothing")
        lo, hi = parameters.flare_soft_band
        cards |= {
            "FLAR2LO": (lo, "[keV] band of the second pass"),
            "FLAR2HI": (hi, "[keV] band of the second pass"),
            "FLAR2STA": (second.upper(), "status of the second pass"),
            "FLAR2USE": (applied, "whether the good times are those that it leaves"),
            "FLAR2KEP": (round(again.result.kept_fraction, 6), "time that it would keep over time before"),
        }
    bands = [((one.lo, one.hi), band_channels(mission, form, (one.lo, one.hi))) for one in find_mission(mission).bands]
    found = find_residuals(events, cut, gtis, bands, mask=mask, width=parameters.flare_bin) if _has_time(gtis) else ()
    status = worst_status(screen.result.status, second, found)
    cards["FLARESTA"] = (status.upper(), "of all passes and bands")
    for number, one in enumerate(found, start=1):
        cards[f"FLRLO{number}"] = (one.band[0], "[keV] an image band")
        cards[f"FLRHI{number}"] = (one.band[1], "[keV] an image band")
        if np.isfinite(one.excess):
            cards[f"FLREX{number}"] = (round(one.excess, 4), "mean rate kept over quiescent rate, minus 1")
            cards[f"FLRER{number}"] = (round(one.error, 4), "its standard error")
            exposure.say(
                f"flares leave {100 * one.excess:+.1f} +- {100 * one.error:.1f} % of the quiescent rate "
                f"at {band_text(one.band)}"
            )
    if status != screen.result.status:
        exposure.say(f"flares: {status}, of both passes and all bands")
    return gtis, cards


def _has_time(gtis: Mapping[int, np.ndarray]) -> bool:
    return any(len(own) for own in gtis.values())


def _fieldless(exposure: Exposure) -> str:
    """Why flares cannot be told from the sources of an exposure, '' where they can."""
    return exposure.events.why_not("energy-band") or exposure.events.why_not("image")


def _asked(parameters: CleanParameters) -> dict[str, tuple[object, str]]:
    lo, hi = parameters.flare_band
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


def _told(screen: FlareScreen) -> str:
    result = screen.result
    text = f"flares: {result.status}, {100 * result.kept_fraction:.1f} % of the time kept"
    if screen.sources:
        places = ", ".join(f"{x:.0f},{y:.0f}" for x, y in screen.sources)
        text += f"; time was not cut for the variable sources at sky pixels {places}"
    return text
