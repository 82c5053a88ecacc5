"""Which products are made with random numbers, so that they are never the same twice.

A backend declares those that its own programs randomise.  What is then made of them inherits this: an image of a list
whose events were spread at random within their pixels differs from one run to the next, whoever bins it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from daxa.backends.protocol import Backend
from daxa.backends.registry import find_backend
from daxa.errors import DataError, DaxaError
from daxa.files import read_plain
from daxa.run.hashes import MANIFEST
from daxa.run.product import parse_product
from daxa.run.steps import Step

__all__ = ["COUNTED", "is_randomised", "randomised_here", "randomised_kinds"]

_LARGEST = 1 << 20
_STEP = re.compile(r"[a-z][a-z0-9_]{0,30}")
_DEEPEST = 20
"""Most steps that follow each other."""

COUNTED = frozenset(
    {
        *("events", "finalevents", "measures"),
        *("image", "ootimage", "combinedimage", "ratemap", "combinedratemap", "lightcurve", "quicklook"),
        *("expmap", "combinedexpmap"),
        *("sourcelist", "background", "search"),
    }
)
"""Kinds of products that follow from single events: exposure maps as well, since events show where chips end."""


def randomised_kinds(backend: Backend, step: str) -> frozenset[str]:
    """Kinds of products of a step that a backend declares as randomised; by default none.

    Examples
    --------
    >>> randomised_kinds(find_backend("native"), "images")
    frozenset()
    """
    return frozenset(getattr(backend, "randomised", {}).get(step, ()))


def randomised_here(backends: Mapping[str, str], step: str, steps: Sequence[Step]) -> frozenset[str]:
    """Kinds of products of a step that are never the same twice: its own, and those made of randomised ones.

    Parameters
    ----------
    backends
        Step to the name of the backend that does it.
    step
        Which.
    steps
        All steps of the archive.

    Examples
    --------
    >>> from daxa.run.steps import OWN_STEPS
    >>> mixed = {"events": "sas", "clean": "native", "images": "native"}
    >>> "image" in randomised_here(mixed, "images", OWN_STEPS), "gti" in randomised_here(mixed, "images", OWN_STEPS)
    (True, False)
    >>> randomised_here({**mixed, "events": "native"}, "images", OWN_STEPS)
    frozenset()
    """
    needs = {one.name: one.needs for one in steps}
    own = _declared(backends.get(step, ""), step)
    waiting, seen = [*needs.get(step, ())], set[str]()
    while waiting:
        before = waiting.pop()
        if before in seen:
            continue
        seen.add(before)
        waiting += needs.get(before, ())
        if _declared(backends.get(before, ""), before):
            return own | COUNTED
    return own


def _declared(backend: str, step: str) -> frozenset[str]:
    try:
        return randomised_kinds(find_backend(backend), step)
    except DaxaError:  # Such as `daxa` itself, which fetches.
        return frozenset()


def is_randomised(path: Path) -> bool:
    """Whether a product is never the same twice, according to its manifest and to those of what it was made of.

    Examples
    --------
    >>> is_randomised(Path("image.fits"))
    False
    """
    try:
        kind, place = parse_product(path.name).kind, path.resolve().parent
    except (OSError, DataError):
        return False
    made = _manifest(place)
    if kind in _declared(str(made.get("backend", "")), str(made.get("step", ""))):
        return True
    return kind in COUNTED and _inherits(place, made, _DEEPEST)


def _inherits(place: Path, made: Mapping[str, object], left: int) -> bool:
    """Whether a product among those from which a directory was made is randomised."""
    inputs = made.get("inputs")
    steps = {str(one.get("step")) for one in inputs if isinstance(one, dict)} if isinstance(inputs, list) else set()
    for step in filter(_STEP.fullmatch, steps):
        before = place.parents[1] / step / place.name
        noted = _manifest(before) if left and before != place else {}
        if noted and (_declared(str(noted.get("backend")), step) or _inherits(before, noted, left - 1)):
            return True
    return False


def _manifest(place: Path) -> dict[str, object]:
    try:
        found = json.loads(read_plain(place / MANIFEST, limit=_LARGEST))
    except (OSError, DaxaError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
