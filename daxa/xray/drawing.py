"""What all pictures of the library are drawn on.

The bytes depend on the data alone: a picture is drawn without a display, with the
fonts that matplotlib carries, and without date or version in its metadata.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["picture", "plain_text"]

_DPI = 100
"""Pixels to the inch."""


@contextmanager
def picture(path: Path, width: float, height: float) -> Iterator:
    """A figure in the style of our pictures, saved as PNG when the block ends.

    Parameters
    ----------
    path
        The file to write.
    width, height
        Inches, of 100 pixels each.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with rc_context({"font.family": "DejaVu Sans", "text.usetex": False, "path.simplify": False, "font.size": 9.0}):
        figure = Figure(figsize=(width, height), dpi=_DPI)
        FigureCanvasAgg(figure)
        yield figure
        figure.savefig(path, format="png", metadata={"Software": None})


def plain_text(text: str) -> str:
    """The text without what the font cannot draw, and with a dollar sign as itself: it would begin a formula."""
    drawn = "".join(letter if letter.isprintable() and ord(letter) < 0x400 else "?" for letter in text)
    return drawn.replace("$", r"\$")
