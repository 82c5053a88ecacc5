"""The backends on this machine, with their software and calibration, and plug-ins."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from functools import partial

from daxa.archive.accepted_calibration import other_calibration
from daxa.archive.check import provided_software
from daxa.archive.config import ArchiveConfig, load_parameters, steps_of
from daxa.archive.layout import Layout
from daxa.archive.software import load_software
from daxa.backends import backend_names, find_backend
from daxa.backends.registry import backend_of_step, steps_served
from daxa.backends.tools.reading import suite_names
from daxa.doctor.finding import Finding, guarded
from daxa.missions import mission_names
from daxa.run.steps import find_step, step_names
from daxa.xray.telescopes import telescopes

__all__ = ["look_at_backends", "look_at_locks", "look_at_plugins", "served_text", "used_backends"]


def look_at_backends(used: Collection[str] = ()) -> Iterator[Finding]:
    """Every backend: whether its software is installed, its version and calibration, and what is missing.

    Mission software that no archive needs is left alone: looking for it runs programs.

    Parameters
    ----------
    used
        Those that an archive needs: for these, missing software is an error.
    """
    unused = {*suite_names()}.difference(used)
    for name in dict.fromkeys((*backend_names(), *sorted(used))):
        if name in unused:
            continue
        yield from guarded("backends", name, partial(_backend, name, name in used))


def _backend(name: str, used: bool) -> Iterator[Finding]:
    backend = find_backend(name)
    located = backend.locate()
    if not located.found:
        lacking = f"there is no {', no '.join(located.missing)}"
        yield Finding("backends", name, "error" if used else "note", lacking, located.remedy)
        return
    calibration = f"; calibration: {located.calibration}" if located.calibration else ""
    yield Finding("backends", name, "ok", f"{located.version}{calibration}; {served_text(name)}")


def served_text(name: str) -> str:
    """Which missions a backend processes, as words: ``events, clean, images of xmm``."""
    missions: dict[tuple[str, ...], list[str]] = {}
    for mission in mission_names(processed=True):
        if steps := steps_served(name, mission, step_names()):
            missions.setdefault(steps, []).append(mission)
    return "; ".join(f"{', '.join(steps)} of {', '.join(of)}" for steps, of in missions.items()) or "no mission here"


def look_at_plugins() -> Iterator[Finding]:
    """What plug-ins provide, and which of them cannot be used."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        known = [*mission_names(), *telescopes()]
        for name in step_names():
            yield from guarded("plug-ins", f"step {name}", partial(_step, name))
    for text in dict.fromkeys(str(one.message) for one in said if issubclass(one.category, RuntimeWarning)):
        yield Finding("plug-ins", "left out", "warning", text, "update or uninstall that package")
    del known


def _step(name: str) -> Iterator[Finding]:
    find_step(name)
    return iter(())


def used_backends(layout: Layout, config: ArchiveConfig) -> frozenset[str]:
    """The backends that do the steps of an archive.

    Raises
    ------
    ConfigError
        Its parameters cannot be read.
    """
    steps = steps_of(config)
    tables = [load_parameters(layout, mission, [step.name for step in steps]) for mission in config.missions]
    return frozenset(backend_of_step(one, step, steps) for one in tables for step in steps if not step.fetches)


def look_at_locks(layout: Layout, config: ArchiveConfig) -> Iterator[Finding]:
    """Whether the installed software and calibration are those that the archive names."""
    steps, locked = steps_of(config), load_software(layout)
    remedy = "install the daxa that made the archive, or `daxa upgrade --software` to reprocess with this one"
    wrong = []
    for mission in config.missions:
        tables = load_parameters(layout, mission, [step.name for step in steps])
        for step in steps:
            here = provided_software(mission, tables, step, steps)
            wanted = locked.get((mission, step.name), here)
            if wanted != here:
                wrong.append(f"{mission} {step.name}: {wanted.backend} {wanted.version}")
    if wrong:
        yield Finding("archive", "software", "error", f"locked to other versions: {', '.join(wrong)}", remedy)
    else:
        yield Finding("archive", "software", "ok", "as in software.toml")
    for one in other_calibration(layout, config):
        text = f"{one.mission} {one.step}: accepted {one.accepted or 'none'}, installed {one.installed}"
        yield Finding("archive", "calibration", "note", text, "`daxa upgrade --calibration` accepts the installed one")
