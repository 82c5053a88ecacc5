"""The step clean, natively: screened events, and good times without flares."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

import numpy as np

from daxa.backends.native_exposure import Exposure, band_channels, products_in
from daxa.backends.parameters import CleanParameters, read_clean
from daxa.errors import DataError
from daxa.run.task import Task
from daxa.xray.cleaned import write_clean_events, write_gti
from daxa.xray.cut import Cut
from daxa.xray.events import open_events
from daxa.xray.flares import FlareResult, flare_gti
from daxa.xray.gti import intersect
from daxa.xray.lightcurve import light_curve, write_light_curve
from daxa.xray.livetime import ontime
from daxa.xray.screening import screening_for

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
        events = open_events(source)
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
    for item in task.inputs:
        if item.step == "events" and item.file.path.endswith(".fits") and not item.file.path.startswith("obsid"):
            shutil.copyfile(sources["events"] / item.file.path, target / Path(item.file.path).name)


def _clean_one(exposure: Exposure, parameters: CleanParameters) -> bool:
    events = exposure.events
    rules = screening_for(events) if parameters.screening else ()
    cards = {"SCREENED": ("standard" if parameters.screening else "none", "event screening")}
    gtis = dict(events.gtis)
    curve, found = None, None
    if parameters.flares:
        channels = band_channels(exposure.task.mission, events.format, parameters.flare_band)
        curve = light_curve(events, Cut(rules, events.gtis, channels), parameters.flare_bin)
        found = flare_gti(curve, sigma=parameters.flare_sigma)
        cards |= _flare_cards(parameters, found)
        exposure.say(f"flares: {found.status}, {100 * found.kept_fraction:.1f} % of the time kept")
        if found.status != "Sparse":
            gtis = {chip: intersect(intervals, found.gti) for chip, intervals in gtis.items()}
    else:
        cards["FLAREMET"] = ("NONE", "flare filter")
    cut = Cut(rules, gtis, None)
    good = max(ontime(events, gtis).values(), default=0.0)
    if good <= 0:
        exposure.say("no good time is left")
        return False
    if events.format.instrument == "PN":
        cards["OOTCORR"] = (False, "out-of-time events subtracted")
    count = write_clean_events(exposure.path("finalevents"), events, cut, cards)
    write_gti(exposure.path("gti"), events, cut, cards)
    exposure.say(f"{count} of {len(events.rows)} events kept, {good:.1f} s of good time")
    if curve is not None and found is not None:
        path = exposure.path("lightcurve", parameters.flare_band)
        write_light_curve(path, curve, events.header, cards, kept=found.kept, gti=found.gti)
    return True


def _flare_cards(parameters: CleanParameters, found: FlareResult) -> dict[str, tuple[object, str]]:
    lo, hi = parameters.flare_band
    cards: dict[str, tuple[object, str]] = {
        "FLAREMET": ("HISTOGRAM", "flare filter"),
        "FLARESTA": (found.status.upper(), "Good, Intermediate, Bad; Sparse: not applied"),
        "FLARESIG": (parameters.flare_sigma, "half width of the cut, in standard deviations"),
        "FLARE_LO": (lo, "[keV] band of the flare light curve"),
        "FLARE_HI": (hi, "[keV] band of the flare light curve"),
        "FLAREBIN": (parameters.flare_bin, "[s] bin of the flare light curve"),
        "FLAREKEP": (round(found.kept_fraction, 6), "good time kept over good time"),
    }
    if np.isfinite(found.rate):
        cards["FLARERAT"] = (round(found.rate, 9), "[count/s] quiescent rate")
        cards["FLAREMAX"] = (round(found.hi, 9), "[count/s] most that is kept in a full bin")
        cards["FLAREMIN"] = (round(found.lo, 9), "[count/s] least that is kept in a full bin")
    if np.isfinite(found.contamination):
        cards["FLAREEXC"] = (round(found.contamination, 6), "mean rate kept over quiescent rate, minus 1")
    return cards
