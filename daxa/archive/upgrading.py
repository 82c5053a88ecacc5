"""Bring an archive that an earlier daxa made up to date: its text files, its pipeline, and on request its software.

What the earlier daxa wrote is rendered again from the templates of that time (``templates/earlier``) and the answers
in ``daxa.toml``, not taken from Git's history, which people rewrite and shorten.  From this base, the changes of the
owner and those of daxa are merged line by line.  Values do not change: new parameters are added as comments, so that
no product becomes out of date.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from daxa.archive import git
from daxa.archive.check import provided_software
from daxa.archive.committing import commit_changes, refuse_uncommitted
from daxa.archive.config import TEMPLATE, ArchiveConfig, LockedSoftware, load_config, load_parameters, steps_of
from daxa.archive.gate import enter_archive
from daxa.archive.layout import Layout
from daxa.archive.locktext import with_commands
from daxa.archive.override import with_remarks
from daxa.archive.selected_files import rendered_with
from daxa.archive.software import load_software
from daxa.archive.table_diff import set_table_diff
from daxa.archive.template import MissionAnswers, parameter_lines
from daxa.archive.trust import harmful_attributes, rendered_pipeline
from daxa.errors import ArchiveError, ConfigError, CriteriaError
from daxa.files import read_plain
from daxa.missions import find_mission
from daxa.naming import did_you_mean

__all__ = ["OtherSoftware", "UpgradePlan", "plan_upgrade"]

_MERGED = (
    "daxa.toml",
    "README.md",
    "LICENSE",
    ".gitattributes",
    ".gitignore",
    ".dvcignore",
    ".dvc/.gitignore",
    ".github/workflows/verify.yml",
)
"""Text files that people may edit; releases write the citation files, and people the configuration of DVC."""

_MARKS = re.compile(r"^<{7} .*\n(?P<ours>(?:.*\n)*?)={7}\n(?P<theirs>(?:.*\n)*?)>{7} .*$", re.MULTILINE)
_KEY = re.compile(r"\s*(?:#\s*)?([A-Za-z][\w-]*)\s*=")
_SHOWN = 3


@dataclass(frozen=True)
class OtherSoftware:
    """A step that is locked to software other than the installed one.

    Parameters
    ----------
    mission, step
        Which step.
    locked, installed
        Backend and version.
    """

    mission: str
    step: str
    locked: LockedSoftware
    installed: LockedSoftware

    def as_dict(self) -> dict[str, str]:
        """The step as plain values, ready for JSON."""
        return {
            "mission": self.mission,
            "step": self.step,
            "locked": f"{self.locked.backend} {self.locked.version}",
            "installed": f"{self.installed.backend} {self.installed.version}",
        }


@dataclass(frozen=True)
class UpgradePlan:
    """How an upgrade would change an archive's files; nothing is written until `apply`.

    Parameters
    ----------
    root
        The archive.
    template
        Versions of the templates before (0 if not recorded) and after.
    texts
        Path to the text before ('' for none) and after, of each file that changes.
    software
        Steps that would be locked to other software, and redone by the next `daxa run`.
    waiting
        Steps that stay locked to software other than the installed one.
    """

    root: Path
    template: tuple[int, int]
    texts: Mapping[str, tuple[str, str]]
    software: tuple[OtherSoftware, ...] = ()
    waiting: tuple[OtherSoftware, ...] = ()
    _seen: Mapping[str, bytes | None] = field(repr=False, default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.texts)

    def diff(self) -> str:
        """The changes, as ``git diff`` shows them."""
        parts: list[str] = []
        for path, sides in sorted(self.texts.items()):
            before, after = (side.splitlines(keepends=True) for side in sides)
            parts += difflib.unified_diff(before, after, f"a/{path}", f"b/{path}")
        return "".join(line if line.endswith("\n") else f"{line}\n" for line in parts)

    def as_dict(self) -> dict[str, object]:
        """The plan as plain values, ready for JSON."""
        return {
            "template": list(self.template),
            "files": sorted(self.texts),
            "software": [one.as_dict() for one in self.software],
            "waiting": [one.as_dict() for one in self.waiting],
        }

    def apply(self) -> str:
        """Write and commit the files; return the commit's digest, '' if nothing changes.

        If it is interrupted, either nothing has changed, or the next verb completes it.

        Raises
        ------
        ArchiveError
            A stage runs; files have uncommitted changes or were changed since the plan was made; or something in the
            archive could be executed.
        """
        layout = Layout(self.root)
        enter_archive(layout, upgrades=True)
        set_table_diff(layout)
        if not self:
            return ""
        git.check_identity(layout.root)
        refuse_uncommitted(layout, self.texts.__contains__)
        if any(_read(layout, path) != content for path, content in self._seen.items()):
            raise ArchiveError(
                "changed-meanwhile",
                f"files of {layout.root} have changed since the upgrade was planned",
                remedy="give the same command again",
            )
        return commit_changes(layout, _message(self), lambda made: _write(made, self.texts))


def plan_upgrade(
    layout: Layout, *, software: bool = False, missions: Collection[str] = (), keep: Collection[str] = ()
) -> UpgradePlan:
    """Compare an archive's files with what this daxa would write.

    Parameters
    ----------
    layout
        The archive.
    software
        Also lock the steps to the software that is installed.
    missions
        Missions whose software to lock; all by default.
    keep
        Files that stay as they are.

    Raises
    ------
    ArchiveError
        The owner of the archive and daxa changed the same lines: all of them are named.
    ConfigError
        A file cannot be read, or a newer daxa wrote the archive.
    CriteriaError
        `keep` names a file that is not upgraded.
    """
    config = load_config(layout)
    if config.template > TEMPLATE:
        raise ConfigError(
            "newer-template",
            f"{layout.root} has files of version {config.template} of the templates, and this daxa knows {TEMPLATE}",
            remedy="update daxa",
        )
    kept = {Path(path).as_posix() for path in keep}
    known = (*_MERGED, *(f"params/{mission}.toml" for mission in config.missions))
    for path in sorted(kept - {*known}):
        raise CriteriaError(
            "keep", f"{path} is not upgraded{did_you_mean(path, known)}", remedy=f"choose from {', '.join(known)}"
        )
    seen = {path: _read(layout, path) for path in (*known, "software.toml", "dvc.yaml", "dvc.lock")}
    new, conflicts = _merged_texts(layout, config, seen, kept)
    if conflicts:
        raise _conflict_error(layout, conflicts)
    new |= {path: text for path, text in _params_texts(layout, config, seen) if path not in kept}
    new |= _pipeline_texts(layout, config, seen)
    other = tuple(_other_software(layout, config))
    changed = tuple(one for one in other if software and (one.mission in missions or not missions))
    if changed:
        new["software.toml"] = _with_software((seen["software.toml"] or b"").decode(), changed)
    texts = {path: ((seen[path] or b"").decode(), text) for path, text in new.items() if text.encode() != seen[path]}
    waiting = tuple(one for one in other if one not in changed)
    return UpgradePlan(layout.root, (config.template, TEMPLATE), texts, changed, waiting, seen)


def _read(layout: Layout, path: str) -> bytes | None:
    try:
        return read_plain(layout.root / path)
    except OSError:
        return None


def _merged_texts(
    layout: Layout, config: ArchiveConfig, seen: Mapping[str, bytes | None], kept: Collection[str]
) -> tuple[dict[str, str], dict[str, str]]:
    """Path to new text of the files that people may edit; path to the conflict of those that cannot be merged."""
    answers = [MissionAnswers(find_mission(name), criteria, ()) for name, criteria in config.missions.items()]
    versions = [rendered_with(config, answers, template=version) for version in range(1, TEMPLATE + 1)]
    new, conflicts = {}, {}
    for path in _MERGED:
        ours, theirs = seen[path], versions[-1][path]
        if ours is None or path in kept:
            continue  # Its owner has removed it.
        text = ours.decode("utf-8", "replace")
        base = versions[config.template - 1][path] if config.template else _nearest(text, versions, path)
        if text.encode() != ours or base == theirs:
            continue  # It is not a text that daxa wrote, or the templates of both versions are equal.
        joined, places = git.merge_texts(layout.root, base.encode(), ours, theirs.encode())
        if places:
            conflicts[path] = _places(joined.decode())
        elif wrong := _unsound(path, text, joined):
            conflicts[path] = wrong
        else:
            new[path] = joined.decode()
    return new, conflicts


def _nearest(text: str, versions: Sequence[Mapping[str, str]], path: str) -> str:
    """The version of an earlier daxa that is most similar to a file; the latest of equals."""
    return max(
        reversed([version[path] for version in versions]),
        key=lambda one: difflib.SequenceMatcher(None, one.splitlines(), text.splitlines(), autojunk=False).ratio(),
    )


def _unsound(path: str, before: str, joined: bytes) -> str:
    """Why a merged text cannot be used, '' if it can: values must not change, and nothing may be executed."""
    if path == "daxa.toml":
        try:
            values = {**tomllib.loads(joined.decode()), "template": TEMPLATE}
        except ValueError:
            return "the merged file is not valid TOML"
        if values != {**tomllib.loads(before), "template": TEMPLATE}:
            return "the merged file would hold other values"
    if path == ".gitattributes" and (harm := next(harmful_attributes(joined), "")):
        return f"the merged file would change how Git treats files ({harm})"
    return ""


def _places(marked: str) -> str:
    """A description of where both sides changed the same lines."""
    lines = []
    for found in list(_MARKS.finditer(marked))[:_SHOWN]:
        line = marked[: found.start()].count("\n") + 1
        ours, theirs = (found[side].strip().split("\n")[0][:60] or "nothing" for side in ("ours", "theirs"))
        lines.append(f"near line {line} yours is `{ours}`, daxa's is `{theirs}`")
    return "; ".join(lines)


def _conflict_error(layout: Layout, conflicts: Mapping[str, str]) -> ArchiveError:
    options = " ".join(f"--keep {path}" for path in conflicts)
    named = "; ".join(f"{path}: {why}" for path, why in conflicts.items())
    return ArchiveError(
        "upgrade-conflict",
        f"you and daxa have changed the same lines of files in {layout.root}, so nothing was upgraded: {named}",
        remedy=f"`daxa upgrade {options}` leaves these files as they are; or undo your change there, commit, upgrade, "
        "and make it again",
    )


def _params_texts(layout: Layout, config: ArchiveConfig, seen: Mapping[str, bytes | None]) -> Iterator[tuple[str, str]]:
    """Params files with every parameter, new ones as comments."""
    steps = steps_of(config)
    for mission in config.missions:
        path = f"params/{mission}.toml"
        text = (seen[path] or b"").decode()
        tables = load_parameters(layout, mission, config.steps)
        for step in steps:
            present = _keys_of(text, step.name)
            lines = [
                line if line.lstrip().startswith("#") else f"# {line}"
                for line in parameter_lines(find_mission(mission), step, steps, tables)
                if (found := _KEY.match(line)) and found[1] not in {*present, *tables[step.name]}
            ]
            text = with_remarks(text, step.name, lines)
        yield path, text


def _keys_of(text: str, step: str) -> set[str]:
    """Keys in a step's table, in use or as comments."""
    found, inside = set(), False
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            inside = line.strip().startswith((f"[{step}]", f"[{step}.obs."))
        elif inside and (key := _KEY.match(line)):
            found.add(key[1])
    return found


def _pipeline_texts(layout: Layout, config: ArchiveConfig, seen: Mapping[str, bytes | None]) -> dict[str, str]:
    """The current pipeline, and a lock in which commands that are only spelt differently are replaced."""
    before, after = (seen["dvc.yaml"] or b"").decode(), rendered_pipeline(config).decode()
    if before == after:
        return {}
    lock = seen["dvc.lock"]
    return {"dvc.yaml": after} | ({"dvc.lock": with_commands(lock.decode(), before, after)} if lock else {})


def _other_software(layout: Layout, config: ArchiveConfig) -> Iterator[OtherSoftware]:
    steps, locks = steps_of(config), load_software(layout)
    for mission in config.missions:
        tables = load_parameters(layout, mission, config.steps)
        for step in steps:
            here = provided_software(mission, tables, step, steps)
            locked = locks.get((mission, step.name), here)
            if here.version and locked != here:
                yield OtherSoftware(mission, step.name, locked, here)


def _with_software(text: str, changed: Sequence[OtherSoftware]) -> str:
    """The text of ``software.toml`` with other versions; comments and everything else are kept."""
    import tomlkit

    document = tomlkit.parse(text)
    for one in changed:
        table = document[one.mission][one.step]
        table["backend"], table["version"] = one.installed.backend, one.installed.version
        if one.installed.backend != one.locked.backend:
            table.pop("calibration", None)
    return tomlkit.dumps(document)


def _write(made: Layout, texts: Mapping[str, tuple[str, str]]) -> None:
    for path, (_, text) in texts.items():
        target = made.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())


def _message(plan: UpgradePlan) -> str:
    title = "Upgrade the files of the archive" if set(plan.texts) - {"software.toml"} else "Upgrade the software"
    lines = [f"{one.mission} {one.step}: {one.locked.version} -> {one.installed.version}" for one in plan.software]
    return "\n".join([title, "", *sorted(plan.texts), *(["", *lines] if lines else [])])
