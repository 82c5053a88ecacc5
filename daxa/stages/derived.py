"""The verdict on products that follow from others which random numbers change: rates, pictures, tables, measurements.

A rate has no counting noise of its own, and a picture no numbers.  They are equal within counting noise where what they
were made of is, and where, as far as that can be computed, they are exactly what follows from it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from daxa.archive.layout import Layout
from daxa.errors import DataError, DaxaError
from daxa.files import read_plain
from daxa.publish.remaking.certificate import FileVerdict, RemadeVerdict
from daxa.run.comparison import compare_files
from daxa.run.equality import file_digests
from daxa.run.product import Product, parse_product

__all__ = ["judge_derived", "within_noise"]

_SIGMA = 5.0
_DEEPEST = 20
_ROUNDED = 1e-5
"""Relative difference of rates whose exposure was rounded to 32 bits before."""
_NOISE: RemadeVerdict = "equal within counting noise"
_GOOD = ("identical bytes", "identical science", _NOISE)
_MAPS = {"ratemap": ("image", "expmap"), "combinedratemap": ("combinedimage", "combinedexpmap")}
"""Rate maps to the image and the exposure map whose quotient they are."""

_SECONDS = {"expmap": "image", "combinedexpmap": "combinedimage"}
"""Exposure maps to the image that they belong to."""

_MOST_EDGE = 0.01
"""Share of the exposed pixels in which an exposure map may differ, because events show the edges of chips."""

_DRAWN = ("image", "expmap", "lightcurve", "sourcelist")
"""What pictures show."""


def judge_derived(
    found: Sequence[FileVerdict], places: tuple[Layout, Layout], is_randomised: Callable[[FileVerdict], bool]
) -> list[FileVerdict]:
    """The verdicts, with those on derived products that differ only as what they were made of does.

    Parameters
    ----------
    found
        Verdicts on all files.
    places
        The archive with the data of the release, whose digests are those that the release records, and the one in
        which they were made again.
    is_randomised
        Whether a product is never the same twice.
    """
    tasks: dict[tuple[str, str, str], dict[str, FileVerdict]] = {}
    for one in found:
        tasks.setdefault((one.mission, one.step, one.obs_id), {})[one.path] = one
    judged = list(found)
    # Rates and pictures follow from exposure maps, which are therefore judged before them.
    for first in (True, False):
        for at, one in enumerate(judged):
            open_ = one.verdict == "different" and one.recorded and one.found and is_randomised(one)
            if open_ and first == (_kind(one.path) in _SECONDS):
                task = tasks[one.mission, one.step, one.obs_id]
                judged[at] = task[one.path] = _judged(one, task, places)
    return judged


def _judged(one: FileVerdict, others: Mapping[str, FileVerdict], places: tuple[Layout, Layout]) -> FileVerdict:
    product = parse_product(one.path)
    directories = [place.products(one.mission, one.step) / one.obs_id for place in places]
    how = ""
    try:
        # What the release records is judged, not what somebody made of it since.
        if not _is_recorded(one, directories[0]):
            return one
        if product.kind in _SECONDS and _differs_at_edges(product, others, directories):
            how = f"{one.how}: edges of chips, as single events show them"
        elif product.kind in _MAPS and _follows_from_maps(product, others, directories):
            how = "the quotient of an image and an exposure map that are equal within counting noise"
        elif product.suffix == "png" and _all_good(others, _DRAWN):
            how = "a picture of products that are equal within counting noise"
        elif product.suffix in ("parquet", "reg") and _is_good(others, replace(product, suffix="fits")):
            how = "another form of a list that is equal within counting noise"
        elif product.suffix == "json" and within_noise(*(_read(place / one.path) for place in directories)):
            how = f"{one.how}: numbers of counts within noise"
    except (OSError, DaxaError, ValueError, TypeError, RecursionError):
        return one
    return replace(one, verdict=_NOISE, how=how) if how else one


def _is_recorded(one: FileVerdict, directory: Path) -> bool:
    return one.recorded is not None and file_digests(directory / one.path).sha256 == one.recorded.sha256


def _differ_in_pixels_alone(product: Product, directories: Sequence[Path]) -> bool:
    """Whether all headers are the same, and all data but those of one image."""
    one, two = (place / product.name for place in directories)
    return [found.what for found in compare_files(one, two).differences] == ["data"]


def _is_good(others: Mapping[str, FileVerdict], product: Product) -> bool:
    other = others.get(product.name)
    return other is not None and other.verdict in _GOOD


def _all_good(others: Mapping[str, FileVerdict], kinds: Sequence[str]) -> bool:
    """Whether all FITS files of these kinds are equal, at least within noise, and there are some."""
    shown = [one for path, one in others.items() if path.endswith(".fits") and _kind(path) in kinds]
    return bool(shown) and all(one.verdict in _GOOD for one in shown)


def _kind(path: str) -> str:
    try:
        return parse_product(path).kind
    except DataError:
        return ""


def _differs_at_edges(product: Product, others: Mapping[str, FileVerdict], directories: Sequence[Path]) -> bool:
    """Whether exposure maps differ in so few pixels that no more counts are expected than noise would make."""
    import numpy as np
    from astropy.io import fits

    image = replace(product, kind=_SECONDS[product.kind])
    if not (_is_good(others, image) and _differ_in_pixels_alone(product, directories)):
        return False
    if not _is_recorded(others[image.name], directories[0]):
        return False
    one, two = (np.nan_to_num(fits.getdata(place / product.name).astype(float)) for place in directories)
    if one.shape != two.shape or not one.sum() > 0:
        return False
    # No edge has more than the whole exposure.
    if one.min() < 0 or two.min() < 0 or two.max() > one.max() * (1 + _ROUNDED):
        return False
    counts = max(float(fits.getdata(directories[0] / image.name).sum()), 1.0)
    few = int((one != two).sum()) <= _MOST_EDGE * int(((one > 0) | (two > 0)).sum())
    return few and float(np.abs(one - two).sum()) * counts / float(one.sum()) <= _SIGMA * math.sqrt(counts)


def _follows_from_maps(product: Product, others: Mapping[str, FileVerdict], directories: Sequence[Path]) -> bool:
    """Whether a rate map is, in both places, the quotient of an image and an exposure map within noise."""
    import numpy as np
    from astropy.io import fits

    from daxa.xray.imaging.pairing import rate_map

    parts = [replace(product, kind=kind) for kind in _MAPS[product.kind]]
    if not all(_is_good(others, one) and _is_recorded(others[one.name], directories[0]) for one in parts):
        return False
    if not _differ_in_pixels_alone(product, directories):
        return False
    for place in directories:
        rates, counts, exposure = (fits.getdata(place / one.name) for one in (product, *parts))
        if not np.allclose(rates, rate_map(counts, exposure), rtol=_ROUNDED, atol=0.0, equal_nan=True):
            return False
    return True


def _read(path: Path) -> object:
    return json.loads(read_plain(path))


def within_noise(one: object, two: object, *, _left: int = _DEEPEST) -> bool:
    """Whether two JSON values differ in nothing but whole numbers, by less than 5 standard deviations of counts.

    Examples
    --------
    >>> within_noise({"events": 1000, "good": 2.5}, {"events": 1040, "good": 2.5})
    True
    >>> within_noise({"events": 1000}, {"events": 2000}), within_noise([1.0], [1.5])
    (False, False)
    """
    if isinstance(one, dict) and isinstance(two, dict) and _left:
        return one.keys() == two.keys() and all(within_noise(one[key], two[key], _left=_left - 1) for key in one)
    if isinstance(one, list) and isinstance(two, list) and _left:
        pairs = zip(one, two, strict=False)
        return len(one) == len(two) and all(within_noise(a, b, _left=_left - 1) for a, b in pairs)
    if type(one) is int and type(two) is int and min(one, two) >= 0:
        return abs(one - two) <= _SIGMA * math.sqrt(one + two)
    return type(one) is type(two) and one == two
