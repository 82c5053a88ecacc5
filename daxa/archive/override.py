"""Set and unset parameters in the text of a params file: for all observations, or for some; comments stay."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daxa.errors import ConfigError, CriteriaError
from daxa.naming import did_you_mean

__all__ = ["Setting", "describe", "overridden", "read_settings", "with_remarks", "with_settings", "without_overrides"]

_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_HEADER = re.compile(r"[ \t]*\[[^\[\]=]*\][ \t]*(?:#.*)?\n?")
_NOTE_LENGTH = 300


@dataclass(frozen=True)
class Setting:
    """A parameter and its new value.

    Parameters
    ----------
    step, key
        Which parameter; the key of one in a table of the step's has dots, as ``sas.espfilt.allowsigma``.
    value
        As in TOML; None to remove the key, so that the step's own value, or the default, applies.
    """

    step: str
    key: str
    value: Any

    def __str__(self) -> str:
        name = f"{self.step}.{self.key}"
        return f"{name} unset" if self.value is None else f"{name} = {_written(self.value)}"


def read_settings(
    given: Sequence[str], unset: Sequence[str], steps: Sequence[str], *, step: str = ""
) -> tuple[Setting, ...]:
    """The settings that texts such as ``clean.flare_sigma=2.5`` request.

    Parameters
    ----------
    given, unset
        Parameters to set, with values, and parameters to unset.
    steps
        The steps of the archive.
    step
        The step that is meant where a text names none.

    Raises
    ------
    CriteriaError
        A text is malformed, names no step, or a parameter that another one names, too.

    Examples
    --------
    >>> steps = ["fetch", "events", "clean"]
    >>> given = ["clean.flare_sigma=2.5", "clean.flares=scale"]
    >>> [str(one) for one in read_settings(given, ["events.min_ontime"], steps)]
    ['clean.flare_sigma = 2.5', 'clean.flares = "scale"', 'events.min_ontime unset']
    """
    settings = []
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise CriteriaError(
                "setting",
                f"{text[:100]!r} gives no value",
                remedy="write --set STEP.NAME=VALUE, or --unset STEP.NAME to return to the default",
            )
        settings.append(Setting(*_place(name, steps, step), _read_value(value)))
    settings += [Setting(*_place(name, steps, step), None) for name in unset]
    places = [(one.step, one.key) for one in settings]
    if twice := [place for at, place in enumerate(places) if place in places[:at]]:
        raise CriteriaError("setting", f"{'.'.join(twice[0])} is named twice", remedy="name each parameter once")
    return tuple(settings)


def _read_value(text: str) -> Any:
    """The value that a text means: as TOML reads it, else the text itself, without quotation marks.

    >>> _read_value("2.5"), _read_value("17.4 arcsec"), _read_value('["0.5-2.0 keV"]'), _read_value("true")
    (2.5, '17.4 arcsec', ['0.5-2.0 keV'], True)
    >>> _read_value("0x10")
    '0x10'
    """
    try:
        tables = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return text.strip()
    plain = tables.keys() == {"value"} and isinstance(tables["value"], bool | int | float | str | list)
    # A mask of bits is a text: as a number nobody would recognise it.
    plain = plain and not text.strip().startswith("0x")
    return tables["value"] if plain else text.strip()


def _place(name: str, steps: Sequence[str], usual: str) -> tuple[str, str]:
    named, point, rest = name.strip().partition(".")
    step, key = (named, rest) if point else (usual, named)
    if not step or not all(map(_KEY.fullmatch, key.split("."))):
        raise CriteriaError(
            "setting",
            f"{name[:100]!r} does not name a parameter of a step",
            remedy=f"write STEP.NAME, such as clean.flare_sigma; the steps are {', '.join(steps)}",
        )
    if step not in steps:
        raise CriteriaError(
            "step", f"there is no step {step[:100]!r}{did_you_mean(step, steps)}", remedy=f"use {', '.join(steps)}"
        )
    return step, key


def describe(settings: Sequence[Setting], obs_ids: Sequence[str], mission: str) -> str:
    """One line that says what was set, for a release.

    Examples
    --------
    >>> describe([Setting("clean", "flare_sigma", 2.5)], ["0404910601"], "xmm")
    'Reprocess xmm 0404910601: clean.flare_sigma = 2.5'
    """
    named = ", ".join(obs_ids[:3]) + (f" and {len(obs_ids) - 3} more" if len(obs_ids) > 3 else "")
    return f"Reprocess {mission}{f' {named}' if named else ''}: {', '.join(map(str, settings))}"[:200]


def with_settings(text: str, settings: Sequence[Setting], obs_ids: Collection[str] = (), *, note: str = "") -> str:
    r"""The text of a params file with these settings, all else as it was written.

    Parameters
    ----------
    text
        Of the file, which is valid TOML.
    settings
        The new values.
    obs_ids
        For these observations alone; an empty tuple means the step's own table.
    note
        Why, as a comment beside the first value, or above the new table.

    Raises
    ------
    ConfigError
        The file is written in a way that does not allow adding the settings.

    Examples
    --------
    >>> print(with_settings("[clean]\nflare_sigma = 3.0  # width\n", [Setting("clean", "flare_sigma", 2.5)]).rstrip())
    [clean]
    flare_sigma = 2.5  # width
    >>> print(with_settings("[clean]\n", [Setting("clean", "flares", "none")], ["0404910601"]).rstrip())
    [clean]
    <BLANKLINE>
    [clean.obs."0404910601"]
    flares = "none"
    """
    expected = tomllib.loads(text)
    for obs_id in obs_ids or ("",):
        for at, one in enumerate(settings):
            text = _with_setting(text, one, obs_id, "" if at else note)
            _apply(expected, one, obs_id)
    return _checked_text(text, expected)


def with_remarks(text: str, step: str, lines: Sequence[str]) -> str:
    r"""The text of a params file with comments at the end of a step's table.

    Parameters
    ----------
    text
        Of the file.
    step
        Whose table; a file without it stays as it is.
    lines
        Comments.

    Examples
    --------
    >>> print(with_remarks("[clean]\nflares = 1\n\n[images]\n", "clean", ["# chips = 2"]))
    [clean]
    flares = 1
    # chips = 2
    <BLANKLINE>
    [images]
    <BLANKLINE>
    """
    sections = _sections(text)
    at = _find(sections, (step,))
    if at is None or not lines:
        return text
    body = sections[at].rstrip()
    added = "\n".join([body, *lines])
    sections[at] = added + (sections[at][len(body) :] or "\n")
    return _checked_text("".join(sections), tomllib.loads(text))


def without_overrides(text: str, obs_ids: Collection[str]) -> str:
    r"""The text of a params file without the overrides of some observations.

    Examples
    --------
    >>> print(without_overrides('[clean]\n\n[clean.obs."0404910601"]\nflares = "none"\n', ["0404910601"]).rstrip())
    [clean]
    """
    expected = tomllib.loads(text)
    for step, obs_id in overridden(text, obs_ids):
        text = _without_tables(text, (step, "obs", obs_id))
        _take_out(expected, (step, "obs", obs_id))
    return _checked_text(text, expected)


def overridden(text: str, obs_ids: Collection[str]) -> list[tuple[str, str]]:
    """Step and ObsID of the overrides that a params file holds of some observations."""
    tables = tomllib.loads(text)
    return [
        (step, obs_id)
        for step, table in tables.items()
        if isinstance(table, dict) and isinstance(table.get("obs"), dict)
        for obs_id in table["obs"]
        if obs_id in obs_ids
    ]


def _table_of(one: Setting, obs_id: str) -> tuple[str, ...]:
    """The table that holds a setting."""
    return (one.step, *(("obs", obs_id) if obs_id else ()), *one.key.split(".")[:-1])


def _leaf(one: Setting) -> str:
    return one.key.rpartition(".")[2]


def _apply(tables: dict[str, Any], one: Setting, obs_id: str) -> None:
    """The same, of values."""
    path = _table_of(one, obs_id)
    if one.value is None:
        table = _inside(tables, path)
        if isinstance(table, dict):
            table.pop(_leaf(one), None)
            if not table and len(path) > 1:
                _take_out(tables, path)
        return
    table = tables
    for name in path:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise _not_editable(f"{name} is not a table in it")
    table[_leaf(one)] = one.value


def _inside(tables: Any, path: Sequence[str]) -> Any:
    for name in path:
        tables = tables.get(name) if isinstance(tables, dict) else None
    return tables


def _take_out(tables: dict[str, Any], path: Sequence[str]) -> None:
    """Remove a table, and those around it that are empty then, but for that of the step."""
    del _inside(tables, path[:-1])[path[-1]]
    if len(path) > 2 and not _inside(tables, path[:-1]):
        _take_out(tables, path[:-1])


def _with_setting(text: str, one: Setting, obs_id: str, note: str) -> str:
    sections, path = _sections(text), _table_of(one, obs_id)
    at = _find(sections, path)
    if at is None:
        if len(path) == 1:
            raise _not_editable(f"there is no table [{one.step}]")
        if one.value is None:
            return text
        remark = f"# {_remark(note)}\n" if note else ""
        return f"{text.rstrip()}\n\n{remark}[{_header(path)}]\n{_leaf(one)} = {_written(one.value)}\n"
    sections[at] = _edited(sections[at], one, path, note)
    if len(path) > 1 and not _inside(_loaded(sections[at]), path):
        return "".join([*sections[:at], *sections[at + 1 :]]).rstrip() + "\n"
    return "".join(sections)


def _header(path: Sequence[str]) -> str:
    """The name of a table, in which ObsIDs always have quotation marks."""
    return ".".join(f'"{name}"' if path[at - 1 : at] == ("obs",) else name for at, name in enumerate(path))


def _edited(section: str, one: Setting, path: Sequence[str], note: str) -> str:
    """The text of one table with another value; a comment beside the former value stays."""
    import tomlkit

    body, key = section.rstrip(), _leaf(one)
    document: Any = tomlkit.parse(f"{body}\n")
    table = document
    for name in path:
        table = table[name]
    former = table.get(key)
    if one.value is None:
        if former is None:
            return section
        del table[key]
    elif former is not None and former == one.value and isinstance(former.unwrap(), type(one.value)):
        return section
    else:
        fresh = tomlkit.item(one.value)
        if former is not None:
            fresh.trivia.comment_ws, fresh.trivia.comment = former.trivia.comment_ws, former.trivia.comment
        if note:
            there = fresh.trivia.comment
            fresh.comment(f"{there.lstrip('# ').rstrip()}; {_remark(note)}" if there else _remark(note))
            fresh.trivia.comment_ws = fresh.trivia.comment_ws if there else "  "
        table[key] = fresh
    return tomlkit.dumps(document).rstrip() + (section[len(body) :] or "\n")


def _without_tables(text: str, path: Sequence[str]) -> str:
    """Without a table and those within it, and the comments right above them."""
    sections = _sections(text)
    kept = [section for section in sections if _path_of(section)[: len(path)] != tuple(path)]
    return text if len(kept) == len(sections) else "".join(kept).rstrip() + "\n"


def _sections(text: str) -> list[str]:
    """What is before the first table, and every table with its header and the comments right above that."""
    sections: list[list[str]] = [[]]
    for line in text.splitlines(keepends=True):
        # A line of a text or a list of several lines may look like a header.
        if _HEADER.fullmatch(line) and _is_whole("".join(sections[-1])):
            above: list[str] = []
            while sections[-1] and sections[-1][-1].startswith("#") and len(sections) > 1:
                above.insert(0, sections[-1].pop())
            sections.append(above)
        sections[-1].append(line)
    return ["".join(lines) for lines in sections]


def _find(sections: Sequence[str], path: Sequence[str]) -> int | None:
    return next((at for at, section in enumerate(sections) if _path_of(section) == tuple(path)), None)


def _path_of(section: str) -> tuple[str, ...]:
    """The names of which the header of a section consists."""
    header = next((line for line in section.splitlines() if not line.startswith("#")), "")
    table: Any = _loaded(header) if _HEADER.fullmatch(header) else {}
    names = []
    while isinstance(table, dict) and len(table) == 1:
        ((name, table),) = table.items()
        names.append(name)
    return tuple(names)


def _is_whole(text: str) -> bool:
    try:
        tomllib.loads(text)
    except ValueError:
        return False
    return True


def _loaded(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except ValueError:
        return {}


def _checked_text(text: str, expected: Mapping[str, Any]) -> str:
    try:
        if tomllib.loads(text) == expected:
            return text
    except ValueError:
        pass
    raise _not_editable("its tables are written in an unusual way")


def _not_editable(why: str) -> ConfigError:
    return ConfigError(
        "override",
        f"the params file cannot be changed by daxa: {why}",
        remedy='write the values yourself, for instance in a table [clean.obs."0404910601"], and run `daxa run`',
    )


def _remark(note: str) -> str:
    """A note on one line, without what TOML forbids in comments."""
    return " ".join("".join(character if character.isprintable() else " " for character in note).split())[:_NOTE_LENGTH]


def _written(value: Any) -> str:
    import tomlkit

    return str(tomlkit.item(value).as_string())
