"""The step clean, natively: screened events, and good times without flares."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from daxa.backends.native_exposure import Exposure, band_channels, products_in
from daxa.backends.native_maps import ARCHIVED
from daxa.backends.parameters import CleanParameters, read_clean
from daxa.errors import DataError
from daxa.run.product import parse_product
from daxa.run.task import Task
from daxa.xray.cleaning.cleaned import write_clean_events, write_gti
from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.flarereport import flare_cards, write_flare_picture, write_flare_table
from daxa.xray.cleaning.flarescreen import FlareScreen, screen_flares
from daxa.xray.cleaning.livetime import ontime
from daxa.xray.cleaning.screening import rules_text, screening_for
from daxa.xray.cleaning.spans import stated_assumptions
from daxa.xray.lists.events import open_events

__all__ = ["make_clean"]


def make_clean(task: Task, sources: Mapping[str, Path], target: Path, log: TextIO) -> None:
    """Write the cleaned list, good times and flare light curve of every exposure.

    Raises
    ------
    DataError
        Nothing is left of any exposure.
    """
    parameters = read_clean(task)
    made, left = 0, []
    for source, product in products_in(task, sources, "events", "events"):
        events = open_events(source, obs_id=task.obs_id)
        if _clean_one(Exposure(task, events, product, target, log), parameters):
            made += 1
        else:
            left.append(product.name)
    if not made:
        raise DataError(
            "no-good-time",
            f"{task.mission} {task.obs_id}: no good time is left of {', '.join(left) or 'any exposure'}",
            remedy=f'loosen the flare filter for it in params/{task.mission}.toml, [clean.obs."{task.obs_id}"]',
        )
    for name in (Path(item.file.path).name for item in task.inputs if item.step == "events"):
        if name.endswith(".fits") and (not name.startswith("obsid") or parse_product(name).kind == ARCHIVED):
            shutil.copyfile(sources["events"] / name, target / name)


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
    else:
        cards["FLAREMET"] = ("NONE", "flare filter")
    cut = Cut(rules, gtis, None)
    same = Cut((), gtis, None).identity == Cut((), events.gtis, None).identity
    cards["GTISAME"] = (same, "good times are those of the archive's list")
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
        path = exposure.path("lightcurve", parameters.flare_band)
        write_flare_table(path, screen, events.header, cards)
        lo, hi = parameters.flare_band
        title = f"{exposure.title}  {lo:g}-{hi:g} keV"
        write_flare_picture(exposure.path("flares", parameters.flare_band, "png"), screen, title=title)
    return True


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
