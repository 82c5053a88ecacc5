"""What the sample observatory observed, and when: the programme, as data."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CHANDRA", "NUSTAR", "XMM", "AcisPointing", "EpicPointing", "FpmPointing"]


@dataclass(frozen=True)
class EpicPointing:
    """One observation.

    Parameters
    ----------
    obs_id
        Ten digits.
    target
        Name of the object.
    ra, dec, roll
        Pointing and position angle, degrees.
    start
        Begin, MJD UTC.
    seconds
        Length of the MOS exposures.
    flares
        Soft proton flares: begin and end as shares of the exposure, peak counts per second in a MOS.
    """

    obs_id: str
    target: str
    ra: float
    dec: float
    roll: float
    start: float
    seconds: float
    flares: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True)
class AcisPointing:
    """One ACIS-I observation.

    Parameters
    ----------
    obs_id, target
        As in the archive.
    ra, dec, roll
        Nominal pointing, degrees.
    start
        Begin, MJD UTC.
    seconds
        Length.
    flare
        Begin and end as shares of the length, and counts per second per chip, of a background flare.
    """

    obs_id: str
    target: str
    ra: float
    dec: float
    roll: float
    start: float
    seconds: float
    flare: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class FpmPointing:
    """One observation.

    Parameters
    ----------
    obs_id, target
        As in the archive.
    ra, dec, roll
        Pointing and position angle, degrees.
    start
        Begin, MJD UTC.
    seconds
        Length, of which the Earth hides about half.
    """

    obs_id: str
    target: str
    ra: float
    dec: float
    roll: float
    start: float
    seconds: float


XMM = (
    EpicPointing("0900000101", "Abell 907", 149.600, -11.072, 306.72, 58258.25, 12000.0),
    EpicPointing(
        "0900000201",
        "Abell 907",
        149.650,
        -11.040,
        122.40,
        58446.50,
        10000.0,
        flares=((0.10, 0.30, 14.0), (0.45, 0.60, 22.0), (0.80, 0.88, 8.0)),
    ),
)

CHANDRA = (
    AcisPointing("90001", "Abell 907", 149.595, -11.060, 41.4, 58130.10, 14000.0),
    AcisPointing("90002", "Abell 907", 149.560, -11.090, 283.0, 58151.70, 9000.0, flare=(0.55, 0.70, 2.5)),
)

NUSTAR = (FpmPointing("90900001002", "Abell_907", 149.600, -11.070, 153.0, 58311.40, 36000.0),)
