"""Choose the files of an observation: a pure function of its listing."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from daxa.errors import ConfigError, DataError
from daxa.missions.spec import MissionSpec, NativeInput

__all__ = ["FileChoice", "absent_instruments", "choose_files", "compile_extra", "literal_prefix"]

_ENCRYPTED = (".gpg", ".pgp")


@dataclass(frozen=True, order=True)
class FileChoice:
    """A file to fetch: its path below the observation's directory, and what it is.

    Parameters
    ----------
    path, kind
        As the archive and its declaration call it.
    curves
        As in `NativeInput`.
    older
        Paths of earlier deliveries of it, which are not fetched.
    """

    path: str
    kind: str
    curves: bool = field(default=False, repr=False)
    older: tuple[str, ...] = field(default=(), repr=False)


def choose_files(
    spec: MissionSpec, obs_id: str, instruments: Collection[str], paths: Iterable[str], extra: Sequence[str] = ()
) -> list[FileChoice]:
    """The files that the native chain starts from, and further files that the user requests.

    Parameters
    ----------
    spec, obs_id
        The observation.
    instruments
        Names of the chosen instruments; files of others are left out.
    paths
        Paths of all files below the observation's directory.
    extra
        Regular expressions of whole paths to fetch as well (kind ``extra``).

    Returns
    -------
    list of FileChoice
        Sorted by path, each path once.

    Raises
    ------
    DataError
        ``data.proprietary``: a file of a required kind is there, but encrypted.
        ``data.no-events`` (or another kind): no file of a required kind is there.
    ConfigError
        An expression of `extra` is malformed.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> there = ["event_cl/nu30101031002A01_cl.evt.gz", "event_cl/nu30101031002A06_cl.evt.gz"]
    >>> choose_files(find_mission("nustar"), "30101031002", ["FPMA"], there)
    [FileChoice(path='event_cl/nu30101031002A01_cl.evt.gz', kind='events')]
    """
    wanted = {spec.find_instrument(name).name for name in instruments}
    inputs = [item for item in spec.native_inputs if not item.instrument or item.instrument in wanted]
    there = sorted(set(paths))
    chosen: dict[str, FileChoice] = {}
    passed: set[str] = set()
    for item in inputs:
        for newest in _newest(item, obs_id, [path for path in there if path not in chosen]):
            chosen[newest.path] = newest
            passed.update(newest.older)
    _require(spec, obs_id, inputs, there, {choice.kind for choice in chosen.values()})
    for pattern in compile_extra(extra):
        more = (path for path in there if path not in chosen and path not in passed and pattern.fullmatch(path))
        chosen |= {path: FileChoice(path, "extra") for path in more}
    return sorted(chosen.values())


def absent_instruments(
    spec: MissionSpec, obs_id: str, instruments: Collection[str], choices: Iterable[FileChoice]
) -> list[str]:
    """The chosen instruments of which not one of the files that they need was found.

    Parameters
    ----------
    spec, obs_id, instruments
        As for `choose_files`.
    choices
        What it returned.
    """
    paths = [choice.path for choice in choices]
    found: dict[str, bool] = {}
    for item in spec.native_inputs:
        if item.required and item.instrument:
            there = any(map(item.regex(obs_id).fullmatch, paths))
            found[item.instrument] = found.get(item.instrument, False) or there
    return sorted({name for one in instruments if not found.get(name := spec.find_instrument(one).name, True)})


def _newest(item: NativeInput, obs_id: str, paths: Sequence[str]) -> list[FileChoice]:
    """The files of one declaration, of each only the highest version."""
    pattern = item.regex(obs_id)
    versions: dict[str, list[tuple[int, str]]] = {}
    for path in paths:
        if match := pattern.fullmatch(path):
            key, version = path, 0
            if "version" in pattern.groupindex:
                start, end = match.span("version")
                key, version = f"{path[:start]}*{path[end:]}", int(match["version"])
            if "default" in pattern.groupindex and match["default"]:
                start, end = match.span("default")
                key = key[:start] + key[end:]
            versions.setdefault(key, []).append((version, path))
    return [
        FileChoice(newest[1], item.kind, item.curves, tuple(path for _, path in older))
        for newest, *older in (sorted(found, reverse=True) for found in versions.values())
    ]


def _require(spec: MissionSpec, obs_id: str, inputs: list[NativeInput], there: list[str], kinds: set[str]) -> None:
    required = [item for item in inputs if item.required]
    locked = [path.rpartition(".")[0] for path in there if path.lower().endswith(_ENCRYPTED)]
    for item in required:
        if hidden := [path for path in locked if item.regex(obs_id).fullmatch(path)]:
            raise DataError(
                "proprietary",
                f"{hidden[0]} of {spec.title} {obs_id} is encrypted: the observation is not public yet",
                remedy="wait for its public date, or leave the observation out of the selection",
            )
    # What only other instruments need is not missing; if none of the chosen needs anything, nothing serves them.
    own = required if any(item.instrument for item in required) else spec.native_inputs
    missing = {item.kind for item in own if item.required} - kinds
    for kind in sorted(missing - _of_absent_instruments(required, missing)):
        names = ", ".join(item.instrument for item in required if item.kind == kind) or "the chosen instruments"
        raise DataError(
            f"no-{kind}",
            f"{spec.title} {obs_id} has no {kind} file of {names} in the archive",
            remedy="choose other instruments, or leave the observation out of the selection",
        )


def _of_absent_instruments(required: list[NativeInput], missing: AbstractSet[str]) -> set[str]:
    """The missing kinds of instruments that have no required file at all, while another one has all that it needs."""
    needs: dict[str, set[str]] = {}
    for item in required:
        if item.instrument:
            needs.setdefault(item.instrument, set()).add(item.kind)
    if not any(kinds.isdisjoint(missing) for kinds in needs.values()):
        return set()
    absent = [kinds for kinds in needs.values() if kinds <= missing]
    present = [kinds for kinds in needs.values() if not kinds <= missing]
    return set[str]().union(*absent).difference(*present)


def compile_extra(extra: Sequence[str]) -> list[re.Pattern[str]]:
    """Compile the expressions of ``fetch.extra``.

    Raises
    ------
    ConfigError
        One of them is not a regular expression.
    """
    try:
        return [re.compile(pattern) for pattern in extra]
    except (re.error, TypeError) as error:
        raise ConfigError(
            "extra",
            f"fetch.extra holds {list(extra)!r}, which is not a list of regular expressions: {error}",
            remedy="correct params/<mission>.toml; special characters such as + need a backslash",
        ) from None


def literal_prefix(pattern: str) -> str:
    """What every match of the expression begins with, as far as its literal text shows.

    Examples
    --------
    >>> literal_prefix(r"auxil/nu.*"), literal_prefix(r"hk/|auxil/"), literal_prefix("ab?(c|d)")
    ('auxil/nu', '', 'a')
    """
    outside = re.sub(r"\\.|\[\^?\]?[^\]]*\]", "", pattern)
    while (fewer := re.sub(r"\([^()]*\)", "", outside)) != outside:
        outside = fewer
    if "|" in outside:
        return ""
    plain = re.split(r"[\\.^$*+?{}\[\]()]", pattern, maxsplit=1)[0]
    quantified = pattern[len(plain) : len(plain) + 1] in ("*", "?", "{")
    return plain[:-1] if quantified else plain
