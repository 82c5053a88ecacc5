"""The step events, natively: the archive's calibrated lists, uncompressed, one file per exposure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TextIO

from daxa.backends.native.exposure import ARCHIVED
from daxa.backends.native.parameters import read_events
from daxa.backends.unpack import unpack, unpacked_name
from daxa.errors import DataError, NotPossible
from daxa.files import errors_naming
from daxa.missions import MissionSpec, NativeInput, find_mission
from daxa.run.product import Product
from daxa.run.task import Task
from daxa.xray.cleaning.cleaned import write_clean_events
from daxa.xray.cleaning.cut import Cut, chosen
from daxa.xray.cleaning.livetime import ontime
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.formats import card_text
from daxa.xray.eventlists.opening import open_events

__all__ = ["make_events"]

_TRAVEL = ("attitude", "aspect", "bad-pixel", "mask", "fov")
"""Kinds of files that users of a cleaned list also need."""

_ALL = "MERGED"
"""The instrument of a product that holds several of them."""


def make_events(task: Task, sources: Mapping[str, Path], target: Path, log: TextIO) -> None:
    """Write the usable event lists of an observation and the files that accompany them.

    Raises
    ------
    DataError
        A file is damaged, belongs to another observation, or no exposure is usable.
    """
    parameters = read_events(task)
    spec, whose = find_mission(task.mission), f"{task.mission} {task.obs_id}"
    chosen = set(json.loads(task.facts)["instruments"])
    made, left = 0, []
    for path, entry, named in _inputs(task, spec, chosen):
        source = sources["fetch"] / path
        if entry.kind != "events":
            if entry.kind in _TRAVEL:
                unpack(source, _new(target / _plain_name(path), task), whose)
            elif entry.kind == "exposure-map" and entry.band:
                lo, hi = map(repr, entry.band)
                product = Product(task.obs_id, entry.instrument or _ALL, "None", ARCHIVED, lo, hi)
                unpack(source, _new(target / product.name, task), whose)
            continue
        part = target / "events.part"
        unpack(source, part, whose)
        try:
            # The faults of the list are those of the archive's file.
            with errors_naming({Path(part.name): path}):
                events = open_events(part, obs_id=task.obs_id)
        except NotPossible as refusal:
            reason = refusal.message
        else:
            _check(task, spec, path, entry, events)
            instrument = entry.instrument or _one_of(spec, events, chosen)
            reason = _unusable(events, parameters.min_ontime, curves=entry.curves)
        if not reason and instrument == _ALL and len(chosen) < len(spec.instruments):
            events, instrument = _only(spec, events, chosen, target / "modules.part")
            part.unlink()
            part = events.path
            reason = _unusable(events, parameters.min_ontime)
        if reason:
            part.unlink()
            left.append(f"{path}: {reason}")
            print(f"left out {left[-1]}", file=log)
            continue
        product = Product(task.obs_id, instrument, named or events.exposure, "events")
        part.rename(_new(target / product.name, task))
        good = max(ontime(events, events.gtis).values())
        print(f"{product.name}: {len(events.rows)} events, {good:.1f} s of good time, from {path}", file=log)
        made += 1
    if not made:
        raise DataError(
            "no-exposure",
            f"{whose} has no exposure that can be used"
            + (f": {'; '.join(left)}" if left else f" with {', '.join(sorted(chosen))}"),
            remedy="leave the observation out, or choose other instruments",
        )


def _inputs(task: Task, spec: MissionSpec, chosen: set[str]) -> list[tuple[str, NativeInput, str]]:
    """Path, declaration and exposure (from the name) of each fetched file that is known, sorted by path."""
    patterns = [
        (entry.regex(task.obs_id), entry)
        for entry in spec.native_inputs
        if not entry.instrument or entry.instrument in chosen
    ]
    found = []
    for path in sorted(item.file.path for item in task.inputs if item.step == "fetch"):
        for pattern, entry in patterns:
            if match := pattern.fullmatch(path):
                named = match.groupdict().get("exposure") or ""
                found.append((path, entry, re.sub(r"[^A-Za-z0-9]", "", named)))
                break
    return found


def _check(task: Task, spec: MissionSpec, path: str, entry: NativeInput, events: EventList) -> None:
    foreign = spec.foreign_ids or (not events.obs_id and not events.format.named)
    if not foreign and events.obs_id != task.obs_id:
        raise DataError(
            "wrong-observation",
            f"{path} belongs to observation {events.obs_id} by its header, not to {task.obs_id}",
            remedy="fetch the observation again; if the archive's own copy is like this, leave it out",
        )
    form = events.format
    whose = [one for one in spec.instruments if entry.instrument in ("", one.name)]
    expected = {name for one in whose for name in (one.name, *one.aliases)}
    if not entry.instrument:
        expected.add(_ALL)
    if form.mission != task.mission or form.instrument not in expected:
        raise DataError(
            "wrong-instrument",
            f"{path} of {task.obs_id} is of {form.mission} {form.instrument}, not of {entry.instrument or spec.title}",
            remedy="fetch the observation again",
        )


def _one_of(spec: MissionSpec, events: EventList, chosen: set[str]) -> str:
    """The instrument to which a list of a pattern for all of them belongs.

    ROSAT's headers may say PSPC although the table knows which of the two it was.
    """
    if any(one.chip for one in spec.instruments) and len(events.gtis) > 1:
        return _ALL
    closer = [name for name in chosen if name.startswith(events.format.instrument)]
    return closer[0] if len(closer) == 1 else events.format.instrument


def _only(spec: MissionSpec, events: EventList, chosen: set[str], path: Path) -> tuple[EventList, str]:
    """The list reduced to the events and good times of the chosen instruments, and its name."""
    wanted = [one for one in spec.instruments if one.name in chosen]
    gtis = {one.chip: events.gtis[one.chip] for one in wanted if one.chip in events.gtis}
    write_clean_events(path, events, Cut((), gtis, None), {})
    return open_events(path), "".join(one.name for one in wanted)


def _unusable(events: EventList, least: float, *, curves: bool = False) -> str:
    """Why an exposure is left out; '' if it is usable."""

    def card(keyword: str) -> str:
        return card_text(events.header, keyword) or card_text(events.primary, keyword)

    if not curves and (reason := _imageless(events, card("DATAMODE").upper(), card("READMODE").upper())):
        return reason
    if card("FILTER").upper().startswith(("CLOSED", "CAL")):
        return f"filter {card('FILTER')}: it does not show the sky"
    if varied := [key for key in events.format.steady if not card(key)]:
        return f"it has no {' and '.join(varied)}: it holds several observing intervals that differ in them"
    good = max(ontime(events, events.gtis).values(), default=0.0)
    if good <= 0 or good < least:
        return f"{good:.1f} s of good time"
    timely = (len(chosen(events, Cut((), events.gtis), rows)) for rows in events.chunks(events.block))
    if len(events) and not any(timely):
        return f"none of its {len(events)} events lies in its good times: are both on one clock?"
    return ""


def _imageless(events: EventList, datamode: str, readmode: str) -> str:
    if events.sky_grid is None or "TIMING" in datamode or "BURST" in datamode:
        return "timing mode has no image"
    return "continuous clocking has no image" if readmode == "CONTINUOUS" else events.why_not("image")


def _plain_name(path: str) -> str:
    name = PurePosixPath(path).name
    plain = unpacked_name(name)
    return plain if plain.endswith(".fits") or plain == name else f"{plain.removesuffix('.evt')}.fits"


def _new(path: Path, task: Task) -> Path:
    """The path, unless another file of the observation has it already."""
    if path.exists():
        raise DataError(
            "several-exposures",
            f"{task.mission} {task.obs_id}: two files would both become {path.name}",
            remedy="observations with several observing intervals cannot be processed natively: leave this one out",
        )
    return path
