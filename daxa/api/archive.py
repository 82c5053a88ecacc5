"""The archive as an object: the same calls from Python as from the shell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING

from daxa.api.processing import Processing
from daxa.api.results import Results
from daxa.api.selecting import Selecting, with_conditions
from daxa.api.sharing import Sharing
from daxa.api.versions import Versions
from daxa.archive.config import ArchiveConfig, Creator
from daxa.archive.stage_records import selected_ids
from daxa.naming import several
from daxa.records import Outcome

if TYPE_CHECKING:
    from daxa.query.mission import Mission

__all__ = ["Archive"]


@dataclass(frozen=True)
class Archive(Selecting, Processing, Results, Versions, Sharing):
    """An archive of X-ray observations on this machine.

    Make one with `Archive.create`, or open one with `daxa.open`.

    Parameters
    ----------
    root
        Its directory.
    """

    @classmethod
    def create(
        cls,
        directory: str | PathLike[str],
        missions: Mission | Sequence[Mission],
        *,
        title: str = "",
        creators: str | Creator | Sequence[str | Creator] = (),
        remote: str | PathLike[str] = "",
        steps: str | Sequence[str] = (),
        backends: str | Sequence[str] = (),
    ) -> Archive:
        """Select observations and generate the repository; see `daxa.archive.create.create_archive`.

        Parameters
        ----------
        directory
            A new directory; its name becomes the archive's.
        missions
            One or several, with conditions: the whole archive of a mission is selected only where
            ``filter(everything=True)`` says so.
        title
            For citations.
        creators
            Who made it, one or several: ``Name``, ``Name <ORCID>``, or `daxa.archive.config.Creator`.
        remote
            Address of the storage that the data are shared through.
        steps
            Steps of installed plug-ins, to be done in addition to daxa's own.
        backends
            What processes in place of native Python: ``sas`` for all steps that it does, ``clean=sas`` for one step,
            ``chandra:ciao`` or ``chandra:clean=ciao`` for one mission.

        Returns
        -------
        Archive
            In its directory, with nothing fetched yet.

        Raises
        ------
        CriteriaError
            No condition says which observations of a mission to select.
        NotPossible
            A backend does not do what it was chosen for.
        """
        from daxa.archive.create import create_archive
        from daxa.archive.creators import parse_creator

        chosen = [with_conditions(mission) for mission in several(missions)]
        people = [creators] if isinstance(creators, Creator) else several(creators)
        people = [parse_creator(one) if isinstance(one, str) else one for one in people]
        layout = create_archive(
            Path(directory),
            chosen,
            title=title,
            creators=people,
            remote=fspath(remote),
            steps=several(steps),
            backends=several(backends),
        )
        return cls(layout.root)

    def _repr_html_(self) -> str:
        """For notebooks: the progress of each mission, read from the ledgers."""
        import html

        heads = "".join(f"<th>{name}</th>" for name in ("mission", "observations", *self.config.steps))
        lines = "".join(
            f"<tr><td>{html.escape(mission)}</td><td>{len(selected_ids(self.layout, mission))}</td>{cells}</tr>"
            for mission, cells in _cells(self.status(), self.config).items()
        )
        return (
            f"<p>Archive <b>{html.escape(self.config.name)}</b> in {html.escape(str(self.root))}</p>"
            f"<table><tr>{heads}</tr>{lines}</table>"
        )


def _cells(outcomes: Sequence[Outcome], config: ArchiveConfig) -> dict[str, str]:
    """Mission to table cells, one per step, with the numbers of done and failed observations."""
    counts = Counter((outcome.mission, outcome.step, outcome.status) for outcome in outcomes)
    cells = {}
    for mission in config.missions:
        texts = []
        for step in config.steps:
            failed = counts[mission, step, "failed"]
            texts.append(f"{counts[mission, step, 'done']} done" + (f", {failed} failed" if failed else ""))
        cells[mission] = "".join(f"<td>{text}</td>" for text in texts)
    return cells
