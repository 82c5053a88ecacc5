"""What every declaration of a telescope must satisfy, as checks for its author's tests.

Each function raises `AssertionError` with words that say what is wrong, and returns
nothing.  They need neither network nor data::

    from daxa.xray.telescopes.contract import check_telescope

    def test_the_declaration():
        check_telescope(TELESCOPE)
"""

from __future__ import annotations

import math
import re
from itertools import combinations, pairwise

import numpy as np

from daxa.xray.telescopes.detector import Detector
from daxa.xray.telescopes.eventformat import EventFormat
from daxa.xray.telescopes.imaging import Imaging
from daxa.xray.telescopes.optics import PsfFacts, Vignetting
from daxa.xray.telescopes.rule import Either, Rule
from daxa.xray.telescopes.spec import Camera, Telescope

__all__ = ["check_telescope"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_CARD = re.compile(r"[A-Z0-9_\-]{1,8}")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,67}")
_VALUE = re.compile(r"[A-Z0-9 /+.\-]{1,30}")
_EARLIEST, _LATEST = 30000.0, 80000.0
"""MJD between which X-ray telescopes may count their times from: 1941 and 2077."""


def check_telescope(telescope: Telescope) -> None:
    """Check a declaration for itself: complete, consistent, with its sources.

    Parameters
    ----------
    telescope
        The declaration.

    Raises
    ------
    AssertionError
        What is wrong with it.

    Examples
    --------
    >>> from daxa.xray.telescopes import telescopes
    >>> check_telescope(telescopes()["swift"])
    """
    _require(telescope, _NAME.fullmatch(telescope.name) is not None, "its name is not a short lower-case word")
    _require(telescope, bool(telescope.telescop), "no value of TELESCOP recognises its lists")
    _require(telescope, len({*telescope.telescop}) == len(telescope.telescop), "it has a value of TELESCOP twice")
    for value in telescope.telescop:
        _require(telescope, _VALUE.fullmatch(value) is not None, f"TELESCOP cannot be {value!r}: give it in capitals")
    _require(telescope, bool(telescope.formats or telescope.not_native), "nothing is said of its event lists")
    for key, form in telescope.formats.items():
        whole = 1 <= len(key) <= 2 and all(_VALUE.fullmatch(part) for part in key)
        _require(telescope, whole, f"{key!r} is not INSTRUME, or INSTRUME and a mode, in capitals")
        _check_format(telescope, form)
    for start, reason in telescope.not_native.items():
        _require(telescope, bool(reason.strip()), f"nothing says why lists of {start!r} are not processed")
    for one, other in combinations(telescope.cameras, 2):
        shared = {*one.instruments} & {*other.instruments}
        apart = one.missions and other.missions and not {*one.missions} & {*other.missions}
        _require(telescope, not shared or bool(apart), f"two cameras are called {', '.join(sorted(shared))}")
    for mission, imaging in telescope.imaging.items():
        _check_imaging(telescope, mission, imaging)
    for camera in telescope.cameras:
        _check_camera(telescope, camera)


def _check_format(telescope: Telescope, form: EventFormat) -> None:
    def require(condition: bool, what: str) -> None:
        _require(telescope, condition, f"{form.title}: {what}")

    require(_NAME.fullmatch(form.mission) is not None, f"{form.mission!r} is not the short name of a mission")
    require(bool(form.instrument), "it names no instrument")
    require(form.pi_limits[0] <= form.pi_limits[1], f"channels {form.pi_limits} fall")
    if form.pi_to_kev is None:
        refused = {one.product for one in form.refusals if not one.card}
        require("energy-band" in refused, "its channels have no energies, and it does not refuse energy bands")
    else:
        require(form.pi_to_kev[1] > 0, "a channel has no width in energy")
    require(form.mjdref is None or _EARLIEST < form.mjdref < _LATEST, f"its times cannot count from MJD {form.mjdref}")
    require(form.pixel_arcsec >= 0 and form.field_arcmin >= 0, "a pixel or a field has a negative size")
    require(form.cell_arcsec > 0, "the cells of its sky have no size")
    require(form.sky_limits is None or form.sky_limits[0] < form.sky_limits[1], "its sky columns have no extent")
    columns = [form.time_column, form.pi_column, form.chip_column or "X", form.energy_column or "X"]
    require(all(map(_COLUMN.fullmatch, columns)), f"{', '.join(columns)} are not all names of columns")
    require(bool(form.tables and form.gti_tables), "it names no table of events, or none of good times")
    require(form.gti_scheme in ("single", "every") or bool(form.chip_column), "good times of chips need their column")
    require(not form.flag_card or bool(form.rules), "a card declares flags for which there is no rule")
    for one in form.refusals:
        require(bool(one.reason.strip()), f"nothing says why it gives no {one.product}")
        require(bool(one.card) == bool(one.values), f"it gives no {one.product} in modes that it does not name")
    for rule in (*form.rules, *form.unverified):
        require(bool(rule.source.strip()), f"the rule {rule} has no source")
        require(_is_rule(rule), f"{rule} is not a rule")
    for card, _ in form.chip_cards:
        require(_CARD.fullmatch(card.format(7)) is not None, f"{card!r} makes no keyword of a chip")


def _is_rule(rule: Rule | Either) -> bool:
    if isinstance(rule, Either):
        return all(_is_rule(one) for way in rule.ways for one in way)
    return _COLUMN.fullmatch(rule.column) is not None and (rule.op not in ("between", "within") or _rises(rule.value))


def _rises(value: object) -> bool:
    match value:
        case (int() | float() as first, int() | float() as last):
            return first <= last
    return False


def _check_imaging(telescope: Telescope, mission: str, imaging: Imaging) -> None:
    def require(condition: bool, what: str) -> None:
        _require(telescope, condition, f"images of {mission}: {what}")

    require(mission in telescope.missions, "its event formats do not know this mission")
    forms = [form for form in telescope.formats.values() if form.mission == mission]
    names = {form.instrument for form in forms}
    ordered = sorted(imaging.bands, key=lambda band: band.pi)
    require(bool(ordered), "there are no bands")
    require(list(imaging.bands) == ordered, "the bands do not rise")
    for band in ordered:
        require(0 < band.lo < band.hi, f"{band.text} is an empty band")
        require({name for name, _ in band.others} <= names, f"{band.text} is for an instrument that it does not have")
    for below, above in pairwise(ordered):
        require(below.hi <= above.lo, "bands share energies")
    for name in ("", *sorted(names)):
        ranges = [band.channels(name) for band in ordered]
        require(all(first <= last for first, last in ranges), "a band has no channels")
        for (lo, last), (first, hi) in pairwise(ranges):
            require(last < first, f"bands share channels: {lo}-{last} and {first}-{hi}")
    shows = any(form.pixel_arcsec > 0 for form in forms)
    require(imaging.pixel > 0 or not shows, "nothing says how large their pixels are")
    require(all(0 < size < math.inf for size in imaging.pixels.values()), "a pixel has no size")
    if imaging.flares is not None:
        pairs = [pair for pair in (imaging.flares.band, imaging.flares.soft) if pair is not None]
        require(all(0 < lo < hi for lo, hi in pairs) and imaging.flares.bin > 0, "flares are searched in an empty band")


def _check_camera(telescope: Telescope, camera: Camera) -> None:
    title = "/".join(camera.instruments)
    _require(telescope, bool(camera.instruments), "a camera has no name")
    foreign = {*camera.missions} - {*telescope.missions}
    _require(telescope, not foreign, f"{title}: its event formats know no mission {', '.join(sorted(foreign))}")
    if camera.detector is not None:
        _check_detector(telescope, title, camera.detector)
    for curve in camera.vignetting:
        _check_curve(telescope, title, curve)
    if camera.psf is not None:
        _check_psf(telescope, title, camera.psf)
    lowest = [curve.kev[0] for curve in camera.vignetting]
    _require(telescope, lowest == sorted(lowest), f"{title}: its vignetting curves do not rise in energy")
    _require(telescope, all(rate > 0 for rate in camera.pile_up.values()), f"{title}: photons pile up at no rate")
    _require(telescope, not camera.pile_up or "" in camera.pile_up, f"{title}: it lacks the pile-up of other modes")
    if camera.corners is not None:
        limits = [one for one in camera.corners.limits.values() if one is not None]
        _require(telescope, all(low <= high for low, high in limits), f"{title}: limits of its corners fall")
    if camera.readout is not None:
        shares = camera.readout.fractions.values()
        _require(telescope, all(0 < one < 1 for one in shares), f"{title}: out-of-time events are a share of all")
        _require(telescope, bool(camera.readout.source), f"{title}: its out-of-time events have no source")
        _require(telescope, camera.detector is not None, f"{title}: out-of-time events need its detector")


def _check_detector(telescope: Telescope, title: str, detector: Detector) -> None:
    names = (*detector.raw, *detector.plane)
    _require(telescope, all(map(_COLUMN.fullmatch, names)), f"{title}: {', '.join(names)} are not names of columns")
    sizes = (*detector.size, detector.raw_scale, detector.sky_scale, detector.dither, detector.field)
    _require(telescope, all(0 < one < math.inf for one in sizes), f"{title}: a length of its detector is not positive")
    _require(telescope, detector.sense in (-1, 1), f"{title}: the roll turns one way or the other, +1 or -1")


def _check_curve(telescope: Telescope, title: str, curve: Vignetting) -> None:
    _require(telescope, bool(curve.reference.strip()), f"{title}: a vignetting curve has no source")
    lo, hi = curve.kev
    _require(telescope, 0 <= lo < hi, f"{title}: a vignetting curve holds for no energy")
    angles = np.linspace(0.0, curve.clamp, 40)
    # A few energies at which it holds; curves without them ignore the value.
    energies = np.linspace(lo, min(hi, lo + 10.0), 5)[1:-1] if curve.by_energy else (math.nan,)
    for energy in energies:
        shares = np.asarray(curve.shape(angles, float(energy)), dtype=float)
        falls = shares.shape == angles.shape and bool(np.isfinite(shares).all()) and abs(shares[0] - 1.0) < 1e-3
        _require(telescope, falls, f"{title}: a vignetting curve is not 1 on the axis, or not finite off it")


def _check_psf(telescope: Telescope, title: str, psf: PsfFacts) -> None:
    named = _VALUE.fullmatch(psf.name) is not None
    _require(telescope, named, f"{title}: its PSF cannot be called {psf.name!r}: give a short name in capitals")
    _require(telescope, bool(psf.source.strip()), f"{title}: its PSF has no source")
    lo, hi = psf.energies
    _require(telescope, 0 < lo < hi and psf.angle >= 0, f"{title}: its PSF holds for no energy or angle")
    radii = np.concatenate(([0.0], np.geomspace(0.01, 36000.0, 400)))
    for kev in (lo, math.sqrt(lo * hi), hi):
        for angle in (0.0, psf.angle):
            shares = np.asarray(psf.eef(kev, angle)(radii), dtype=float)
            grows = shares.shape == radii.shape and bool((np.diff(shares) >= -1e-9).all()) and abs(shares[0]) < 1e-9
            _require(telescope, grows, f"{title}: its encircled energy does not grow from 0 ({kev:g} keV, {angle:g}')")
            _require(telescope, 0.9 < shares[-1] < 1 + 1e-9, f"{title}: its encircled energy does not reach 1")


def _require(telescope: Telescope, condition: bool, what: str) -> None:
    if not condition:
        raise AssertionError(f"telescope {telescope.name!r}: {what}")
