"""An archive on this machine, by its directory alone, and the types of arguments of its methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from daxa.archive.config import ArchiveConfig, load_config
from daxa.archive.layout import Layout

if TYPE_CHECKING:
    from astropy.units import Quantity

    from daxa.query.criteria.accepted_types import PositionLike, TableLike
    from daxa.query.criteria.sample import Sample
    from daxa.query.mission import Mission

    Names: TypeAlias = str | Mission | Sequence[str | Mission] | None
    ObsIds: TypeAlias = str | int | Sequence[str | int] | None
    Band: TypeAlias = str | tuple[float, float] | tuple[Quantity, Quantity] | Quantity
    Bands: TypeAlias = Band | Sequence[Band] | None
    TargetsLike: TypeAlias = Sample | TableLike | PositionLike | Sequence[PositionLike]

__all__ = ["Opened"]


@dataclass(frozen=True)
class Opened:
    """An archive on this machine.

    Parameters
    ----------
    root
        Its directory.
    """

    root: Path

    @property
    def layout(self) -> Layout:
        """Every path of the archive."""
        return Layout(self.root)

    @property
    def config(self) -> ArchiveConfig:
        """The content of ``daxa.toml``."""
        return load_config(self.layout)
