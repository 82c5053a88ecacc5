"""An archive as it would be with some files replaced, to see what a change would make run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from daxa.archive.layout import Layout

__all__ = ["Preview", "preview"]


@dataclass(frozen=True)
class Preview(Layout):
    """Where things are, and would be: configuration, parameters and selections may be new ones.

    It is read from, and never written to.

    Parameters
    ----------
    new
        Directory with the new files, each at its place in an archive; all others are those of the archive.
    """

    new: Path

    def _at(self, path: Path) -> Path:
        changed = self.new / path.relative_to(self.root)
        return changed if changed.exists() else path

    @property
    def config(self) -> Path:
        return self._at(super().config)

    @property
    def software(self) -> Path:
        return self._at(super().software)

    @property
    def pipeline(self) -> Path:
        return self._at(super().pipeline)

    def params(self, mission: str) -> Path:
        return self._at(super().params(mission))

    def selection(self, mission: str) -> Path:
        return self._at(super().selection(mission))

    def upstream(self, mission: str) -> Path:
        return self._at(super().upstream(mission))


@contextmanager
def preview(layout: Layout, write: Callable[[Layout], None]) -> Iterator[Preview]:
    """The archive with the files that `write` writes below another root; they are gone afterwards."""
    with TemporaryDirectory(prefix="daxa-") as place:
        new = Layout(Path(place).resolve())
        write(new)
        yield Preview(layout.root, new.root)
