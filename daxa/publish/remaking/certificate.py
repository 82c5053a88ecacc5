"""The result of making a release again: a verdict per file, and a certificate that others can check.

A certificate is an in-toto statement (https://in-toto.io/Statement/v1), as rebuilders of packages write them.
It names the release and its files by digest and gives a verdict on each.  It has no signature: what
can be checked is that it is about this release and contradicts neither the ledgers nor itself; whether its
author did what it says can only be found out by doing it again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from daxa.archive.config import load_config, steps_of
from daxa.archive.git_objects import Tag, tag_object
from daxa.archive.layout import Layout
from daxa.naming import some
from daxa.publish.consistency import contradiction_lines
from daxa.publish.state import read_mission, records_at
from daxa.run.hashes import MANIFEST
from daxa.run.task import LedgerRow, ProductFile

__all__ = [
    "NOT_MADE",
    "PREDICATE",
    "STATEMENT",
    "VERDICTS",
    "FileVerdict",
    "Recorded",
    "RemadeVerdict",
    "Scope",
    "causes_of",
    "judge_task",
    "make_statement",
    "recorded_release",
    "statement_bytes",
    "worst",
]

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:x-daxa:recreation:1"

RemadeVerdict = Literal[
    "identical bytes",
    "identical science",
    "equal within counting noise",
    "different",
    "redelivered",
    "no longer available",
]

VERDICTS: tuple[RemadeVerdict, ...] = get_args(RemadeVerdict)
"""From the best to the worst; the verdict on an observation is that on the worst of its files."""

NOT_MADE = "not made again, since its input is not the same"
"""Said of products that depend on fetched files which are not those of the release."""

_NAMED = 5


@dataclass(frozen=True)
class FileVerdict:
    """The verdict on one file of a release, or, with the path '', on a task that made no files.

    Parameters
    ----------
    mission, step, obs_id, path
        Which.
    verdict
        One of `VERDICTS`.
    recorded, found
        The file in the ledger of the release, and the one made now; None if there is none.
    how
        How they differ, or why there is no file.
    """

    mission: str
    step: str
    obs_id: str
    path: str
    verdict: RemadeVerdict
    recorded: ProductFile | None = None
    found: ProductFile | None = None
    how: str = ""


@dataclass(frozen=True)
class Recorded:
    """A release, as it describes itself.

    Parameters
    ----------
    archive
        Its name.
    tag
        The tag as an object.
    fetching
        Steps that fetch.
    ledgers
        Mission to step to ObsID to row.
    chosen
        Mission to its ObsIDs.
    contradictions
        Where its own files contradict each other: it was edited after it was released.
    """

    archive: str
    tag: Tag
    fetching: frozenset[str]
    ledgers: Mapping[str, Mapping[str, Mapping[str, LedgerRow]]]
    chosen: Mapping[str, Sequence[str]]
    contradictions: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scope:
    """Which observations were made again.

    Parameters
    ----------
    chosen
        Mission to ObsIDs.
    sample, seed
        How many were drawn at random, and with which seed; 0 if all were made.
    total
        How many the release has.
    """

    chosen: Mapping[str, Sequence[str]]
    sample: int
    seed: int
    total: int


def recorded_release(layout: Layout, tag: str) -> Recorded:
    """Read a release, from its commit only.

    Raises
    ------
    ArchiveError, ConfigError, DataError
        There is no such release, or its files cannot be used.
    """
    found = tag_object(layout.root, tag)
    with records_at(layout, found.commit) as records:
        config = load_config(records)
        steps = steps_of(config)
        states = {name: read_mission(records, name, [step.name for step in steps]) for name in config.missions}
        contradictions = contradiction_lines(records, config)
    return Recorded(
        config.name,
        found,
        frozenset(step.name for step in steps if step.fetches),
        {name: state.ledgers for name, state in states.items()},
        {name: sorted(state.observations) for name, state in states.items()},
        (*([f"the tag is called {found.named}"] if found.named != found.name else ()), *contradictions),
    )


def judge_task(
    key: tuple[str, str, str],
    recorded: LedgerRow | None,
    made: LedgerRow | None,
    *,
    fetches: bool,
    upstream: RemadeVerdict | None = None,
) -> list[FileVerdict]:
    """Compare what a release records of a task with its result now.

    The content of a fetched file without its packing has a digest of its own: the science digest in the ledger of
    the fetch step, which `daxa.run.equality.file_digests` takes of the unpacked file.  A copy that the telescope's
    archive has compressed again is therefore identical in science.  A file that is not FITS has no such digest.

    Parameters
    ----------
    key
        Mission, step and ObsID.
    recorded, made
        The rows; None if there is none.
    fetches
        Whether the step fetches.
    upstream
        Why the task was not repeated: the verdict on the fetched files that it needs.

    Examples
    --------
    >>> file = ProductFile("image.fits", 12, "a" * 64, "b" * 64)
    >>> row = LedgerRow("0404910601", "done", files=(file,))
    >>> [one.verdict for one in judge_task(("xmm", "images", "0404910601"), row, row, fetches=False)]
    ['identical bytes']
    """
    if upstream:
        files = recorded.files if recorded else ()
        return [
            FileVerdict(*key, file.path, upstream, file, None, NOT_MADE) for file in files if file.path != MANIFEST
        ] or [FileVerdict(*key, "", upstream, how=NOT_MADE)]
    if recorded is None or made is None:
        text = "has no record in the release" if recorded is None else "was not made again"
        return [FileVerdict(*key, "", "identical bytes" if recorded is made else "different", how=text)]
    if recorded.outcome == made.outcome == "done":
        return _judge_files(key, recorded, made, fetches=fetches)
    if (recorded.outcome, recorded.reason) == (made.outcome, made.reason):
        return [FileVerdict(*key, "", "identical bytes", how=f"{made.outcome} as before: {made.reason}")]
    if made.outcome == "done":
        text = f"was {recorded.outcome} ({recorded.reason}), and is done now"
        return [FileVerdict(*key, "", "redelivered" if fetches else "different", how=text)]
    text = f"{made.outcome}: {made.reason}"
    verdict: RemadeVerdict = "no longer available" if fetches else "different"
    files = tuple(file for file in recorded.files if file.path != MANIFEST)
    return [FileVerdict(*key, file.path, verdict, file, None, text) for file in files] or [
        FileVerdict(*key, "", verdict, how=text)
    ]


def _judge_files(
    key: tuple[str, str, str], recorded: LedgerRow, made: LedgerRow, *, fetches: bool
) -> list[FileVerdict]:
    before, after = ({file.path: file for file in row.files} for row in (recorded, made))
    found: list[FileVerdict] = []
    verdict: RemadeVerdict
    for path in sorted({*before, *after} - {MANIFEST}):
        one, two = before.get(path), after.get(path)
        if one is None:
            verdict, how = "redelivered" if fetches else "different", "new: the release does not have it"
        elif two is None:
            verdict = "no longer available" if fetches else "different"
            how = "the release has it, and it is not there now"
        elif one.sha256 == two.sha256:
            verdict, how = "identical bytes", ""
        elif one.science == two.science:
            verdict, how = "identical science", "packed differently, or other volatile cards"
        else:
            verdict = "redelivered" if fetches else "different"
            how = f"{one.size} -> {two.size} bytes" if one.size != two.size else f"other content in {one.size} bytes"
            if path.endswith("-measures.json") and (changed := _measured(recorded, made)):
                how = changed
        found.append(FileVerdict(*key, path, verdict, one, two, how))
    manifests = before.get(MANIFEST), after.get(MANIFEST)
    same = all(one.verdict == "identical bytes" for one in found) and recorded.parts == made.parts
    if same and manifests[0] != manifests[1]:
        found.append(FileVerdict(*key, MANIFEST, "different", *manifests, "it does not describe the files beside it"))
    return found


def _measured(recorded: LedgerRow, made: LedgerRow) -> str:
    """Measurements that differ."""
    before, after = (dict(_flat(json.loads(row.measures or "{}"))) for row in (recorded, made))
    names = [name for name in before if name in after and before[name] != after[name]]
    return some([f"{name} {before[name]} -> {after[name]}" for name in names], _NAMED)


def _flat(value: object, name: str = "") -> Iterable[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _flat(item, f"{name}[{at}]")
    else:
        yield name, value


def causes_of(recorded: LedgerRow | None, made: LedgerRow | None) -> list[str]:
    """Which parts of a task's fingerprint have changed since the release."""
    if recorded is None or made is None or not recorded.fingerprint or recorded.fingerprint == made.fingerprint:
        return []
    before, after = json.loads(recorded.parts), json.loads(made.parts)
    return [f"{name} changed" for name in sorted({*before, *after}) if before.get(name) != after.get(name)]


def worst(verdicts: Iterable[RemadeVerdict]) -> RemadeVerdict:
    """The worst of some verdicts; of none, the best.

    Examples
    --------
    >>> worst(["identical science", "identical bytes"])
    'identical science'
    """
    return max(verdicts, key=VERDICTS.index, default=VERDICTS[0])


def make_statement(
    recorded: Recorded,
    found: Sequence[FileVerdict],
    causes: Mapping[tuple[str, str], Sequence[str]],
    scope: Scope,
    *,
    environments: tuple[Mapping[str, Any] | None, Mapping[str, Any]],
    differences: Sequence[str],
    software: Mapping[str, str],
    by: str,
    when: str,
) -> dict[str, Any]:
    """The certificate as values.

    Parameters
    ----------
    recorded
        The release.
    found
        Verdicts, in their order.
    causes
        Mission and ObsID to what has changed.
    scope
        Which observations were made again.
    environments, differences
        Packages and platform of the release and of this machine; how they and the calibration differ.
    software
        Mission and step to the backend and version that did it, on both sides.
    by, when
        Who made it, and when: UTC, ISO 8601 to the second.
    """
    tag = recorded.tag
    of: dict[tuple[str, str], list[FileVerdict]] = {}
    for one in found:
        of.setdefault((one.mission, one.obs_id), []).append(one)
    overall = worst([*(one.verdict for one in found), *(("different",) if recorded.contradictions else ())])
    subject: list[dict[str, Any]] = [
        {"name": f"{recorded.archive} {tag.name}", "digest": {"gitCommit": tag.commit, "gitTag": tag.digest}}
    ]
    subject += [{"name": _name(one), "digest": {"sha256": one.recorded.sha256}} for one in found if one.recorded]
    predicate = {
        "archive": recorded.archive,
        "tag": tag.name,
        "verdict": overall,
        "by": by,
        "when": when,
        "scope": {
            "sample": scope.sample,
            "seed": scope.seed,
            "observations": sum(map(len, scope.chosen.values())),
            "of": scope.total,
        },
        "software": dict(software),
        "environment": {"release": environments[0], "here": environments[1], "differences": list(differences)},
        "contradictions": list(recorded.contradictions),
        "counts": dict(Counter(one.verdict for one in found)),
        "observations": [
            {
                "mission": mission,
                "obs_id": obs_id,
                "verdict": worst(one.verdict for one in files),
                "causes": list(causes.get((mission, obs_id), ())),
                "files": [_file(one) for one in files],
            }
            for (mission, obs_id), files in of.items()
        ],
    }
    return {"_type": STATEMENT, "subject": subject, "predicateType": PREDICATE, "predicate": predicate}


def _name(one: FileVerdict) -> str:
    return f"data/{one.mission}/{one.step}/{one.obs_id}/{one.path}"


def _file(one: FileVerdict) -> dict[str, Any]:
    value: dict[str, Any] = {"step": one.step, "path": one.path, "verdict": one.verdict}
    if one.found:
        value |= {"size": one.found.size, "sha256": one.found.sha256, "science": one.found.science}
    return value | ({"how": one.how} if one.how else {})


def statement_bytes(statement: Mapping[str, Any]) -> bytes:
    """A certificate as a file: JSON with sorted keys."""
    return (json.dumps(statement, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()
