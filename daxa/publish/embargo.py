"""Data that are not public yet must not reach storage that others can read."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

from daxa.publish.state import ObservationState

__all__ = ["mjd_now", "proprietary"]


def mjd_now() -> float:
    """The time now, MJD (UTC)."""
    return time.time() / 86400 + 40587  # the Unix epoch is MJD 40587


def proprietary(chosen: Mapping[str, Mapping[str, ObservationState]], now: float) -> list[str]:
    """Observations that are not known to be public at `now` (MJD), as ``mission ObsID``.

    Parameters
    ----------
    chosen
        Mission to its observations.
    now
        MJD.

    Examples
    --------
    >>> public_from = {"001": 60000.0, "002": math.nan, "003": 53000.0}
    >>> chosen = {obs_id: ObservationState(obs_id, 9e3, date) for obs_id, date in public_from.items()}
    >>> proprietary({"xmm": chosen}, 59000.0)
    ['xmm 001', 'xmm 002']
    """
    return [
        f"{mission} {obs_id}"
        for mission, observations in chosen.items()
        for obs_id, observation in observations.items()
        if math.isnan(observation.public_date) or observation.public_date > now
    ]
