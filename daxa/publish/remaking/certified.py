"""Read somebody's certificate, and check that it is about this release and contradicts nothing.

Every verdict is derived again from the digests in the certificate and those in the release's own
ledgers: mere claims are not trusted.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from daxa.errors import DataError
from daxa.publish.remaking.certificate import PREDICATE, STATEMENT, VERDICTS, Recorded, worst
from daxa.run.hashes import MANIFEST
from daxa.run.task import LedgerRow

__all__ = ["CERTIFICATE_LIMIT", "check_statement", "read_statement"]

CERTIFICATE_LIMIT = 256 << 20
"""Most bytes of a certificate: 100,000 observations with ten files each."""

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
_MOST_DIFFERENCES = 10_000
_LONGEST = 1000
_BY_DIGEST = VERDICTS[:2]


def read_statement(content: bytes, source: Path | str) -> dict[str, Any]:
    """The content of a certificate, whose form is checked.

    Raises
    ------
    DataError
        It is not a certificate of a recreation.
    """
    try:
        value = json.loads(content) if len(content) <= CERTIFICATE_LIMIT else None
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict) or (value.get("_type"), value.get("predicateType")) != (STATEMENT, PREDICATE):
        raise _wrong(source, "it is not a statement of in-toto about a recreation by daxa")
    try:
        _check_form(value)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError):
        raise _wrong(source, "its fields are not those of such a statement") from None
    return value


def _check_form(value: Mapping[str, Any]) -> None:
    """Raise `ValueError` or the like if a field is missing, of another type, or not printable."""
    predicate = value["predicate"]
    texts = [predicate["archive"], predicate["tag"], predicate["by"], *predicate["contradictions"]]
    texts += [*predicate["environment"]["differences"], *predicate["software"], *predicate["software"].values()]
    if len(texts) > _MOST_DIFFERENCES or not _WHEN.fullmatch(predicate["when"]):
        raise ValueError
    for one in value["subject"]:
        texts += [one["name"], *one["digest"].values()]
    for observation in predicate["observations"]:
        texts += [observation["mission"], observation["obs_id"], observation["verdict"], *observation["causes"]]
        for file in observation["files"]:
            texts += [file["step"], file["path"], file["verdict"], file.get("how", "")]
            if not all(_DIGEST.fullmatch(file.get(name, "0" * 64)) for name in ("sha256", "science")):
                raise ValueError
    if not all(isinstance(text, str) and len(text) <= _LONGEST and text.isprintable() for text in texts):
        raise ValueError
    numbers = [predicate["scope"][name] for name in ("sample", "seed", "observations", "of")]
    numbers += predicate["counts"].values()
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError


def check_statement(value: Mapping[str, Any], recorded: Recorded, source: Path | str) -> None:
    """Refuse a certificate that is of another release, or that contradicts this one or itself.

    Parameters
    ----------
    value
        As `read_statement` gives it.
    recorded
        The release.
    source
        For messages.

    Raises
    ------
    DataError
        What is wrong with it.
    """
    tag, subject = recorded.tag, value["subject"][0] if value["subject"] else {}
    if subject.get("digest") != {"gitCommit": tag.commit, "gitTag": tag.digest}:
        raise _wrong(source, f"it is not of {tag.name} as it is here (commit {tag.commit[:10]})")
    if what := next(_contradictions(value, recorded), ""):
        raise _wrong(source, what)


def _contradictions(value: Mapping[str, Any], recorded: Recorded) -> Iterator[str]:
    predicate = value["predicate"]
    subjects = {one["name"]: one["digest"] for one in value["subject"][1:]}
    verdicts, named, seen = [], set(), set()
    everything = {(mission, obs_id) for mission, chosen in recorded.chosen.items() for obs_id in chosen}
    for observation in predicate["observations"]:
        mission, obs_id = observation["mission"], observation["obs_id"]
        ledgers = recorded.ledgers.get(mission, {})
        if (mission, obs_id) not in everything or (mission, obs_id) in seen:
            yield f"it names an observation that the release does not have, or names it twice: {mission} {obs_id}"
        seen.add((mission, obs_id))
        rows = {step: ledger.get(obs_id) for step, ledger in ledgers.items()}
        for file in observation["files"]:
            name = f"data/{mission}/{file['step']}/{obs_id}/{file['path']}"
            named.add(name)
            if what := _contradicts(file, rows.get(file["step"]), subjects.get(name)):
                yield f"{what}: {name}"
        wanted = {f"data/{mission}/{step}/{obs_id}/{path}" for step, row in rows.items() for path in _paths(row)}
        if missing := sorted(wanted - named):
            yield f"it does not mention {missing[0]}"
        if any(rows[step] is None or not _paths(rows[step]) for step in rows) and len(observation["files"]) < len(rows):
            yield f"it does not mention a step of {mission} {obs_id}"
        found = [file["verdict"] for file in observation["files"]]
        if worst(found) != observation["verdict"]:
            yield f"its verdict on {mission} {obs_id} is not that of its files"
        verdicts += found
    scope = predicate["scope"]
    if (scope["of"], scope["observations"]) != (len(everything), len(seen)) or (
        not scope["sample"] and seen != everything
    ):
        yield "it does not say how many of the observations it covers"
    if list(recorded.contradictions) != predicate["contradictions"]:
        yield "it does not report that the files of the release contradict each other"
    overall = worst([*verdicts, *(("different",) if recorded.contradictions else ())])
    if overall != predicate["verdict"] or dict(Counter(verdicts)) != predicate["counts"]:
        yield "its verdict is not that of its observations"


def _paths(row: LedgerRow | None) -> Sequence[str]:
    return [file.path for file in row.files if file.path != MANIFEST] if row else ()


def _contradicts(file: Mapping[str, Any], row: LedgerRow | None, subject: object) -> str:
    """What is wrong with the verdict on one file, or ''."""
    verdict = file["verdict"]
    if verdict not in VERDICTS:
        return "it gives an unknown verdict"
    if not file["path"]:
        done = row is not None and row.outcome == "done"
        return "it calls a task identical although it made files" if verdict in _BY_DIGEST and done else ""
    known = next((one for one in row.files if one.path == file["path"]), None) if row else None
    if known is None:
        return "it calls a file identical although the release does not have it" if verdict in _BY_DIGEST else ""
    if subject != {"sha256": known.sha256}:
        return "it was not compared with the file of the release"
    same_bytes = file.get("sha256") == known.sha256
    same_science = same_bytes or file.get("science") == known.science
    derived = VERDICTS[0] if same_bytes else VERDICTS[1] if same_science else ""
    if (derived or verdict) != verdict or (verdict in _BY_DIGEST and not derived):
        return "its verdict does not follow from its digests"
    return ""


def _wrong(source: Path | str, what: str) -> DataError:
    return DataError(
        "certificate",
        f"the certificate {source} cannot be accepted: {what}",
        remedy="ask its author for the file that `daxa recreate` wrote, or make your own",
    )
