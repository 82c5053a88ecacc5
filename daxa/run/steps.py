"""The steps of an archive, as values: what each needs, who keeps its products, what its work waits for.

Pipeline, paths, stages, status and report follow from these values.  Those of daxa itself are
here; a plug-in adds more through entry points in the group ``daxa.steps``, whose name is the
step's and whose value is a `Step`, such as ``spectra = "spectral.steps:SPECTRA"``.  A step that
no archive names is never loaded.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from daxa import plugins
from daxa.errors import ConfigError
from daxa.naming import did_you_mean

__all__ = [
    "GROUP",
    "OWN_STEPS",
    "Step",
    "arrange_steps",
    "check_step",
    "find_step",
    "kinds_of",
    "last_steps",
    "step_names",
]

GROUP = "daxa.steps"
"""The group of entry points in which plug-ins offer steps."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_KIND = re.compile(r"[a-z]{1,40}")
_RESERVED = ("collect", "kept")


@dataclass(frozen=True)
class Step:
    """What is done to every observation of a mission.

    Parameters
    ----------
    name
        Its name, as in ``dvc.yaml``, params files and paths.
    needs
        Steps whose products it reads.
    kept_by
        Who keeps the products: ``dvc``, as output of the stage; or the user's ``store`` of fetched
        files, from which they come back by their digests, so that they may be absent.
    pool
        What its work waits for: the ``network`` or the ``processor``.
    products
        Kinds of the files that it makes, as in their names (`daxa.run.product`).
    backend
        What does it if the params file does not say; '' for the backend of the first step that
        it needs.
    help
        What it does: the comment above its table in params files.

    Examples
    --------
    >>> Step("spectra", needs=("clean", "sources"), products=("spectrum",)).kept_by
    'dvc'
    """

    name: str
    needs: tuple[str, ...] = ()
    kept_by: Literal["dvc", "store"] = "dvc"
    pool: Literal["network", "processor"] = "processor"
    products: tuple[str, ...] = ()
    backend: str = ""
    help: str = ""

    @property
    def fetches(self) -> bool:
        """Whether it fetches the files of the telescope's archive, instead of making products."""
        return self.kept_by == "store"


OWN_STEPS = (
    Step("fetch", kept_by="store", pool="network", products=("fetched",), backend="daxa"),
    Step("events", needs=("fetch",), products=("events", "archivemap"), backend="native"),
    Step("clean", needs=("events",), products=("finalevents", "gti", "flares", "measures")),
    Step(
        "images",
        needs=("clean",),
        products=(
            *("image", "expmap", "ratemap", "ootimage"),
            *("combinedimage", "combinedexpmap", "combinedratemap"),
            *("lightcurve", "quicklook"),
        ),
    ),
    Step("sources", needs=("images",), products=("sourcelist", "background", "sensitivity", "search")),
)
"""The steps of daxa itself, in the order in which they follow each other."""

_OWN = {step.name: step for step in OWN_STEPS}


def step_names() -> tuple[str, ...]:
    """Names of all steps: daxa's own, then those that plug-ins offer."""
    return (*_OWN, *plugins.offered(GROUP, _OWN))


def find_step(name: str) -> Step:
    """The step of this name.

    Raises
    ------
    ConfigError
        No installed package provides such a step, or the one that does cannot be used.

    Examples
    --------
    >>> find_step("clean").needs
    ('events',)
    """
    return _OWN[name] if name in _OWN else _offered(name)


@cache
def _offered(name: str) -> Step:
    points = plugins.offered(GROUP, _OWN)
    if name not in points:
        known = step_names()
        raise ConfigError(
            "unknown-step",
            f"there is no step {name[:100]!r}{did_you_mean(name, known)}",
            remedy=f"install the package that provides it; the steps here are {', '.join(known)}",
        )
    try:
        step = _checked(plugins.load(points[name]))
        if step.name != name:
            raise AssertionError(f"it is named {step.name!r}")
    except AssertionError as wrong:
        raise ConfigError(
            "plugin",
            f"the step {name!r} of {plugins.origin_of(points[name])} cannot be used: {wrong}",
            remedy="update or uninstall that package",
        ) from None
    return step


def check_step(step: object) -> None:
    """Check a step that a plug-in declares; also for its author's tests.

    Raises
    ------
    AssertionError
        What is wrong with it.

    Examples
    --------
    >>> check_step(Step("spectra", needs=("clean", "sources"), products=("spectrum",), backend="spectral"))
    >>> check_step(Step("spectra-2"))
    Traceback (most recent call last):
    ...
    AssertionError: 'spectra-2' cannot name a step
    """
    _checked(step)


def _checked(step: object) -> Step:
    if not isinstance(step, Step):
        raise AssertionError(f"it is a {type(step).__name__}, not a Step")
    texts = (step.name, step.backend, step.help, *step.needs, *step.products)
    _require(all(isinstance(text, str) and text.isprintable() for text in texts), "a field is not text")
    named = _NAME.fullmatch(step.name) and step.name not in _RESERVED
    _require(named, f"{step.name!r} cannot name a step")
    _require(step.name not in step.needs, "it needs itself")
    _require(len(set(step.needs)) == len(step.needs), "it needs a step twice")
    _require(step.kept_by in ("dvc", "store") and step.pool in ("network", "processor"), "kept_by or pool is not valid")
    _require(step.kept_by == "dvc" or step.name in _OWN, "only daxa itself fetches into the store")
    _require(bool(step.backend or step.needs), "it names no backend and needs no step")
    _require(all(_KIND.fullmatch(kind) for kind in step.products), "kinds of products are lower-case letters")
    return step


def _require(right: object, words: str) -> None:
    if not right:
        raise AssertionError(words)


def arrange_steps(names: Iterable[str]) -> tuple[Step, ...]:
    """The steps of these names, each after those that it needs, else in the order given.

    Raises
    ------
    ConfigError
        There is no such step, one is named twice, or one needs a step that is not among them.

    Examples
    --------
    >>> [step.name for step in arrange_steps(["fetch", "clean", "events"])]
    ['fetch', 'events', 'clean']
    """
    waiting = [find_step(name) for name in names]
    known = [step.name for step in waiting]
    arranged: list[Step] = []
    if twice := next((name for name in known if known.count(name) > 1), ""):
        raise ConfigError("step-twice", f"the step {twice} is named twice", remedy="name it once")
    while waiting:
        done = {step.name for step in arranged}
        ready = next((step for step in waiting if done.issuperset(step.needs)), None)
        if ready is None:
            raise _unmet(waiting[0], known)
        waiting.remove(ready)
        arranged.append(ready)
    return tuple(arranged)


def _unmet(step: Step, known: Collection[str]) -> ConfigError:
    missing = [need for need in step.needs if need not in known]
    if missing:
        return ConfigError(
            "step-needs",
            f"the step {step.name} needs {', '.join(missing)}, which this archive does not have",
            remedy=f"name {', '.join(missing)} too, or leave {step.name} out",
        )
    return ConfigError("step-needs", f"the step {step.name} needs what needs it", remedy=f"leave {step.name} out")


def last_steps(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps that no other needs.

    Examples
    --------
    >>> [step.name for step in last_steps(OWN_STEPS)]
    ['sources']
    """
    needed = {need for step in steps for need in step.needs}
    return tuple(step for step in steps if step.name not in needed)


def kinds_of(steps: Iterable[Step]) -> tuple[str, ...]:
    """Kinds of files that an archive with these steps holds, in their order; then ``auxiliary``.

    Examples
    --------
    >>> kinds_of(OWN_STEPS[:2])
    ('fetched', 'events', 'archivemap', 'auxiliary')
    """
    return (*dict.fromkeys(kind for step in steps for kind in step.products), "auxiliary")
