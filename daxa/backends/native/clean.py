"""The step clean, natively: screened events, and good times without flares."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TextIO

import numpy as np

from daxa.backends.native.exposure import ARCHIVED, ExposureTask, band_channels, named, products_in
from daxa.backends.native.flares import FlareScreens, find_flares, why_no_flares, write_flares
from daxa.backends.native.parameters import CleanParameters, read_clean
from daxa.errors import DataError, NotPossible
from daxa.run.product import Product, parse_product
from daxa.run.task import Task, canonical
from daxa.xray.cleaning.chips import anomalous_chips, chips_for, state_cards
from daxa.xray.cleaning.cleaned import write_clean_events, write_gti
from daxa.xray.cleaning.cut import Cut
from daxa.xray.cleaning.livetime import ontime
from daxa.xray.cleaning.merged import check_mergeable, merge_events
from daxa.xray.cleaning.ownscreening import OwnScreening, own_cards, own_rules
from daxa.xray.cleaning.screening import rules_text
from daxa.xray.cleaning.spans import stated_assumptions
from daxa.xray.eventlists.cards import card_text
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.opening import open_events
from daxa.xray.telescopes.registry import camera_of, telescope_of

__all__ = ["make_clean"]

_SHARED = {
    "SCREENED": "event screening",
    "FLAREMET": "flare filter",
    "FLAREBIN": "[s] bin of the flare light curve",
    "FLARE_LO": "[keV] band of the flare light curve",
    "FLARE_HI": "[keV] band of the flare light curve",
    "OOTCORR": "out-of-time events subtracted",
    "SCRBASE": "screening that the following changes",
    "SCRPATT": "grades or patterns that are kept",
    "SCRFLAGS": "flags that are looked at",
    "SCRCHAN1": "first channel that is kept",
    "SCRCHAN2": "last channel that is kept",
    "SCREXPR": "",
    "SCREENIN": "",
}
"""Cards that a merged list keeps if its exposures agree."""

_WORST = ("BAD", "INTERMEDIATE", "SPARSE", "SOURCE-VARIABILITY", "GOOD")
_SAME_TIMES = "good times are those of the archive's list"


def make_clean(task: Task, sources: Mapping[str, Path], target: Path, log: TextIO) -> None:
    """Write the cleaned list, good times and flare light curve of every exposure.

    Raises
    ------
    DataError
        There is no list of events, or nothing is left of any exposure.
    """
    parameters = read_clean(task)
    made, left, measured = [], [], []
    for source, product in products_in(task, sources, "events", "events"):
        with named(product):
            exposure = ExposureTask(task, open_events(source, obs_id=task.obs_id), product, target, log)
            found = _clean_one(exposure, parameters)
        if found is not None:
            made.append(exposure)
            measured.append(found)
        else:
            left.append(product.name)
    if not made and not left:
        raise _no_events(task)
    if not made:
        raise DataError(
            "no-good-time",
            f"{task.mission} {task.obs_id}: no good time is left of {', '.join(left)}",
            remedy=f'loosen the flare filter for it in params/{task.mission}.toml, [clean.obs."{task.obs_id}"]',
        )
    name = Product(task.obs_id, "ALL", "ALL", "measures", suffix="json").name
    (target / name).write_text(canonical({"exposures": measured}) + "\n", encoding="ascii")
    telescope = telescope_of(task.mission)
    if telescope and telescope.merges:
        for _, group in groupby(made, key=lambda one: one.product.instrument):
            if len(exposures := list(group)) > 1:
                _merge(exposures, parameters.energy)
    for name in (Path(item.file.path).name for item in task.inputs if item.step == "events"):
        if name.endswith(".fits") and (not name.startswith("obsid") or parse_product(name).kind == ARCHIVED):
            shutil.copyfile(sources["events"] / name, target / name)


def _no_events(task: Task) -> DataError:
    """For observations of instruments whose products are none of X-ray photons alone."""
    telescope, chosen = telescope_of(task.mission), json.loads(task.facts).get("instruments", ())
    others = telescope.not_native if telescope else {}
    reasons = [f"{name}: {others[name]}" for name in chosen if name in others]
    return DataError(
        "no-events",
        f"{task.mission} {task.obs_id} has no list of events to clean" + f" ({'; '.join(reasons)})" * bool(reasons),
        remedy="use the products of its step events, after which it ends: `daxa run --step events`",
    )


def _merge(made: Sequence[ExposureTask], energy: tuple[float, float] | None) -> None:
    """One list of the exposures in which a camera had the same setting; each exposure keeps its own list."""
    lists = []
    for one in made:
        events = open_events(one.path("finalevents", energy))
        lists.append((one, replace(events, exposure=one.product.exposure)))
    chosen = _largest_group(lists)
    if len(chosen) < 2:
        return
    first = chosen[0][0]
    headers = [events.header for _, events in chosen]
    same = {key: value for key, value in _SHARED.items() if len({str(header.get(key)) for header in headers}) == 1}
    cards = {key: (headers[0][key], comment) for key, comment in same.items() if key in headers[0]}
    status = [card_text(header, "FLARESTA") for header in headers]
    if all(status):
        worst = next((one for one in _WORST if one in status), status[0])
        cards["FLARESTA"] = (worst, "the worst of the exposures")
    cards["GTISAME"] = (all(header.get("GTISAME") is True for header in headers), _SAME_TIMES)
    whole = ExposureTask(first.task, first.events, replace(first.product, exposure="ALL"), first.target, first.log)
    path, names = whole.path("finalevents", energy), ", ".join(one.product.exposure for one, _ in chosen)
    try:
        merged = merge_events(path, [(events, Cut((), events.gtis)) for _, events in chosen], cards)
    except (DataError, NotPossible) as problem:
        # Each exposure has a list of its own, which is as good as before.
        path.unlink(missing_ok=True)
        first.say(f"exposures {names} are not merged: {problem.message}")
        return
    write_gti(whole.path("gti"), merged, Cut((), merged.gtis), cards)
    good = max(ontime(merged, merged.gtis).values(), default=0.0)
    whole.say(f"exposures {names} merged: {len(merged.rows)} events, {good:.1f} s of good time")


def _largest_group(lists: Sequence[tuple[ExposureTask, EventList]]) -> list[tuple[ExposureTask, EventList]]:
    """The exposures that can be merged and have most good time; the log says why others are not among them."""
    groups: list[list[tuple[ExposureTask, EventList]]] = []
    reasons: dict[str, list[str]] = {}
    for exposure, events in lists:
        for group in groups:
            try:
                check_mergeable([*(one for _, one in group), events])
            except NotPossible as refusal:
                reasons.setdefault(exposure.product.exposure, []).append(refusal.message)
            else:
                group.append((exposure, events))
                break
        else:
            groups.append([(exposure, events)])

    def seconds(group: list[tuple[ExposureTask, EventList]]) -> float:
        return sum(max(ontime(events, events.gtis).values(), default=0.0) for _, events in group)

    chosen = max((group for group in groups if len(group) > 1), key=seconds, default=[])
    names = ", ".join(exposure.product.exposure for exposure, _ in chosen)
    for exposure, _ in (one for group in groups if group is not chosen for one in group):
        if why := reasons.get(exposure.product.exposure):
            exposure.say("; ".join(why))
        elif chosen:
            exposure.say(f"not merged: the camera had another setting in {names}, which are merged")
    return chosen


def _clean_one(exposure: ExposureTask, parameters: CleanParameters) -> dict[str, object] | None:
    """Clean an exposure; return its measurements, None if no good time is left."""
    events, form = exposure.events, exposure.events.format
    energy = parameters.energy
    own = OwnScreening(
        standard=parameters.screening,
        patterns=parameters.patterns,
        flags=parameters.flags,
        expression=parameters.expression,
        channels=band_channels(exposure.task.mission, form, energy) if energy else None,
    )
    rules = own_rules(events, own, energies=False)
    if parameters.screening and form.unverified:
        exposure.say(f"not screened with rules that are not confirmed: {rules_text(form.unverified)}")
    cards = own_cards(own)
    if own.is_own:
        exposure.say(f"screened with {rules_text(own_rules(events, own))}")
    for assumption in stated_assumptions(events):
        exposure.say(f"assumed: {assumption}")
    gtis, of_chips = _chosen_chips(exposure, parameters)
    cards |= of_chips
    found = None
    reason = why_no_flares(exposure) if parameters.flares != "none" else ""
    if reason:
        exposure.say(f"the archive's good times are kept: {reason}")
    if parameters.flares != "none" and not reason:
        found = find_flares(exposure, Cut(rules, gtis), parameters)
        gtis = found.later.gtis
        cards |= found.cards
    else:
        cards["FLAREMET"] = ("NONE", "flare filter")
    cut = Cut(own_rules(events, own), gtis, None)
    same = Cut((), gtis, None).identity == Cut((), events.gtis, None).identity
    cards["GTISAME"] = (same, _SAME_TIMES)
    good = max(ontime(events, gtis).values(), default=0.0)
    if good <= 0:
        exposure.say("no good time is left")
        return None
    if camera_of(form.mission, form.instrument).readout:
        cards["OOTCORR"] = (False, "out-of-time events subtracted")
    count = write_clean_events(exposure.path("finalevents", energy), events, cut, cards)
    write_gti(exposure.path("gti"), events, cut, cards)
    exposure.say(f"{count} of {len(events.rows)} events kept, {good:.1f} s of good time")
    if found is not None:
        write_flares(exposure, found, parameters, cards)
    archived = max(ontime(events, events.gtis).values(), default=0.0)
    return _measured(exposure.product, good=good, archived=archived, events=count, cards=cards, found=found)


def _measured(
    product: Product,
    *,
    good: float,
    archived: float,
    events: int,
    cards: Mapping[str, tuple[object, str]],
    found: FlareScreens | None,
) -> dict[str, object]:
    """Good time, events, time lost to flares and what they leave, anomalous chips: for totals over observations."""
    left = {
        f"{one.band[0]:g}-{one.band[1]:g} keV": round(one.excess, 4)
        for one in (found.later.residuals if found else ())
        if np.isfinite(one.excess)
    }
    return {
        "instrument": product.instrument,
        "exposure": product.exposure,
        "good": round(good, 3),
        "archived": round(archived, 3),
        "events": int(events),
        "flares": str(cards["FLARESTA"][0]) if "FLARESTA" in cards else "",
        "left": left,
        "anomalous": [int(key[6:]) for key, (value, _) in cards.items() if key.startswith("ANOMFL") and value == "B"],
    }


def _chosen_chips(
    exposure: ExposureTask, parameters: CleanParameters
) -> tuple[dict[int, np.ndarray], dict[str, tuple[object, str]]]:
    """Good times of the chips that are used, and cards about those that are not."""
    events = exposure.events
    gtis, cards = dict(events.gtis), dict[str, tuple[object, str]]()
    chosen = chips_for(events, parameters.chips)
    if chosen is not None:
        gtis = {chip: own for chip, own in gtis.items() if chip in chosen}
        cards["CHIPSUSE"] = (",".join(map(str, sorted(chosen))), "chips that were asked for")
    states = anomalous_chips(events)
    cards |= state_cards(states)
    for one in states:
        if one.state in "IB":
            word = {"I": "may be", "B": "is"}[one.state]
            exposure.say(f"chip {one.chip} {word} anomalous below 1 keV: hardness {one.ratio:.2f} +- {one.error:.2f}")
    if states and all(one.state in "UO" for one in states):
        exposure.say("whether chips are anomalous is unknown: too few events outside the field of view")
    bad = {one.chip for one in states if one.state == "B"} & set(gtis)
    if parameters.anomalous == "drop" and bad:
        gtis = {chip: own for chip, own in gtis.items() if chip not in bad}
        cards["CHIPSOUT"] = (",".join(map(str, sorted(bad))), "anomalous chips that were left out")
        exposure.say(f"left out chips {', '.join(map(str, sorted(bad)))}, which are anomalous")
    return gtis, cards
