"""Statistics of few counts: errors, upper limits and chances, for arrays of any shape."""

from __future__ import annotations

import numpy as np
from scipy.special import gammaincc, gammainccinv, gammaincinv, pdtrc

__all__ = ["chance_of", "count_errors", "upper_limit"]

_ONE_SIGMA = 0.8413447460685429


def upper_limit(counts: np.ndarray, background: np.ndarray, level: float = 0.9) -> np.ndarray:
    """Source counts that are not exceeded at a level of confidence.

    Parameters
    ----------
    counts
        Counts found, whole numbers, any shape.
    background
        Counts expected without a source, known without error, of the same shape.
    level
        Confidence, a share between 0 and 1.

    Returns
    -------
    ndarray
        Of that shape: the S for which the posterior of Kraft, Burrows & Nousek 1991, ApJ 374, 344 (Eq. 6 to 8: a
        Poisson likelihood of S + B, and a prior that is flat for S >= 0) holds the share `level`
        below it; NaN where a background is negative or unknown.

    Notes
    -----
    The posterior is a cut gamma distribution, so that the integral has a closed form: with
    Q the regularised upper incomplete gamma function, Q(N + 1, B + S) = (1 - level) Q(N + 1, B).

    Examples
    --------
    >>> float(upper_limit(0, 3.0, 0.9).round(4)), float(upper_limit(5, 1.5, 0.9).round(3))
    (2.3026, 7.783)
    """
    found, expected = (np.asarray(one, dtype=np.float64) for one in (counts, background))
    known = (found >= 0) & (expected >= 0)
    found, expected = np.where(known, found, 0.0), np.where(known, expected, 0.0)
    tail = gammaincc(found + 1.0, expected)
    limit = gammainccinv(found + 1.0, (1.0 - level) * tail) - expected
    # So far above all counts the posterior is an exponential, and its integral too small for a double.
    far = -np.log1p(-level) * expected / np.maximum(expected - found, 1.0)
    return np.where(known, np.where((tail > 1e-290) & np.isfinite(limit), limit, far), np.nan)


def count_errors(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One-sigma errors of a number of counts, below and above.

    The limits of Gehrels 1986, ApJ 303, 336 (Eq. 1 and 2, solved exactly rather than by the
    approximations that follow them) at a confidence of 0.8413.

    Examples
    --------
    >>> [float(side.round(3)) for side in count_errors(9)]
    [2.943, 4.11]
    """
    found = np.asarray(counts, dtype=np.float64)
    upper = gammaincinv(found + 1.0, _ONE_SIGMA)
    lower = np.where(found > 0, gammaincinv(np.maximum(found, 1.0), 1.0 - _ONE_SIGMA), 0.0)
    return found - lower, upper - found


def chance_of(counts: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Probability of that many counts or more where only the background is expected.

    Examples
    --------
    >>> chance_of(np.array([0, 1]), 0.0).tolist()
    [1.0, 0.0]
    """
    found, expected = (np.asarray(one, dtype=np.float64) for one in (counts, background))
    return np.where(found > 0, pdtrc(np.maximum(found - 1, 0), expected), np.where(np.isnan(expected), np.nan, 1.0))
