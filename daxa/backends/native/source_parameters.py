"""The parameters of the step sources, as a table."""

from __future__ import annotations

from daxa.backends.parameter_schema import Parameter
from daxa.errors import DataError, NotPossible

__all__ = ["SOURCES"]


def _as_regions(text: str) -> str:
    if not text.strip():
        return ""
    from daxa.xray.eventlists.regions import parse_regions

    try:
        parse_regions(text, "the text", say=lambda _: None)
    except DataError as problem:
        raise ValueError(f"copy the text of a region file of DS9 ({problem.message})") from None
    return text


def _whole(number: float) -> int:
    if number != int(number):
        raise ValueError("write a whole number")
    return int(number)


def _as_scales(scales: tuple[float, ...]) -> tuple[float, ...]:
    from daxa.xray.detection.wavelet import make_wavelets

    try:
        return tuple(wavelet.scale for wavelet in make_wavelets(scales))
    except NotPossible as problem:
        raise ValueError(problem.remedy) from None


SOURCES = (
    Parameter(
        "search",
        "choice",
        "wavelets",
        'how to search for sources, in one image of every exposure; "none" does not search',
        choices=("wavelets", "none"),
    ),
    Parameter(
        "band",
        "band",
        None,
        'band of the searched image: "lowest" of [images], or one of them such as "0.5-2 keV"',
        unit="keV",
        choices=("lowest",),
        example='"lowest"',
    ),
    Parameter(
        "false_per_field",
        "number",
        1.0,
        "spurious sources expected in an image, on average",
        least=0.0,
        most=1000.0,
        above=True,
    ),
    Parameter(
        "realisations",
        "number",
        4,
        "simulated fields to count false sources in extended emission (each takes as long as a search); 0 for none",
        least=0.0,
        most=1000.0,
        refine=_whole,
    ),
    Parameter(
        "scales",
        "numbers",
        None,
        "wavelet scales in pixels; by default they follow the point spread function",
        least=0.0,
        above=True,
        example="[1, 1.414, 2, 2.828, 4]",
        shown="hidden",
        refine=_as_scales,
    ),
    Parameter(
        "regions",
        "text",
        "",
        'regions to leave out, as in a DS9 region file; use """ for several lines',
        example='"fk5; circle(149.59,-11.06,60\\")"',
        refine=_as_regions,
    ),
)
"""The table [sources] of a params file; the same for every mission."""
