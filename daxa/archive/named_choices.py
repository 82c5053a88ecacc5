"""What users name in an archive, in any usual form, checked against what it has.

One name may be given instead of several, a `daxa.Mission` instead of its name, a whole number instead of an
ObsID that has no other form.  An unknown name is an error that lists the known ones.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from numbers import Real
from typing import Any

from daxa.archive.config import ArchiveConfig
from daxa.archive.layout import STEPS, Layout
from daxa.errors import ArchiveError, CriteriaError
from daxa.missions import MissionSpec, find_mission
from daxa.naming import did_you_mean, nearest, several
from daxa.quantities import read_range
from daxa.run.lookup import find_texts
from daxa.run.product import KINDS
from daxa.selection.selection_file import read_columns

__all__ = [
    "named_bands",
    "named_instruments",
    "named_kinds",
    "named_missions",
    "named_obs_ids",
    "named_steps",
]

_OF_SEVERAL = ("ALL", "MERGED")
"""Instruments of products that hold the data of more than one."""

Band = tuple[float, float]


def named_missions(config: ArchiveConfig, value: object) -> tuple[str, ...]:
    """Short names of missions of the archive; () where none is named.

    Raises
    ------
    CriteriaError
        The archive holds no such mission.

    Examples
    --------
    >>> config = ArchiveConfig(format=1, name="a907", missions={"xmm": {}, "chandra": {}})
    >>> named_missions(config, "XMM-Newton"), named_missions(config, ["chandra", "xmm"])
    (('xmm',), ('chandra', 'xmm'))
    """
    names = []
    for one in several(value):
        spec = getattr(one, "spec", None)
        name = spec.name if isinstance(spec, MissionSpec) else one
        if not isinstance(name, str):
            raise CriteriaError(
                "mission", f"{_short(one)} does not name a mission", remedy="give its name, or a daxa.Mission"
            )
        names.append(_held(config, name))
    return tuple(dict.fromkeys(names))


def _held(config: ArchiveConfig, name: str) -> str:
    try:
        known = name if name in config.missions else find_mission(name).name
    except CriteriaError:
        known = name
    if known not in config.missions:
        raise CriteriaError(
            "mission",
            f"{_short(name)} is not in this archive{did_you_mean(name, config.missions)}",
            remedy=f"choose from {', '.join(config.missions)}",
        )
    return known


def named_obs_ids(layout: Layout, missions: Iterable[str], value: object) -> tuple[str, ...]:
    """ObsIDs that are selected; () where none is named.

    Parameters
    ----------
    layout
        The archive.
    missions
        Short names of the missions among which they are.
    value
        One, or many.

    Raises
    ------
    ArchiveError
        One is not selected.
    CriteriaError
        A number is given where an ObsID may begin with zeros.
    """
    requested = several(value)
    if not requested:
        return ()
    missions = tuple(missions)
    if found := _look_up(layout, missions, requested):
        return found
    selected = {name: set(read_columns(layout.selection(name), "obs_id")[0]) for name in missions}
    return tuple(dict.fromkeys(_selected(one, selected) for one in requested))


def _look_up(layout: Layout, missions: Sequence[str], requested: Sequence[object]) -> tuple[str, ...]:
    """The ObsIDs, if all are texts of selected ones and these alone decide; () otherwise."""
    texts = [one for one in requested if isinstance(one, str)]
    if len(texts) < len(requested) or not layout.is_repository:
        return ()
    found = [find_texts(layout.selection(name), layout.selected(name), texts) or {} for name in missions]
    return tuple(dict.fromkeys(texts)) if set(texts) <= {one for texts in found for one in texts} else ()


def _selected(value: str | int, selected: dict[str, set[str]]) -> str:
    refusals = []
    if isinstance(value, str):
        texts = {value}
    else:
        from daxa.query.criteria.observation_ids import obs_id_of

        texts = set()
        for name in selected:
            try:
                texts.add(obs_id_of(find_mission(name), value))
            except CriteriaError as error:
                refusals.append(error)
    found = [text for text in texts for ids in selected.values() if text in ids]
    if found:
        return found[0]
    if refusals and not texts:
        raise refusals[0]
    key = str(value)
    near = nearest(key, sorted({one for ids in selected.values() for one in ids}))
    raise ArchiveError(
        "no-observation",
        f"{_short(key)} is not in this archive{f'; did you mean {near}?' if near else ''}",
        remedy="list its observations with `daxa ls --kind fetched`, or those that are selected with "
        "`daxa select --export ids.csv`",
    )


def named_instruments(missions: Iterable[str], value: object) -> frozenset[str]:
    """Names that products of these instruments have, in capitals; none where no instrument is named.

    Raises
    ------
    CriteriaError
        No mission has such an instrument.

    Examples
    --------
    >>> sorted(named_instruments(["xmm"], "mos1")), sorted(named_instruments(["chandra"], ["HRC"]))
    (['M1', 'MOS1'], ['HRC', 'HRC-I', 'HRC-S'])
    """
    specs = [find_mission(name) for name in missions]
    found: set[str] = set()
    for one in several(value):
        if not isinstance(one, str):
            raise _no_instrument(specs, one)
        key = one.strip().upper()
        own = {key} if key in _OF_SEVERAL else set()
        for instrument in (instrument for spec in specs for instrument in spec.instruments):
            aliases = {alias.upper() for alias in instrument.aliases}
            if key == instrument.name.upper():
                own |= {key, *aliases}
            elif key in aliases:
                own |= {key, instrument.name.upper()}
        if not own:
            raise _no_instrument(specs, one)
        found |= own
    return frozenset(found)


def _no_instrument(specs: Sequence[MissionSpec], value: object) -> CriteriaError:
    names = [instrument.name for spec in specs for instrument in spec.instruments]
    choices = "; ".join(f"{spec.name}: {', '.join(one.name for one in spec.instruments)}" for spec in specs)
    return CriteriaError(
        "instrument",
        f"there is no instrument {_short(value)}{did_you_mean(value, names)}",
        remedy=f"choose from {choices}",
    )


def named_kinds(value: object, others: Collection[str] = ()) -> tuple[str, ...]:
    """Kinds of files; () where none is named.

    Parameters
    ----------
    value
        One, or many.
    others
        Kinds beside those that daxa itself makes.

    Raises
    ------
    CriteriaError
        There is no such kind.

    Examples
    --------
    >>> named_kinds("image")
    ('image',)
    """
    return tuple(_choose("kind", one, {**dict.fromkeys(KINDS), **dict.fromkeys(others)}) for one in several(value))


def named_steps(value: object, present: Collection[str] = STEPS) -> tuple[str, ...]:
    """Steps; () where none is named.

    Parameters
    ----------
    value
        One, or many.
    present
        The steps of the archive.

    Raises
    ------
    CriteriaError
        There is no such step.
    """
    return tuple(_choose("step", one, present) for one in several(value))


def _choose(what: str, value: object, known: Collection[str]) -> str:
    if not isinstance(value, str) or value not in known:
        raise CriteriaError(
            what,
            f"there is no {what} {_short(value)}{did_you_mean(value, known)}",
            remedy=f"choose from {', '.join(known)}",
        )
    return value


def named_bands(value: object) -> tuple[Band, ...]:
    """Energy bands, keV; () where none is named.

    Parameters
    ----------
    value
        One, or many: a text such as ``0.5-2 keV`` (without a unit in keV), or a pair of numbers (keV) or
        quantities.

    Raises
    ------
    CriteriaError
        One is not a band.

    Examples
    --------
    >>> named_bands("0.5-2"), named_bands((0.5, 2)), named_bands(["500-2000 eV", (2, 10)])
    (((0.5, 2.0),), ((0.5, 2.0),), ((0.5, 2.0), (2.0, 10.0)))
    """
    if value is None:
        return ()
    if isinstance(value, str) or _pair_of(value):
        return (_read_band(value),)
    return tuple(map(_read_band, several(value)))


def _short(value: object) -> str:
    return repr(value if isinstance(value, str) else str(value))[:100]


def _pair_of(value: object) -> tuple[Any, ...]:
    """The two energies that a value holds; () where it is something else."""
    parts = several(value)
    return parts if len(parts) == 2 and all(map(_is_energy, parts)) else ()


def _is_energy(value: object) -> bool:
    return hasattr(value, "to_value") or (isinstance(value, Real) and not isinstance(value, bool))


def _read_band(value: object) -> Band:
    try:
        if isinstance(value, str):
            text = value.strip()
            return read_range(text if text[-1:].isalpha() else f"{text} keV", "keV")
        if pair := _pair_of(value):
            low, high = (one.to_value("keV") if hasattr(one, "to_value") else one for one in pair)
            return read_range(f"{float(low)!r}-{float(high)!r} keV", "keV")
    except (ValueError, TypeError):  # astropy's UnitConversionError is both
        pass
    raise CriteriaError(
        "band",
        f"{_short(value)} is not an energy band",
        remedy='give energies from and to: "0.5-2 keV", (0.5, 2) in keV, or two quantities',
    )
