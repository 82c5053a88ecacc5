"""What a release changed of each observation, in numbers and from ledgers alone: clean exposure, events, sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from daxa.publish.comparing.causes import Cause, Side
from daxa.publish.measures import UNMEASURED, Measured, total
from daxa.run.task import LedgerRow

__all__ = ["effect_lines", "effect_words"]

_NAMED = 20
"""Observations that a message names; a release of hundreds has its effects in `daxa diff`."""


def effect_lines(before: Side, now: Side, causes: Iterable[Cause]) -> list[str]:
    """One line for each observation whose measured numbers have changed, of the first 20.

    Parameters
    ----------
    before, now
        The two states.
    causes
        Why observations differ (`daxa.publish.comparing.causes.find_causes`).
    """
    lines = []
    for mission, obs_id in dict.fromkeys((cause.mission, cause.obs_id) for cause in causes):
        old, new = (_measured(side, mission, obs_id) for side in (before, now))
        if words := effect_words(old, new):
            lines.append(f"{mission} {obs_id}: {words}")
    more = len(lines) - _NAMED
    return [*lines[:_NAMED], f"and {more} more observations: see `daxa diff`"] if more > 0 else lines


def effect_words(before: Measured, now: Measured) -> str:
    """From what to what the numbers of an observation have changed; '' where none has.

    Examples
    --------
    >>> effect_words(Measured(21300.0, 0.1, 1200, 12), Measured(22100.0, 0.07, 1250, 12))
    '21.3 -> 22.1 ks clean, 1200 -> 1250 events'
    >>> effect_words(Measured(), Measured(22100.0, 0.07, 1250, 1))
    'new: 22.1 ks clean, 1250 events, 1 source'
    >>> effect_words(Measured(sources=3), Measured())
    'before: 3 sources'
    """
    if before == now:
        return ""
    old, new = _texts(before), _texts(now)
    if UNMEASURED in (before, now):
        there, word = (new, "new") if before == UNMEASURED else (old, "before")
        return f"{word}: {', '.join(f'{number} {unit}' for number, unit in there.values())}" if there else ""
    changes = []
    for name in {**old, **new}:
        (was, _), (is_now, unit) = old.get(name, ("none", "")), new.get(name, ("none", old.get(name, ("", ""))[1]))
        if was != is_now:
            changes.append(f"{was} -> {is_now} {unit}")
    return ", ".join(changes)


def _texts(one: Measured) -> dict[str, tuple[str, str]]:
    """Name to number and unit of what was measured."""
    found = {}
    if one.exposure is not None:
        found["exposure"] = (f"{one.exposure / 1000:.1f}", "ks clean")
    for name, word, count in (("counts", "event", one.counts), ("sources", "source", one.sources)):
        if count is not None:
            found[name] = (str(count), word if count == 1 else f"{word}s")
    return found


def _measured(side: Side, mission: str, obs_id: str) -> Measured:
    if mission not in side.state.missions:
        return UNMEASURED
    ledgers: Mapping[str, Mapping[str, LedgerRow]] = side.state.missions[mission].ledgers
    return total({step: rows.get(obs_id) for step, rows in ledgers.items()})
