"""What a flare filter saw and decided, as a table and as a picture.

The table holds the light curve bin by bin, the good time and the histogram of rates with
the quiescent Gaussian; the picture shows the same.  Both depend on the data alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from daxa.xray.cleaning.flare_filter import FlareResult
from daxa.xray.cleaning.flarescreen import FlareScreen
from daxa.xray.cleaning.lightcurve import LightCurve, gti_table, rate_tables
from daxa.xray.cleaning.quiescent import usual_seconds
from daxa.xray.drawing import picture, plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["RateHistogram", "flare_cards", "rate_histogram", "write_flare_picture", "write_flare_table"]

_STEPS_PER_SIGMA = 2
_MOST_STEPS = 60
_MOST_POINTS = 5000
_KEPT, _CUT, _VARIABLE = "tab:blue", "tab:red", "tab:orange"


@dataclass(frozen=True, eq=False)
class RateHistogram:
    """How often each rate occurs.

    Parameters
    ----------
    edges
        Shape (n + 1,), count/s; the last bin also holds all rates above it.
    bins, kept
        Time bins with such a rate, and those of them that are kept, shape (n,).  Only
        time bins with good time for half of a usual one count.
    quiescent
        The number that the quiescent Gaussian expects, shape (n,); NaN where there is none.
    """

    edges: np.ndarray
    bins: np.ndarray
    kept: np.ndarray
    quiescent: np.ndarray


def rate_histogram(curve: LightCurve, result: FlareResult) -> RateHistogram:
    """The histogram of rates that a flare filter judged.

    Parameters
    ----------
    curve, result
        A light curve, and what `daxa.xray.cleaning.flare_filter.flare_gti` found in it.

    Examples
    --------
    >>> from daxa.xray.cleaning.flare_filter import flare_gti
    >>> rng = np.random.default_rng(1)
    >>> curve = LightCurve(0.0, 100.0, rng.poisson(40, 200), np.full(200, 100.0))
    >>> histogram = rate_histogram(curve, flare_gti(curve))
    >>> int(histogram.bins.sum()), bool(abs(histogram.quiescent.sum() - 200) < 20)
    (200, True)
    """
    full = curve.exposure >= 0.5 * usual_seconds(curve.exposure, curve.width)
    rates = curve.rate[full]
    top = float(rates.max()) if len(rates) else 1.0
    if np.isfinite(result.sigma) and result.sigma > 0:
        step = result.sigma / _STEPS_PER_SIGMA
        n = int(np.clip(np.ceil(top / step) if top > 0 else 1, 1, _MOST_STEPS + np.ceil(result.rate / step)))
    else:
        n = 20
        step = max(top, 1e-9) / n
    edges = step * np.arange(n + 1)
    index = np.clip((rates / step).astype(int), 0, n - 1)
    bins = np.bincount(index, minlength=n)
    kept = np.bincount(index[result.kept[full]], minlength=n)
    return RateHistogram(edges, bins, kept, _expected(edges, rates, result))


def _expected(edges: np.ndarray, rates: np.ndarray, result: FlareResult) -> np.ndarray:
    if not (np.isfinite(result.rate) and result.sigma > 0):
        return np.full(len(edges) - 1, np.nan)
    from scipy.special import ndtr

    # Half of quiescence lies below its mean, where no flare adds to it.
    number = 2 * np.count_nonzero(rates < result.rate)
    return number * np.diff(ndtr((edges - result.rate) / result.sigma))


def flare_cards(screen: FlareScreen) -> dict[str, tuple[object, str]]:
    """What was found, as cards for the headers of products.

    Parameters
    ----------
    screen
        Of `daxa.xray.cleaning.flarescreen.screen_flares`.

    Returns
    -------
    dict
        Keyword to (value, comment); numbers that are not known have no card.
    """
    result = screen.result
    cards: dict[str, tuple[object, str]] = {
        "FLAREMET": (result.method.upper(), "flare filter"),
        "FLARESTA": (result.status.upper(), "Good, Intermediate, Bad; Sparse: not applied"),
        "FLAREBIN": (screen.curve.width, "[s] bin of the flare light curve"),
        "FLAREKEP": (round(result.kept_fraction, 6), "good time kept over good time"),
        "FLAREMSK": (round(screen.mask.share, 6) if screen.mask else 0.0, "share of the field masked for sources"),
        "FLAREVAR": (len(screen.sources), "variable sources that are no flare"),
    }
    numbers = {
        "FLARERAT": (result.rate, 9, "[count/s] quiescent rate"),
        "FLAREWID": (result.sigma, 9, "[count/s] its standard deviation in a bin"),
        "FLAREMAX": (result.hi, 9, "[count/s] most that is kept in a full bin"),
        "FLAREMIN": (result.lo, 9, "[count/s] least that is kept in a full bin"),
        "FLAREEXC": (result.contamination, 6, "mean rate kept over quiescent rate, minus 1"),
    }
    known = {key: (round(value, digits), text) for key, (value, digits, text) in numbers.items() if np.isfinite(value)}
    return cards | known


def write_flare_table(
    path: Path, screen: FlareScreen, header: fits.Header, cards: Mapping[str, tuple[object, str]]
) -> None:
    """Write the light curve, the good time and the histogram as FITS tables RATE, GTI and HISTOGRAM.

    Parameters
    ----------
    path
        The file to write.
    screen
        Of `daxa.xray.cleaning.flarescreen.screen_flares`.
    header
        Of the events table: its time system and what it observed are copied.
    cards
        Keyword to (value, comment), beside those of `flare_cards`.
    """
    result = screen.result
    variable = np.zeros(len(result.kept), dtype=bool) if result.variable is None else result.variable
    extra = [fits.Column("KEPT", "L", array=result.kept), fits.Column("VARIABLE", "L", array=variable)]
    primary, rates = rate_tables(screen.curve, header, {**flare_cards(screen), **cards}, extra)
    histogram = rate_histogram(screen.curve, result)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column("RATE_LO", "D", unit="count/s", array=histogram.edges[:-1]),
            fits.Column("RATE_HI", "D", unit="count/s", array=histogram.edges[1:]),
            fits.Column("BINS", "J", array=histogram.bins),
            fits.Column("KEPT", "J", array=histogram.kept),
            fits.Column("EXPECTED", "D", array=np.round(histogram.quiescent, 6)),
        ],
        name="HISTOGRAM",
    )
    fits.HDUList([primary, rates, gti_table(result.gti, header), table]).writeto(path, output_verify="exception")


def write_flare_picture(path: Path, screen: FlareScreen, *, title: str, subtitle: str = "") -> None:
    """Draw the light curve and, beside it, the histogram of rates with the quiescent Gaussian, as PNG.

    Parameters
    ----------
    path
        The file to write.
    screen
        Of `daxa.xray.cleaning.flarescreen.screen_flares`.
    title, subtitle
        Texts above; by default the subtitle gives the numbers of the result.
    """
    curve, result = screen.curve, screen.result
    seen = curve.exposure >= 0.1 * usual_seconds(curve.exposure, curve.width)
    top = float(np.quantile(curve.rate[seen], 0.98)) if seen.any() else 1.0
    top = 1.15 * max(top, result.hi if np.isfinite(result.hi) else 0.0, 1e-9)
    with picture(path, 9.6, 4.4) as figure:
        figure.text(0.03, 0.945, plain_text(title), fontsize=12, weight="bold")
        figure.text(0.03, 0.895, plain_text(subtitle or _numbers(result)), fontsize=9)
        time, rates = figure.add_axes((0.075, 0.12, 0.635, 0.73)), figure.add_axes((0.73, 0.12, 0.245, 0.73))
        _draw_bins(time, curve, result, seen, top)
        _draw_histogram(rates, rate_histogram(curve, result), result)
        for axes in (time, rates):
            axes.set_ylim(0, top)
            if np.isfinite(result.hi):
                axes.axhspan(result.lo, min(result.hi, top), color="0.93", zorder=0)
            if np.isfinite(result.rate):
                axes.axhline(result.rate, color="0.4", lw=0.8, zorder=1)
        rates.set_yticklabels([])


def _numbers(result: FlareResult) -> str:
    text = f"{result.status}: {100 * result.kept_fraction:.1f} % of the time kept"
    if np.isfinite(result.rate):
        text += f", quiescent rate {result.rate:.3g} count/s"
    if np.isfinite(result.contamination):
        text += f", {100 * result.contamination:+.1f} % left above it"
    return text


def _draw_bins(axes: Axes, curve: LightCurve, result: FlareResult, seen: np.ndarray, top: float) -> None:
    hours = (curve.edges[:-1] + curve.width / 2 - curve.start) / 3600
    variable = np.zeros(len(seen), dtype=bool) if result.variable is None else result.variable
    kinds = ((result.kept & ~variable, _KEPT, "kept"), (~result.kept, _CUT, "cut"), (variable, _VARIABLE, "source"))
    for chosen, colour, name in kinds:
        at = np.flatnonzero(chosen & seen)
        at = at[:: max(1, -(-len(at) // _MOST_POINTS))]
        if not len(at):
            continue
        # What is too high for the frame is a triangle at its edge.
        above = curve.rate[at] > top
        low, high = at[~above], at[above]
        axes.errorbar(
            hours[low], curve.rate[low], yerr=curve.error[low], fmt=".", ms=3, lw=0.5, color=colour, label=name
        )
        axes.plot(hours[high], np.full(len(high), 0.985 * top), "^", ms=3, color=colour)
    axes.set_xlim(0, max(float(curve.edges[-1] - curve.start) / 3600, 1e-6))
    axes.set_xlabel("hours since the first good time")
    axes.set_ylabel("count/s")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="upper right", frameon=False, ncols=3, fontsize=8)


def _draw_histogram(axes: Axes, histogram: RateHistogram, result: FlareResult) -> None:
    middles, height = (histogram.edges[:-1] + histogram.edges[1:]) / 2, np.diff(histogram.edges)
    axes.barh(middles, histogram.bins, height=height, color=_CUT, alpha=0.6, lw=0)
    axes.barh(middles, histogram.kept, height=height, color=_KEPT, lw=0)
    if np.isfinite(result.rate):
        axes.plot(histogram.quiescent, middles, color="black", lw=1.0)
    axes.set_xlabel("bins")
