"""The step events, natively: the archive's calibrated lists, uncompressed, one file per exposure."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import TextIO

from daxa.backends.parameters import read_events
from daxa.errors import DataError, NotPossible
from daxa.missions import NativeInput, find_mission
from daxa.run.product import Product
from daxa.run.task import Task
from daxa.xray.events import EventList, open_events
from daxa.xray.formats import card_text
from daxa.xray.livetime import ontime

__all__ = ["make_events"]

_TRAVEL = ("attitude", "aspect", "bad-pixel", "mask", "fov")
"""Kinds of files that the users of a cleaned list need beside it."""

_PACKED = re.compile(r"\.(?:gz|FTZ|ftz)\Z")


def make_events(task: Task, sources: Mapping[str, Path], target: Path, log: TextIO) -> None:
    """Write the usable event lists of an observation and what belongs to them.

    Raises
    ------
    DataError
        A file is damaged, belongs to another observation, or no exposure is usable.
    """
    parameters = read_events(task)
    chosen = set(json.loads(task.facts)["instruments"])
    made, left = 0, []
    for path, kind, instrument in _inputs(task, chosen):
        source = sources["fetch"] / path
        if kind != "events":
            if kind in _TRAVEL:
                _unpack(source, _new(target / _plain_name(path), task), task)
            continue
        part = target / "events.part"
        _unpack(source, part, task)
        try:
            events = open_events(part)
        except NotPossible as refusal:
            reason = refusal.message
        else:
            _check(task, path, instrument, events)
            reason = _unusable(events, parameters.min_ontime)
        if reason:
            part.unlink()
            left.append(f"{path}: {reason}")
            print(f"left out {left[-1]}", file=log)
            continue
        product = Product(task.obs_id, instrument, events.exposure, "events")
        part.rename(_new(target / product.name, task))
        good = max(ontime(events, events.gtis).values())
        print(f"{product.name}: {len(events.rows)} events, {good:.1f} s of good time, from {path}", file=log)
        made += 1
    if not made:
        raise DataError(
            "no-exposure",
            f"{task.mission} {task.obs_id} has no exposure that can be imaged"
            + (f": {'; '.join(left)}" if left else f" with {', '.join(sorted(chosen))}"),
            remedy="leave the observation out, or choose other instruments",
        )


def _inputs(task: Task, chosen: set[str]) -> list[tuple[str, str, str]]:
    """Path, kind and instrument of each fetched file that the mission knows, sorted by path."""
    patterns: list[tuple[re.Pattern[str], NativeInput]] = [
        (entry.regex(task.obs_id), entry)
        for entry in find_mission(task.mission).native_inputs
        if not entry.instrument or entry.instrument in chosen
    ]
    found = []
    for path in sorted(item.file.path for item in task.inputs if item.step == "fetch"):
        for pattern, entry in patterns:
            if pattern.fullmatch(path):
                found.append((path, entry.kind, entry.instrument))
                break
    return found


def _check(task: Task, path: str, instrument: str, events: EventList) -> None:
    if events.obs_id != task.obs_id:
        raise DataError(
            "wrong-observation",
            f"{path} says that it belongs to observation {events.obs_id}, not to {task.obs_id}",
            remedy="fetch the observation again; if the archive's own copy is like this, leave it out",
        )
    if events.format.instrument != instrument or events.format.mission != task.mission:
        raise DataError(
            "wrong-instrument",
            f"{path} of {task.obs_id} is of {events.format.mission} {events.format.instrument}, not of {instrument}",
            remedy="fetch the observation again",
        )


def _unusable(events: EventList, least: float) -> str:
    """Why an exposure is left out; '' when it is usable."""

    def card(keyword: str) -> str:
        return card_text(events.header, keyword) or card_text(events.primary, keyword)

    if events.sky_grid is None or "TIMING" in card("DATAMODE").upper() or "BURST" in card("DATAMODE").upper():
        return "timing mode has no image"
    if card("READMODE").upper() == "CONTINUOUS":
        return "continuous clocking has no image"
    if card("FILTER").upper().startswith(("CLOSED", "CAL")):
        return f"filter {card('FILTER')}: nothing of the sky"
    good = max(ontime(events, events.gtis).values(), default=0.0)
    if good <= 0 or good < least:
        return f"{good:.1f} s of good time"
    return ""


def _plain_name(path: str) -> str:
    name = PurePosixPath(path).name
    plain = _PACKED.sub("", name)
    return plain if plain.endswith(".fits") or plain == name else f"{plain.removesuffix('.evt')}.fits"


def _new(path: Path, task: Task) -> Path:
    """The path, which no other file of the observation may claim."""
    if path.exists():
        raise DataError(
            "several-exposures",
            f"{task.mission} {task.obs_id}: two files would both become {path.name}",
            remedy="observations with several observing intervals are not done natively: leave this one out",
        )
    return path


def _unpack(source: Path, target: Path, task: Task) -> None:
    try:
        with source.open("rb") as packed:
            start = packed.read(2)
        with gzip.open(source) if start == b"\x1f\x8b" else source.open("rb") as plain, target.open("xb") as out:
            shutil.copyfileobj(plain, out, 1 << 20)
    except FileNotFoundError:
        raise DataError(
            "absent", f"{task.mission} {task.obs_id}: {source.name} is not there", remedy="fetch it again"
        ) from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(
            "damaged", f"{task.mission} {task.obs_id}: {source.name} cannot be decompressed", remedy="fetch it again"
        ) from None
