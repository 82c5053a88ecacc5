"""Good time intervals: the algebra of half-open intervals [start, stop).

A list of intervals is an array of shape (n, 2) of seconds.  `normalise` gives the one
form in which equal sets of times are equal arrays: float64, sorted, disjoint, not
touching.  Every function returns that form and accepts any list.

All set operations are one sweep: count, along sorted edges, how many lists are open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from daxa.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["at_least", "complement", "contains", "covered", "intersect", "normalise", "pad", "spans", "total", "union"]


def normalise(intervals: ArrayLike) -> NDArray[np.float64]:
    """The normal form of a list of intervals.

    Parameters
    ----------
    intervals
        Array-like of shape (n, 2), seconds; in any order, overlapping or not.  Intervals
        that do not end after they start are empty.

    Returns
    -------
    ndarray
        Shape (m, 2), float64: sorted, disjoint; intervals that touch are joined.

    Raises
    ------
    DataError
        The shape is wrong or a time is not a finite number.

    Examples
    --------
    >>> normalise([(5, 6), (1, 3), (2, 4), (9, 9)]).tolist()
    [[1.0, 4.0], [5.0, 6.0]]
    """
    return _sweep([_as_intervals(intervals)], 1)


def union(*lists: ArrayLike) -> NDArray[np.float64]:
    """Times that are in at least one of the lists, shape (m, 2), s."""
    return _sweep([_as_intervals(one) for one in lists], 1)


def intersect(*lists: ArrayLike) -> NDArray[np.float64]:
    """Times that are in every one of the lists (at least one list), shape (m, 2), s.

    Examples
    --------
    >>> intersect([(0, 10), (20, 30)], [(5, 25)]).tolist()
    [[5.0, 10.0], [20.0, 25.0]]
    """
    if not lists:
        raise ValueError("the intersection of no lists is all times")
    return _sweep([normalise(one) for one in lists], len(lists))


def complement(intervals: ArrayLike, start: float, stop: float) -> NDArray[np.float64]:
    """Times in [start, stop) that are in no interval, shape (m, 2), s.

    Examples
    --------
    >>> complement([(1, 2), (3, 4)], 0, 3.5).tolist()
    [[0.0, 1.0], [2.0, 3.0]]
    """
    inside = intersect(intervals, [(start, stop)])
    edges = np.concatenate(([start], inside.ravel(), [stop]))
    return normalise(edges.reshape(-1, 2))


def pad(intervals: ArrayLike, before: float, after: float) -> NDArray[np.float64]:
    """Each interval made longer, shape (m, 2), s; shorter where the numbers are negative.

    Parameters
    ----------
    intervals
        Shape (n, 2), s; what overlaps or touches is first joined.
    before, after
        Seconds by which the start moves back and the stop moves on.  What has no length
        left disappears.

    Examples
    --------
    >>> pad([(0, 1), (5, 9)], 0, -2).tolist()
    [[5.0, 7.0]]
    """
    return normalise(normalise(intervals) + np.array([-before, after]))


def at_least(intervals: ArrayLike, seconds: float) -> NDArray[np.float64]:
    """Those intervals of the normal form that last at least so long, shape (m, 2), s.

    Examples
    --------
    >>> at_least([(0, 1), (1, 3), (5, 6)], 2).tolist()
    [[0.0, 3.0]]
    """
    good = normalise(intervals)
    return good[good[:, 1] - good[:, 0] >= seconds]


def total(intervals: ArrayLike) -> float:
    """How long the intervals last together, s; times that are in several count once."""
    good = normalise(intervals)
    return math.fsum((good[:, 1] - good[:, 0]).tolist())


def contains(intervals: ArrayLike, times: ArrayLike) -> NDArray[np.bool]:
    """Which times are good.

    Parameters
    ----------
    intervals
        Shape (n, 2), s.
    times
        Any shape, s; what is not a number is never good.

    Returns
    -------
    ndarray
        Booleans of the shape of `times`: ``start <= time < stop`` for an interval.

    Examples
    --------
    >>> contains([(0, 1)], np.array([0.0, 0.5, 1.0])).tolist()
    [True, True, False]
    """
    good = normalise(intervals)
    moments = np.asarray(times, dtype=np.float64)
    if not len(good):
        return np.zeros(moments.shape, dtype=bool)
    before = np.searchsorted(good[:, 0], moments, side="right") - 1
    return (before >= 0) & (moments < good[before, 1])


def spans(intervals: ArrayLike, starts: np.ndarray, stops: np.ndarray) -> NDArray[np.bool]:
    """Which stretches [start, stop) lie wholly in one interval.

    Parameters
    ----------
    intervals
        Shape (n, 2), s.
    starts, stops
        Shape (m,), s.

    Returns
    -------
    ndarray
        Booleans, shape (m,).
    """
    good = normalise(intervals)
    if not len(good):
        return np.zeros(np.shape(starts), dtype=bool)
    before = np.searchsorted(good[:, 0], starts, side="right") - 1
    return (before >= 0) & (stops <= good[before, 1])


def covered(intervals: ArrayLike, edges: ArrayLike) -> NDArray[np.float64]:
    """Good seconds in each bin.

    Parameters
    ----------
    intervals
        Shape (n, 2), s.
    edges
        Shape (m + 1,), s, increasing.

    Returns
    -------
    ndarray
        Shape (m,), s: the cumulative good time at the edges, differenced, so that the cost
        does not grow with bins times intervals.

    Examples
    --------
    >>> covered([(0, 1), (3, 5)], np.array([0.0, 2.0, 4.0, 6.0])).tolist()
    [1.0, 1.0, 1.0]
    """
    good = normalise(intervals)
    moments = np.asarray(edges, dtype=np.float64)
    if not len(good):
        return np.zeros(max(len(moments) - 1, 0))
    lengths = good[:, 1] - good[:, 0]
    before = np.searchsorted(good[:, 0], moments, side="right") - 1
    earlier = np.concatenate(([0.0], np.cumsum(lengths)[:-1]))
    index = np.maximum(before, 0)
    part = np.clip(moments - good[index, 0], 0.0, lengths[index])
    # Differences of times, not of cumulated times: a bin inside one interval is exact.
    return np.where(
        before[1:] == before[:-1],
        np.where(before[1:] >= 0, part[1:] - part[:-1], 0.0),
        earlier[index[1:]] + part[1:] - np.where(before[:-1] >= 0, earlier[index[:-1]] + part[:-1], 0.0),
    )


def _as_intervals(intervals: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(intervals, dtype=np.float64)
    if array.size == 0:
        return np.empty((0, 2))
    if array.ndim != 2 or array.shape[1] != 2:
        raise DataError(
            "gti",
            f"good time intervals have the shape (n, 2), not {array.shape}",
            remedy="give pairs of a start and a stop time in seconds",
        )
    if not np.isfinite(array).all():
        raise DataError(
            "gti",
            "a good time interval starts or stops at a time that is not a finite number",
            remedy="fetch the event list again",
        )
    return array[array[:, 1] > array[:, 0]]


def _sweep(lists: Iterable[NDArray[np.float64]], depth: int) -> NDArray[np.float64]:
    """Stretches in which at least `depth` intervals are open."""
    intervals = np.concatenate([np.empty((0, 2)), *lists])
    if depth == 1 and _is_normal(intervals):
        return intervals
    times = intervals.ravel(order="F")
    # The starts are first, and a stable sort leaves them before the stops of equal time: what touches is joined.
    # Sorted lists are runs that it merges.
    order = np.argsort(times, kind="stable")
    level = np.cumsum(np.where(order < len(intervals), 1, -1))
    before = np.concatenate(([0], level[:-1]))
    times = times[order]
    found = np.column_stack((times[(level >= depth) & (before < depth)], times[(level < depth) & (before >= depth)]))
    # Two lists that only touch overlap nowhere: drop what has no length.
    return found[found[:, 1] > found[:, 0]]


def _is_normal(intervals: np.ndarray) -> bool:
    edges = intervals.ravel()
    return bool((edges[1:] > edges[:-1]).all())
