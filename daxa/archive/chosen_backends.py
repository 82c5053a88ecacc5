"""Which backends process a new archive: from ``sas`` or ``chandra:clean=ciao`` to the tables of params files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from daxa.backends import backend_names, find_backend
from daxa.backends.registry import backend_of_step, steps_served
from daxa.backends.shared_parameters import BACKEND
from daxa.errors import CriteriaError, NotPossible
from daxa.missions import MissionSpec, find_mission
from daxa.naming import did_you_mean
from daxa.run.steps import Step

__all__ = ["NO_TABLES", "BackendTables", "choose_backends"]

BackendTables = Mapping[str, Mapping[str, str]]
"""Step to its table, of which only the backend is given."""

NO_TABLES: BackendTables = MappingProxyType({})

_NATIVE = "native"


@dataclass(frozen=True)
class _Choice:
    """What was asked for: a backend, for a step ('' for all that it does) of a mission ('' for all that it serves)."""

    text: str
    mission: str
    step: str
    backend: str

    @property
    def breadth(self) -> tuple[bool, bool]:
        """Orders choices from those for a step of a mission to those for everything."""
        return not self.step, not self.mission


def choose_backends(
    texts: Sequence[str], missions: Sequence[MissionSpec], steps: Sequence[Step]
) -> dict[str, BackendTables]:
    """The backends of a new archive, as the params files of its missions say them.

    Parameters
    ----------
    texts
        ``BACKEND`` for all steps that it does, ``STEP=BACKEND``, and either for one mission alone, as
        ``MISSION:BACKEND`` or ``MISSION:STEP=BACKEND``.  Without a mission, all missions that it serves are meant.
    missions, steps
        Those of the archive.

    Returns
    -------
    dict
        Mission to step to its table; a step that follows one of mission software, which cannot do it, is native.

    Raises
    ------
    CriteriaError
        A mission or a step is not in the archive, or two backends are named for one step.
    ConfigError
        There is no such backend.
    NotPossible
        It does not do what it was chosen for.

    Examples
    --------
    >>> from daxa.run.steps import OWN_STEPS
    >>> choose_backends(["heasoft"], [find_mission("nustar")], OWN_STEPS)
    {'nustar': {'events': {'backend': 'heasoft'}, 'clean': {'backend': 'native'}}}
    """
    named: dict[str, dict[str, str]] = {spec.name: {} for spec in missions}
    by: dict[tuple[str, str], _Choice] = {}
    choices = [_parse(text, named, steps) for text in texts]
    # Those for a single step win over those for all steps, and then those for a single mission.
    for choice in sorted(choices, key=lambda one: one.breadth):
        served = _served(choice, missions, steps)
        for mission, own in served.items():
            for step in own:
                before = named[mission].setdefault(step, choice.backend)
                first = by.setdefault((mission, step), choice)
                if before != choice.backend and first.breadth == choice.breadth:
                    raise CriteriaError(
                        "backend-twice",
                        f"both {before} and {choice.backend} were chosen for {step} of {mission}",
                        remedy="choose one of them",
                    )
    return {spec.name: _tables(spec, named[spec.name], steps) for spec in missions}


def _parse(text: str, missions: Mapping[str, object], steps: Sequence[Step]) -> _Choice:
    whose, colon, rest = text.rpartition(":")
    step, equals, backend = rest.rpartition("=")
    mission = find_mission(whose.strip()).name if colon else ""
    if mission and mission not in missions:
        raise CriteriaError(
            "backend", f"{mission} is not among the missions of this archive", remedy=f"choose {', '.join(missions)}"
        )
    names = [one.name for one in steps if not one.fetches]
    if equals and step.strip() not in names:
        raise CriteriaError(
            "backend",
            f"there is no step {step.strip()[:60]!r} that is processed{did_you_mean(step.strip(), names)}",
            remedy=f"write --backend {names[0]}=NAME, or one of {', '.join(names)}",
        )
    return _Choice(text, mission, step.strip(), find_backend(backend.strip()).name)


def _served(choice: _Choice, missions: Sequence[MissionSpec], steps: Sequence[Step]) -> dict[str, list[str]]:
    """Mission to the steps that are meant; at least one."""
    found: dict[str, list[str]] = {}
    names = [step.name for step in steps if not step.fetches]
    for spec in missions:
        if choice.mission in ("", spec.name):
            does = [one for one in steps_served(choice.backend, spec.name, names) if choice.step in ("", one)]
            if does:
                found[spec.name] = does
    if not found:
        what = choice.step or "anything"
        meant = [spec for spec in missions if choice.mission in ("", spec.name)]
        able = {spec.name: [one for one in backend_names() if steps_served(one, spec.name, names)] for spec in meant}
        alternatives = "; ".join(f"{mission} is processed by {', '.join(others)}" for mission, others in able.items())
        raise NotPossible(
            "backend",
            f"the backend {choice.backend} does not do {what} of {', '.join(spec.title for spec in meant)}",
            remedy=f"{alternatives} (`daxa missions NAME` shows the steps)",
        )
    return found


def _tables(spec: MissionSpec, named: Mapping[str, str], steps: Sequence[Step]) -> dict[str, dict[str, str]]:
    """What params files must say: no more than what does not follow by itself."""
    tables: dict[str, dict[str, str]] = {}
    for step in steps:
        if step.fetches:
            continue
        usual = backend_of_step(tables, step, steps)
        wanted = named.get(step.name, usual)
        if step.name not in named and not find_backend(usual).version(spec.name, step.name):
            wanted = _NATIVE
        if wanted != usual:
            tables[step.name] = {BACKEND: wanted}
    return tables
