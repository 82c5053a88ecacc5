"""The step clean, natively: screened events, and good times without flares."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TextIO

from daxa.backends.native_exposure import ARCHIVED, Exposure, products_in
from daxa.backends.native_flares import find_flares, why_no_flares, write_flares
from daxa.backends.parameters import CleanParameters, read_clean
from daxa.errors import DataError, NotPossible
from daxa.run.product import parse_product
from daxa.run.task import Task
from daxa.xray.cleaning.cleaned import write_clean_events, write_gti
from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.livetime import ontime
from daxa.xray.cleaning.merged import merge_events
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
    gtis, found = dict(events.gtis), None
    reason = why_no_flares(exposure) if parameters.flares != "none" else ""
    if reason:
        exposure.say(f"the archive's good times are kept: {reason}")
    if parameters.flares != "none" and not reason:
        found = find_flares(exposure, Cut(rules, events.gtis), parameters)
        gtis = found.later.gtis
        cards |= found.cards
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
    if found is not None:
        write_flares(exposure, found, parameters, cards)
    return True
