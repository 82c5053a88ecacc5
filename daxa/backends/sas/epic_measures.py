"""What cleaning left of every exposure, in the form of the native step: for sums over observations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from daxa.errors import DaxaError
from daxa.run.task import canonical

__all__ = ["Cleaned", "write_measures"]


@dataclass(frozen=True)
class Cleaned:
    """An exposure, before and after.

    Parameters
    ----------
    instrument, exposure
        Which.
    before, after
        Paths of its lists below the working directory.
    bad
        Chips in a bad state.
    """

    instrument: str
    exposure: str
    before: str
    after: str
    bad: tuple[int, ...] = ()


def write_measures(exposures: Sequence[Cleaned], work: Path, place: Path) -> None:
    """Write good time and events of exposures.  One whose good times cannot be read is left out."""
    measured = [entry for one in exposures if (entry := _measured(one, work))]
    place.write_text(canonical({"exposures": measured}) + "\n", encoding="ascii")


def _measured(one: Cleaned, work: Path) -> dict[str, object]:
    from daxa.xray.cleaning.livetime import ontime
    from daxa.xray.eventlists.opening import open_events

    try:
        before, after = (open_events(work / path) for path in (one.before, one.after))
        archived, good = (max(ontime(events, events.gtis).values(), default=0.0) for events in (before, after))
    except DaxaError:
        return {}
    return {
        "instrument": one.instrument,
        "exposure": one.exposure,
        "good": round(good, 3),
        "archived": round(archived, 3),
        "events": len(after.rows),
        "flares": "",
        "left": {},
        "anomalous": list(one.bad),
    }
