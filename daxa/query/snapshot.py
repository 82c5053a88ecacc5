"""The observation table of a mission as a service gave it at one time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from daxa.missions.spec import MissionSpec
from daxa.settings import Settings

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Origin", "Snapshot", "take_snapshot"]


@dataclass(frozen=True)
class Origin:
    """Where and when a selection came from: belongs into ``upstream/``, never into an out.

    Parameters
    ----------
    service, table, query
        Address of the service, its table, and the ADQL.
    time
        Of the query, ISO 8601 UTC.
    rows
        Observations in the normalised table.
    digest
        `daxa.selection.table_digest` of that table.
    left_out
        Reason to number of rows that could not be used or are not public.
    """

    service: str
    table: str
    query: str
    time: str
    rows: int
    digest: str
    left_out: Mapping[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, object]:
        """As plain values, ready for JSON."""
        return asdict(self) | {"left_out": dict(self.left_out)}


@dataclass(frozen=True)
class Snapshot:
    """A normalised table with its origin.

    Parameters
    ----------
    table
        From `daxa.query.normalise`.
    origin
        Where it came from.
    """

    table: pd.DataFrame
    origin: Origin

    @property
    def mjd(self) -> float:
        """Time of the query, MJD UTC."""
        from daxa.query.values import read_window

        return read_window((self.origin.time, None))[0]  # type: ignore[return-value]


def take_snapshot(spec: MissionSpec, settings: Settings) -> Snapshot:
    """Fetch and normalise the whole observation table of a mission.

    Raises
    ------
    ServiceError
        The service cannot be reached, or its answer cannot be used.
    """
    from daxa.query.normalise import normalise
    from daxa.query.services import fetch_table
    from daxa.selection.schema import table_digest

    asked = datetime.now(UTC).replace(microsecond=0)
    answer = fetch_table(spec, settings)
    normalised = normalise(spec, answer.table)
    return Snapshot(
        normalised.table,
        Origin(
            service=answer.service,
            table=spec.table.name,
            query=answer.query,
            time=asked.isoformat().replace("+00:00", "Z"),
            rows=len(normalised.table),
            digest=table_digest(normalised.table),
            left_out=normalised.left_out,
        ),
    )
