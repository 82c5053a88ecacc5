"""Words for a message about a name that is not there."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["did_you_mean"]


def did_you_mean(name: object, choices: Iterable[str]) -> str:
    """The end of a sentence that names the choice most like a name, '' where none is.

    Examples
    --------
    >>> did_you_mean("cleen", ["fetch", "events", "clean"]), did_you_mean("x", ["fetch"])
    ('; did you mean clean?', '')
    """
    by_lower = {choice.lower(): choice for choice in choices}
    close = get_close_matches(str(name)[:100].lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""
