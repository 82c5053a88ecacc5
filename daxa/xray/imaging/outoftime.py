"""Out-of-time events: photons that came while a chip was read out, and are recorded in a wrong row.

During the read-out charges move along their column, so that a photon that comes meanwhile is
recorded anywhere along it.  What a column recorded in time shows how much that is: a share of
its counts, known for each mode, spread evenly over its rows.  SAS's epchain shifts the events
by random rows instead (``withoutoftime=Y``), and leaves the scaling to the user; here the
expected counts are computed, so that the same list gives the same image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from daxa.errors import DataError, NotPossible
from daxa.xray.cleaning.cut import Cut, chosen
from daxa.xray.eventlists.cards import card_text
from daxa.xray.eventlists.event_list import EventList
from daxa.xray.eventlists.fits_tables import in_machine_order, read_numbers
from daxa.xray.imaging.attitude import Attitude
from daxa.xray.imaging.exposure_map import Cards, coverage, dither_kernel, smeared
from daxa.xray.imaging.footprint import find_footprint
from daxa.xray.imaging.image import ImageGrid
from daxa.xray.telescopes.detector import Detector
from daxa.xray.telescopes.registry import camera_of

__all__ = ["OutOfTime", "out_of_time_image", "read_counted"]


@dataclass(frozen=True, eq=False)
class OutOfTime:
    """The expected counts of out-of-time events.

    Parameters
    ----------
    counts
        float32, shape (ny, nx).
    fraction
        Their share of the counts of the mode.
    cards
        What the image's header should say: keyword to (value, comment).
    """

    counts: np.ndarray
    fraction: float
    cards: Cards


def out_of_time_image(events: EventList, cut: Cut, grid: ImageGrid, *, attitude: Attitude | None = None) -> OutOfTime:
    """The image of out-of-time events.

    Parameters
    ----------
    events
        The event list.
    cut
        The events of the image that it belongs to; energies are taken as they are, though an event
        in a wrong row was corrected for the charge that another row loses.
    grid
        The grid of the image.
    attitude
        As for `daxa.xray.imaging.exposure_map.exposure_map`.

    Returns
    -------
    OutOfTime
        Counts fall on the same pixels as the camera's events: within its field of view, and not on bad
        pixels.  The telescope's dither is that of the exposure.

    Raises
    ------
    NotPossible
        The instrument is another, its mode has no such events, or its events do not say where its chips
        looked.
    """
    mode = card_text(events.header, "SUBMODE") or card_text(events.primary, "SUBMODE")
    camera = camera_of(events.format.mission, events.format.instrument)
    readout, detector = camera.readout, camera.detector
    fraction = readout.fractions.get(mode) if readout else None
    if readout is None or detector is None or fraction is None:
        raise NotPossible(
            "out-of-time",
            f"the share of out-of-time events of {events.format.title} is not known in the mode {mode or 'unknown'}",
            remedy="leave out_of_time at none",
        )
    footprint = find_footprint(events, Cut(cut.rules, cut.gtis), attitude)
    if not footprint.modules:
        raise NotPossible(
            "out-of-time",
            f"there are too few events to locate the chips of {events.path.name}",
            remedy="leave out_of_time at none",
        )
    columns, (low, high) = _columns(events, cut, detector)
    rows = detector.size[1] if mode in readout.whole else high - low + 1
    kernel = dither_kernel(footprint.dither / grid.bin, footprint.weights)
    total = np.zeros((grid.ny, grid.nx))
    for module in footprint.modules:
        per_pixel = fraction * columns.get(module.chip, np.zeros(detector.size[0])) / rows
        mask = module.mask * per_pixel[None, :]
        # No event comes from the rows that the camera does not send.
        mask[: low - detector.first] = 0.0
        mask[high - detector.first + 1 :] = 0.0
        area = grid.bin**2 / abs(np.linalg.det(module.matrix))
        total += area * smeared(coverage(replace(module, mask=mask), grid, footprint.circle), kernel)
    cards: dict[str, tuple[object, str]] = {
        "OOTFRAC": (fraction, "out-of-time events as a share of all"),
        "OOTMODE": (mode, "mode to which the share belongs"),
        "OOTREF": (readout.source, "source"),
        "OOTCNTS": (round(float(total.sum()), 3), "expected out-of-time counts"),
    }
    return OutOfTime(total.astype(np.float32), fraction, cards)


def read_counted(image: Path, readout: Path | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The counts of an image as they were counted, and those of them that were subtracted when it was written.

    Parameters
    ----------
    image
        The image, which says whether out-of-time events were subtracted (``OOTCORR``).
    readout
        The expected out-of-time events, if there is such a file.

    Raises
    ------
    DataError
        They were subtracted, and the file is not here or has another shape.
    """
    pixels, header = fits.getdata(image), fits.getheader(image)
    if header.get("OOTCORR") is not True:
        return pixels, None
    if readout is None or not readout.is_file():
        raise DataError(
            "out-of-time",
            f"out-of-time events were subtracted from {image.name}, and their image (ootimage) is not here",
            remedy="`daxa pull` brings the data of a release, `daxa run` makes them",
        )
    expected = fits.getdata(readout).astype(np.float64)
    if expected.shape != pixels.shape:
        raise DataError("shape", f"{readout.name} and {image.name} differ in shape", remedy="run the step images again")
    return np.rint(pixels.astype(np.float64) + expected).astype(np.int32), expected


def _columns(events: EventList, cut: Cut, detector: Detector) -> tuple[dict[int, np.ndarray], tuple[int, int]]:
    """Chip to counts of its columns, and the first and last row from which any event came."""
    nx, ny = detector.size
    found: dict[int, np.ndarray] = {chip: np.zeros(nx) for chip in cut.gtis}
    low, high = detector.first + ny - 1, detector.first
    for rows in events.chunks(events.block):
        kept = chosen(events, cut, rows, sky=True)
        if len(kept) == 0:
            continue
        raw_x, raw_y, chips = (
            in_machine_order(read_numbers(rows, name))[kept].astype(np.int64)
            for name in (*detector.raw, events.format.chip_column)
        )
        low, high = min(low, int(raw_y.min())), max(high, int(raw_y.max()))
        for chip in found:
            own = raw_x[chips == chip] - detector.first
            found[chip] += np.bincount(own[(own >= 0) & (own < nx)], minlength=nx)
    return found, (max(low, detector.first), min(high, detector.first + ny - 1))
