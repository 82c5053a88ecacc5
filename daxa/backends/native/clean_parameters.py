"""The parameters of the step clean, as a table."""

from __future__ import annotations

from dataclasses import dataclass

from daxa.backends.parameter_schema import Parameter, Shown
from daxa.missions import MissionSpec

__all__ = ["CleanParameters", "clean_parameters"]

_LONGEST = 1e12  # s
_METHODS = ("histogram", "threshold", "clip", "scale", "none")
"""Those of `daxa.xray.cleaning.flare_filter`, whose import takes half a second, and ``none``."""


@dataclass(frozen=True)
class CleanParameters:
    """Parameters of the step clean.

    Parameters
    ----------
    screening
        True for the mission's standard screening.
    flares
        The method that finds flares, one of `daxa.xray.cleaning.flare_filter.flare_gti`'s, or ``none``.
    mask_sources
        Whether sources are left out when flares are searched for.
    flare_sigma, flare_threshold, flare_scale
        Widths of the cut; count/s of the whole field, None if not given; factor about the mean.
    flare_band, flare_bin
        Energies (keV) and bins (s) of the light curve in which flares are found.
    flare_soft_band
        Energies (keV) of a second pass without the sources, for flares that the first does not show; None for none.
    flare_bands
        Energies (keV) in which the residual of flares is measured, and cut if it exceeds 5 %.
    patterns, flags, expression
        As in `daxa.xray.cleaning.ownscreening.OwnScreening`.
    energy
        Energies (keV) that cleaned lists are cut to; None for all.
    chips
        Chips that are used, as for `daxa.xray.cleaning.chips.parse_chips`; '' for all.
    anomalous
        ``keep`` or ``drop`` chips of EPIC MOS that are anomalous.
    """

    screening: bool
    flares: str
    mask_sources: bool
    flare_sigma: float
    flare_threshold: float | None
    flare_scale: float
    flare_band: tuple[float, float] | None
    flare_bin: float
    flare_soft_band: tuple[float, float] | None = None
    flare_bands: tuple[tuple[float, float], ...] = ()
    patterns: str = ""
    flags: str = ""
    expression: str = ""
    energy: tuple[float, float] | None = None
    chips: str = ""
    anomalous: str = "keep"

    @property
    def searched(self) -> tuple[float, float]:
        """Energies (keV) in which flares are searched for; no method is accepted without them."""
        if self.flare_band is None:
            raise ValueError("there is no band in which to search for flares")
        return self.flare_band


def _as_patterns(text: str) -> str:
    from daxa.xray.cleaning.ownscreening import read_values

    if text:
        read_values(text)
    return text.replace(" ", "")


def _as_flags(text: str) -> str:
    from daxa.xray.cleaning.ownscreening import check_flags

    # TOML reads a mask without quotation marks as a number.
    return check_flags(f"{int(text):#x}" if text.isdecimal() and len(text) < 20 else text)


def _as_expression(text: str) -> str:
    from daxa.xray.eventlists.expression import parse_expression

    return parse_expression(text).text if text.strip() else ""


def _as_chips(text: str) -> str:
    from daxa.xray.cleaning.chips import parse_chips

    parse_chips(text)
    return " ".join(text.split())


_SCREENING = (
    Parameter(
        "screening",
        "choice",
        "standard",
        'the mission\'s standard event screening, or "none"',
        choices=("standard", "none"),
    ),
    Parameter(
        "patterns",
        "text",
        "",
        "grades or patterns to keep, instead of the standard ones",
        example='"0-4"',
        shown="comment",
        refine=_as_patterns,
    ),
    Parameter(
        "flags",
        "text",
        "",
        'flags, instead of the standard ones: "word" (only the flag word), "none", or a mask of bits that must be 0',
        example='"0x766ba000"',
        shown="comment",
        refine=_as_flags,
    ),
    Parameter(
        "expression",
        "text",
        "",
        "a further condition on columns of the event list",
        example='"(FLAG & 0x10) == 0 && PI in [300:12000]"',
        shown="comment",
        refine=_as_expression,
    ),
    Parameter(
        "energy",
        "band",
        None,
        "energy range of the cleaned lists; flares are searched before this cut",
        unit="keV",
        choices=("all",),
        example="0.3-12 keV",
        shown="comment",
    ),
    Parameter(
        "chips",
        "text",
        "",
        "chips to use, for all instruments or for some",
        example='"M1:1,2,7 PN:1-12"',
        shown="comment",
        refine=_as_chips,
    ),
)


def _anomalous(spec: MissionSpec) -> Parameter:
    from daxa.xray.telescopes.registry import camera_of

    titles = [one.title for item in spec.instruments if (one := camera_of(spec.name, item.name).corners)]
    whether = '"drop" leaves out chips with anomalous background below 1 keV'
    # Elsewhere nothing can tell such a chip, and "drop" would do nothing without a word.
    return Parameter(
        "anomalous",
        "choice",
        "keep",
        f"{titles[0]}: {whether}" if titles else whether,
        choices=("keep", "drop") if titles else ("keep",),
        shown="line" if titles else "hidden",
    )


def clean_parameters(spec: MissionSpec) -> tuple[Parameter, ...]:
    """The parameters in the table [clean] of a mission's params file."""
    from daxa.xray.telescopes.registry import imaging_of

    usual = imaging_of(spec.name)
    facts = usual.flares
    # Where nothing says how flares show, they are not looked for, and how is of no interest.
    shown: Shown = "line" if facts else "hidden"
    also: Shown = "comment" if facts else "hidden"
    return (
        *_SCREENING,
        _anomalous(spec),
        Parameter(
            "flares",
            "choice",
            "histogram" if facts else "none",
            "method that finds times of high particle background: "
            + ", ".join(f'"{method}"' for method in _METHODS[:-1])
            + '; "none" keeps the good times of the archive',
            choices=_METHODS,
        ),
        Parameter("mask_sources", "flag", True, "leave out sources when searching for flares", shown=shown),
        Parameter(
            "flare_sigma",
            "number",
            3.0,
            "histogram, clip: half width of the accepted rates, in standard deviations",
            least=0.5,
            most=100.0,
            shown=shown,
        ),
        Parameter(
            "flare_threshold",
            "quantity",
            None,
            "threshold: highest accepted rate of the whole field",
            unit="count/s",
            least=1e-9,
            most=_LONGEST,
            example="0.4 count/s",
            shown=also,
        ),
        Parameter(
            "flare_scale",
            "number",
            1.2,
            "scale: accepted rates are within this factor of the mean",
            least=1.001,
            most=100.0,
            shown=also,
        ),
        Parameter(
            "flare_band",
            "band",
            facts.band if facts else None,
            "energy band in which flares are searched",
            unit="keV",
            example="10-12 keV",
            shown=shown,
        ),
        Parameter(
            "flare_soft_band",
            "band",
            facts.soft if facts else None,
            'histogram: energy band of a second search, for softer flares; or "none"',
            unit="keV",
            choices=("none",),
            example="2.5-8.5 keV",
            shown=also if facts and facts.soft else "hidden",
        ),
        Parameter(
            "flare_bands",
            "bands",
            tuple((band.lo, band.hi) for band in usual.bands),
            "bands in which flares may leave at most 5 % of the quiescent rate; usually those of [images]",
            unit="keV",
            shown=also,
        ),
        Parameter(
            "flare_bin",
            "quantity",
            facts.bin if facts else 100.0,
            "bin width of the light curve used for that",
            unit="s",
            least=1.0,
            most=_LONGEST,
            shown=shown,
        ),
    )
