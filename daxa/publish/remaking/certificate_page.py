"""A certificate for people: text for a terminal, and a page without scripts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from daxa.naming import number_of
from daxa.publish.remaking.certificate import NOT_MADE, VERDICTS
from daxa.text import plain

__all__ = ["certificate_page", "certificate_text", "summary_line"]

_SHOWN = 12
_SIDES = 40
_STYLE = (
    "body{font:15px sans-serif;max-width:64em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{text-align:left;padding:.25em .8em;border-bottom:1px solid #ccc;"
    "vertical-align:top}code{font-size:90%}.same{color:#06622f}.other{color:#a11}"
)


def summary_line(statement: Mapping[str, Any]) -> str:
    """A certificate in one line."""
    predicate = statement["predicate"]
    scope = predicate["scope"]
    part = f"{scope['observations']} of {number_of(scope['of'], 'observation')}"
    drawn = f", drawn with seed {scope['seed']}" if scope["sample"] else ""
    return f"{predicate['archive']} {predicate['tag']}: {predicate['verdict']} ({part}{drawn})"


def certificate_text(statement: Mapping[str, Any]) -> str:
    """A certificate as text."""
    predicate = statement["predicate"]
    release = statement["subject"][0]["digest"]
    lines = [
        summary_line(statement),
        "",
        f"commit {release['gitCommit']}, tag {release['gitTag']}",
        f"made again by {predicate['by'] or 'somebody'} at {predicate['when']}",
        "",
        "Software, platform and calibration",
        *(f"  {line}" for line in _sides(predicate)),
    ]
    if predicate["contradictions"]:
        lines += ["", "The files of the release contradict each other: it was edited after it was released"]
        lines += [f"  {line}" for line in predicate["contradictions"]]
    lines += ["", "Files", *(f"  {verdict}: {count}" for verdict, count in _counts(predicate))]
    lines += ["", "Observations"]
    for one in predicate["observations"]:
        causes = f" ({', '.join(one['causes'])})" if one["causes"] else ""
        lines.append(f"  {one['mission']} {one['obs_id']}: {one['verdict']}{causes}")
        lines += [f"    {line}" for line in _files(one)]
    return plain("\n".join(lines)) + "\n"


def _sides(predicate: Mapping[str, Any]) -> list[str]:
    differences = predicate["environment"]["differences"]
    if not differences:
        return ["the same as those of the release"]
    more = len(differences) - _SIDES
    return [*differences[:_SIDES], *([f"and {more} more"] if more > 0 else [])]


def _counts(predicate: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for verdict in VERDICTS:
        if verdict in predicate["counts"]:
            yield verdict, predicate["counts"][verdict]


def _files(observation: Mapping[str, Any]) -> list[str]:
    """The files of an observation that are not identical in bytes; those that only follow from others are counted."""
    following = sum(file.get("how") == NOT_MADE for file in observation["files"])
    found = [
        f"{file['verdict']}: {file['step']}{'/' if file['path'] else ''}{file['path']}"
        + (f" ({file['how']})" if file.get("how") else "")
        for file in observation["files"]
        if file["verdict"] != VERDICTS[0] and file.get("how") != NOT_MADE
    ]
    more = len(found) - _SHOWN
    lines = [*found[:_SHOWN], *([f"and {number_of(more, 'more file')}"] if more > 0 else [])]
    return [*lines, *([f"{number_of(following, 'product')} {NOT_MADE}"] if following else [])]


def certificate_page(statement: Mapping[str, Any]) -> str:
    """A certificate as an HTML page that needs nothing else."""
    predicate = statement["predicate"]
    release = statement["subject"][0]["digest"]
    rows = "".join(
        f"<tr><td>{_safe(one['mission'])}</td><td><code>{_safe(one['obs_id'])}</code></td>"
        f"<td class={_kind(one['verdict'])}>{_safe(one['verdict'])}</td>"
        f"<td>{'<br>'.join(_safe(line) for line in [*one['causes'], *_files(one)])}</td></tr>"
        for one in predicate["observations"]
    )
    counts = "".join(f"<tr><td>{_safe(verdict)}</td><td>{count}</td></tr>" for verdict, count in _counts(predicate))
    sides = "".join(f"<li>{_safe(line)}</li>" for line in _sides(predicate))
    wrong = "".join(f"<li>{_safe(line)}</li>" for line in predicate["contradictions"])
    title = _safe(summary_line(statement))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1 class={_kind(predicate['verdict'])}>{title}</h1>\n"
        f"<p>Commit <code>{_safe(release['gitCommit'])}</code>, tag <code>{_safe(release['gitTag'])}</code>; made "
        f"again by {_safe(predicate['by'] or 'somebody')} at {_safe(predicate['when'])}.</p>\n"
        f"<h2>Software, platform and calibration</h2><ul>{sides}</ul>\n"
        + (f"<h2>Contradictions in the release</h2><ul>{wrong}</ul>\n" if wrong else "")
        + f"<h2>Files</h2><table>{counts}</table>\n<h2>Observations</h2><table><tr><th>mission</th><th>ObsID</th>"
        f"<th>verdict</th><th></th></tr>{rows}</table></body></html>\n"
    )


def _kind(verdict: str) -> str:
    return "same" if verdict in VERDICTS[:2] else "other"


def _safe(text: str) -> str:
    return escape(plain(text))
