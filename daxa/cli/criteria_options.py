"""From the conditions of a command line to the criteria of each mission."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from functools import reduce
from operator import and_, or_
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daxa.cli.conditions import ConditionGroup, CriteriaOptions
from daxa.cli.show import note
from daxa.errors import CriteriaError

if TYPE_CHECKING:
    from daxa.missions import MissionSpec
    from daxa.query import Criteria

__all__ = ["missions_of_files", "read_criteria_options", "require_conditions"]

_LARGEST_FILE = 64_000_000


def require_conditions(options: CriteriaOptions, verb: str) -> None:
    """Raise a `CriteriaError` when no condition was given."""
    if not options:
        raise CriteriaError(
            "nothing-asked",
            "no condition says which observations to select",
            remedy=f"give --target, --position, --sample or --obs, or --everything for all observations; "
            f"`daxa {verb} --help` shows examples",
        )


def missions_of_files(options: CriteriaOptions) -> list[str]:
    """Missions that the files of criteria name, in their order."""
    named = {
        name: None
        for conditions in (*options.alternatives, *options.exclusions)
        if conditions.file is not None
        for name in _read_file(conditions.file).get("missions", {})
    }
    return list(named)


def read_criteria_options(
    options: CriteriaOptions, specs: Sequence[MissionSpec], *, all_of_them: bool = True
) -> dict[str, Criteria]:
    """The criteria of each mission.

    ObsIDs and instruments belong to the mission before the colon, or to the only
    mission; an ObsID without mission belongs to every mission whose ObsIDs look like it.
    Conditions that name only ObsIDs of other missions hold for none of a mission's observations.

    Parameters
    ----------
    options
        From the command line.
    specs
        The missions.
    all_of_them
        Whether every mission must have conditions; otherwise those without any, and
        those whose tables lack a column that is requested, are left out.

    Raises
    ------
    CriteriaError
        A value cannot be used, something belongs to no mission, or a mission has no conditions.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> both = [find_mission("xmm"), find_mission("nustar")]
    >>> typed = ConditionGroup(obs_ids=("0404910601", "nustar:30101031002"), instruments=("xmm:M1,M2",))
    >>> {name: criteria.to_plain() for name, criteria in read_criteria_options(CriteriaOptions((typed,)), both).items()}
    {'xmm': {'obs_ids': ['0404910601'], 'instruments': ['M1', 'M2']}, 'nustar': {'obs_ids': ['30101031002']}}
    """
    if not all_of_them:
        specs = list(_with_columns(options, specs))
        if not specs:
            raise CriteriaError(
                "no-column", "no mission's table has these columns", remedy="leave out category and mode"
            )
    chosen = [_of_missions(conditions, specs) for conditions in options.alternatives]
    excluded = [_of_missions(conditions, specs) for conditions in options.exclusions]
    found = {}
    for spec in specs:
        branches = [group[spec.name] for group in chosen if spec.name in group]
        if branches:
            opposites = [~group[spec.name] for group in excluded if spec.name in group]
            found[spec.name] = reduce(and_, opposites, reduce(or_, branches))
        elif all_of_them:
            raise CriteriaError(
                "nothing-asked",
                f"no observation of {spec.name} was requested",
                remedy=f"give --obs {spec.name}:... or other conditions, or leave out --mission {spec.name}",
            )
    return found


def _with_columns(options: CriteriaOptions, specs: Sequence[MissionSpec]) -> Iterator[MissionSpec]:
    """Missions whose tables have the columns; a remark names those that are left out."""
    import daxa

    for spec in specs:
        try:
            for conditions in (*options.alternatives, *options.exclusions):
                daxa.Mission(spec.name).filter(**conditions.special)
        except CriteriaError as error:
            if error.name != "no-column":
                raise
            note(f"{spec.name} is left out: {error.message}")
        else:
            yield spec


def _of_missions(conditions: ConditionGroup, specs: Sequence[MissionSpec]) -> dict[str, Criteria]:
    """The criteria of one group for each mission that it can hold for."""
    import daxa

    obs_ids = _by_mission(pair for text in conditions.obs_ids for pair in _owners(specs, text))
    if conditions.table is not None:
        obs_ids = _with_table(obs_ids, conditions.table, specs)
    instruments = _by_mission(pair for text in conditions.instruments for pair in _cameras(specs, text))
    tables = None if conditions.file is None else _read_file(conditions.file)
    # Files of samples and regions are read once for all missions.
    common = daxa.Mission(specs[0].name).filter(**conditions.common).criteria
    found = {}
    for spec in specs:
        if (conditions.obs_ids or conditions.table) and spec.name not in obs_ids:
            continue
        stored: Any = {} if tables is None else _table_of(tables, spec)
        if stored is None:
            continue
        own = {"obs_ids": obs_ids.get(spec.name), "instruments": instruments.get(spec.name), **conditions.special}
        found[spec.name] = daxa.Mission(spec.name, criteria=stored).filter(common, **own).criteria
    return found


def _with_table(named: dict[str, list[str]], path: Path, specs: Sequence[MissionSpec]) -> dict[str, list[str]]:
    """ObsIDs by mission, with those of a table of one mission's observations."""
    from daxa.query.criteria.observation_ids import read_obs_table

    if len(specs) != 1:
        raise CriteriaError(
            "mission",
            f"it is not clear which mission the observations in {path} belong to",
            remedy=f"name one mission, such as --mission {specs[0].name}",
        )
    (spec,) = specs
    return {spec.name: [*named.get(spec.name, []), *read_obs_table(spec, path)]}


def _by_mission(pairs: Iterator[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for owner, value in pairs:
        found.setdefault(owner, []).append(value)
    return found


def _read_file(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():
            raise _bad_file(path, "is not a regular file")
        if path.stat().st_size > _LARGEST_FILE:
            raise _bad_file(path, f"is larger than {_LARGEST_FILE} bytes")
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _bad_file(path, f"cannot be read: {error.strerror}") from None
    except RecursionError:
        raise _bad_file(path, "is nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, UnicodeDecodeError, and numbers of more digits than Python reads
        raise _bad_file(path, f"is not valid TOML: {str(error)[:200]}") from None
    if not isinstance(tables.get("missions", {}), dict):
        raise _bad_file(path, "names missions that are not tables")
    return tables


def _table_of(tables: dict[str, Any], spec: MissionSpec) -> dict[str, Any] | None:
    """The conditions of a mission in the file; None when it names missions, but not this one."""
    from daxa.missions import find_mission

    if "missions" not in tables:
        return tables
    return next((table for name, table in tables["missions"].items() if find_mission(name) == spec), None)


def _bad_file(path: Path, why: str) -> CriteriaError:
    return CriteriaError(
        "criteria-file", f"{path} {why}", remedy="write the conditions like the table of a mission in daxa.toml"
    )


def _owners(specs: Sequence[MissionSpec], text: str) -> list[tuple[str, str]]:
    prefix, colon, rest = text.rpartition(":")
    if colon:
        spec = _prefixed(specs, prefix, text)
        return [(spec.name, spec.check_obs_id(rest))]
    if len(specs) == 1:
        return [(specs[0].name, specs[0].check_obs_id(text))]
    owners = []
    for spec in specs:
        try:
            owners.append((spec.name, spec.check_obs_id(text)))
        except CriteriaError:
            continue
    if not owners:
        raise CriteriaError(
            "obs-id",
            f"{text!r} is not an ObsID of {' or '.join(spec.title for spec in specs)}",
            remedy="give it as the archive writes it, such as "
            + " or ".join(f"{spec.name}:{spec.id_example}" for spec in specs),
        )
    return owners


def _cameras(specs: Sequence[MissionSpec], text: str) -> list[tuple[str, str]]:
    prefix, colon, rest = text.rpartition(":")
    if not colon and len(specs) > 1:
        raise CriteriaError(
            "instrument",
            f"it is not clear which mission the instrument {text!r} belongs to",
            remedy=f"write {specs[0].name}:{text}",
        )
    spec = _prefixed(specs, prefix, text) if colon else specs[0]
    return [(spec.name, spec.find_instrument(name).name) for name in rest.split(",")]


def _prefixed(specs: Sequence[MissionSpec], prefix: str, text: str) -> MissionSpec:
    from daxa.missions import find_mission

    chosen = find_mission(prefix)
    if chosen not in specs:
        raise CriteriaError(
            "mission", f"{text!r} belongs to {chosen.name}, which was not chosen", remedy=f"add --mission {chosen.name}"
        )
    return chosen
