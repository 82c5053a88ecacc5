"""What differs between two versions, for people: lines for a terminal, and a page without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from daxa.naming import number_of
from daxa.publish.comparing.causes import cause_words
from daxa.publish.comparing.contents_here import FileChange
from daxa.publish.comparing.diff import CHANGES, ArchiveDiff, ObservationDiff
from daxa.publish.measures import Measured
from daxa.text import plain

__all__ = ["diff_lines", "diff_page", "measurement_words", "observation_lines"]

_FILES_SHOWN = 10
_DIFFERENCES_SHOWN = 3
_MARKS = {"added": "+", "removed": "-", "reprocessed": "~"}
_STYLE = (
    "body{font:15px sans-serif;max-width:72em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;margin:1em 0}td,th{text-align:left;padding:.25em .8em;border-bottom:1px solid #ccc;"
    "vertical-align:top}code{font-size:90%}.added{color:#06622f}.removed{color:#a11}"
    "summary{cursor:pointer}ul{margin:.3em 0;padding-left:1.2em}li{margin:.2em 0;overflow-wrap:anywhere}"
)


def diff_lines(diff: ArchiveDiff, most: int) -> Iterator[str]:
    """All differences, of at most a number of observations."""
    if not diff:
        yield f"no observation differs between {diff.before} and {diff.now}"
        return
    yield f"{diff.before} -> {diff.now}"
    for mission, counts in diff.counts.items():
        yield f"{mission}: {', '.join(f'{counts[change]} {change}' for change in CHANGES if counts[change])}"
    for one in diff.observations[:most]:
        yield from observation_lines(one)
    if len(diff.observations) > most:
        yield f"... and {len(diff.observations) - most} more observations; --json lists all"
    if diff.not_compared:
        yield (
            f"the content of {number_of(diff.not_compared, 'differing file')} was not compared: "
            "--files allows more, `daxa pull` gets what is not on this machine"
        )


def observation_lines(one: ObservationDiff, *, files: bool = True) -> Iterator[str]:
    """One observation: what happened, why, and with what effect."""
    words = [cause_words(cause) for cause in one.causes if cause.kind not in ("new", "removed") or cause.step]
    yield f"{_MARKS[one.change]} {one.mission} {one.obs_id} {one.change}{': ' if words else ''}{'; '.join(words)}"
    if effect := measurement_words(one.before, one.now):
        yield f"    {effect}"
    if not files:
        return
    if one.change == "reprocessed" and not one.files:
        yield "    no file differs"
    yield from (f"    {line}" for line in _file_lines(one.files))


def measurement_words(before: Measured, now: Measured) -> str:
    """What was measured, with the old and the new value if both are known.

    Examples
    --------
    >>> measurement_words(Measured(12345.6, 0.1, 400, 12), Measured(11900.0, 0.15, 398, 12))
    'clean exposure 12.35 -> 11.9 ks, lost to flares 10 -> 15 %, events 400 -> 398, sources 12'
    >>> measurement_words(Measured(), Measured(sources=3))
    'sources 3'
    """
    rows = (
        ("clean exposure", "exposure", 1e-3, "{:.4g}", " ks"),
        ("lost to flares", "lost", 100.0, "{:.3g}", " %"),
        ("events", "counts", 1, "{:d}", ""),
        ("sources", "sources", 1, "{:d}", ""),
    )
    found = []
    for words, name, scale, form, unit in rows:
        values = [getattr(side, name) for side in (before, now)]
        texts = dict.fromkeys(form.format(value * scale) for value in values if value is not None)
        if texts:
            found.append(f"{words} {' -> '.join(texts)}{unit}")
    return ", ".join(found)


def _file_lines(files: tuple[FileChange, ...]) -> Iterator[str]:
    for file in files[:_FILES_SHOWN]:
        yield f"{file.step}/{file.path}: {_change_text(file)}"
    if len(files) > _FILES_SHOWN:
        yield f"and {number_of(len(files) - _FILES_SHOWN, 'more file')}"


def _change_text(file: FileChange) -> str:
    if file.what in ("added", "removed"):
        return file.what
    if file.what == "same science":
        return "identical science: packed differently, or other volatile cards"
    if file.verdict:
        more = len(file.differences) - _DIFFERENCES_SHOWN
        shown = [
            *file.differences[:_DIFFERENCES_SHOWN],
            *([f"and {number_of(more, 'more difference')}"] if more > 0 else []),
        ]
        noise = "equal within counting noise: " if file.verdict.endswith("noise") else ""
        return noise + ("; ".join(shown) or file.verdict)
    sizes = [side[0] for side in (file.before, file.now) if side]
    return f"{sizes[0]} -> {sizes[1]} bytes" if sizes[0] != sizes[1] else f"other content in {sizes[0]} bytes"


def diff_page(diff: ArchiveDiff) -> str:
    """All differences, as an HTML page that needs nothing else."""
    title = _safe(f"{diff.before} to {diff.now}")
    counts = "".join(
        f"<tr><td>{_safe(mission)}</td>{''.join(f'<td>{found[change]}</td>' for change in CHANGES)}</tr>"
        for mission, found in diff.counts.items()
    )
    heads = "".join(f"<th>{name}</th>" for name in ("mission", *CHANGES))
    rows = "".join(_row(one) for one in diff.observations)
    table = (
        f"<table><tr>{heads}</tr>{counts}</table>\n<table><tr><th>mission</th><th>ObsID</th><th>change</th><th>cause</th>"
        f"<th>effect</th></tr>{rows}</table>"
    )
    left = f"<p>Not compared by content: {number_of(diff.not_compared, 'file')}.</p>" if diff.not_compared else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        f"{table if diff else '<p>No observation differs.</p>'}\n{left}</body></html>\n"
    )


def _row(one: ObservationDiff) -> str:
    causes = "<br>".join(_safe(cause_words(cause)) for cause in one.causes)
    files = "".join(
        f"<li><code>{_safe(file.step)}/{_safe(file.path)}</code>: {_safe(_change_text(file))}</li>"
        for file in one.files
    )
    if files:  # Folded, so that a page of many observations can be looked through.
        folded = f"<details><summary>{number_of(len(one.files), 'file')}</summary><ul>{files}</ul></details>"
        files = f"<tr><td></td><td colspan=4>{folded}</td></tr>\n"
    effect = measurement_words(one.before, one.now).replace(", ", "\n")
    return (
        f"<tr><td>{_safe(one.mission)}</td><td><code>{_safe(one.obs_id)}</code></td>"
        f"<td class={one.change}>{one.change}</td><td>{causes}</td>"
        f"<td>{'<br>'.join(map(_safe, effect.splitlines()))}</td></tr>\n{files}"
    )


def _safe(text: str) -> str:
    return escape(plain(text)).replace("-&gt;", "&rarr;")
