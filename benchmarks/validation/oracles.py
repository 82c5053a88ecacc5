"""Real data beside what somebody else's software made of them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from astropy.io import fits

from benchmarks.validation.chain import search_field
from benchmarks.validation.checks import Check, Figure, NoDataError, at_most, between, equal, real_data, told
from benchmarks.validation.scenes import populated
from daxa.xray.cleaning.cut import select, standard_cut
from daxa.xray.cleaning.livetime import livetime, ontime
from daxa.xray.eventlists import gti
from daxa.xray.eventlists.opening import open_events
from daxa.xray.imaging.exposure_map import exposure_map
from daxa.xray.imaging.image import ImageGrid, count_image, grid_for, image_header
from daxa.xray.imaging.vignetting import axis_pixel, vignetting_for
from tests.xray.reallists import LISTS

__all__ = ["CHECKS"]

A907 = "xmm/0404910601"
GRID = ImageGrid(3649, 3649, 87, 512, 512)


def _need(module: str) -> None:
    try:
        __import__(module)
    except ImportError:
        raise NoDataError(f"{module} is not installed") from None


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NoDataError(f"{name} is not installed")
    return found


def check_sas_image(_scale: float) -> list[Figure]:
    """The image of MOS1 that evselect made."""
    data = real_data()
    events = open_events(data / LISTS["xmm-0404910601-m1"].path)
    grid = grid_for(events, 4.35)
    cut = standard_cut(events, pi=(500, 2000))
    image = count_image(events, cut, grid)
    golden, theirs = fits.getdata(data / f"{A907}/images/0404910601_mos1_exp1-0.50-2.00keVimg.fits", header=True)
    ours = image_header(events, cut, grid)
    cards = [f"{word}{axis}" for word in ("CRPIX", "CRVAL", "CDELT") for axis in (1, 2)]
    worst = max(abs(ours[card] - theirs[card]) / max(abs(theirs[card]), 1e-30) for card in cards)
    return [
        equal(f"pixels ({int(golden.sum()):,} counts)", int((image != golden).sum()), golden.size),
        at_most("world coordinates, largest relative difference", worst, 1e-12, form="{:.1e}"),
        at_most("EXPOSURE, relative difference", abs(ours["EXPOSURE"] / theirs["EXPOSURE"] - 1), 1e-9, form="{:.1e}"),
    ]


def check_livetimes(_scale: float) -> list[Figure]:
    """Good and live time of each chip."""
    data, figures = real_data(), []
    cards = {"xmm": ("ONTIME{:02d}", "LIVETI{:02d}"), "chandra": ("ONTIME{}", "LIVTIME{}"), "nustar": ("", "LIVETIME")}
    for name, entry in LISTS.items():
        events = open_events(data / entry.path)
        good, live = ontime(events, events.gtis), livetime(events, events.gtis)
        off = []
        for chip in live:
            for ours, card in zip((good[chip], live[chip]), cards[events.format.mission], strict=True):
                if card:
                    off.append(abs(ours / events.header[card.format(chip)] - 1))
        figures.append(
            at_most(f"{name}, {len(live)} chips, largest relative difference", max(off), 1e-8, form="{:.1e}")
        )
    return figures


def check_cfitsio(_scale: float) -> list[Figure]:
    """Filtering, good times and binning by CFITSIO's extended file names."""
    _need("fitsio")
    from tests.xray.oracle import binned, filtered_times

    data, figures = real_data(), []
    for name, entry in LISTS.items():
        events = open_events(data / entry.path)
        cut, grid = standard_cut(events, pi=entry.band), grid_for(events, entry.pixel)
        tables = {chip: (table,) for chip, table in entry.tables.items()}
        image, theirs = count_image(events, cut, grid), binned(events, grid, cut.rules, entry.band, tables)
        figures.append(equal(f"{name}: pixels ({int(image.sum()):,} counts)", int((image != theirs).sum()), image.size))
        ours = np.sort(events.column(events.format.time_column)[select(events, cut, events.rows)])
        kept = filtered_times(events, cut.rules, entry.band, tables)
        differing = len(kept) if len(ours) != len(kept) else int((ours != kept).sum())
        figures.append(equal(f"{name}: times of kept rows", differing, len(kept)))
    return figures


def check_gti(scale: float) -> list[Figure]:
    """Intersections, unions and complements beside a raster of seconds; membership beside CFITSIO's gtifilter."""
    rng, wrong, cases = np.random.default_rng(91), 0, max(20, round(300 * scale))
    for _ in range(cases):
        lists = [np.sort(rng.integers(0, 400, (rng.integers(0, 12), 2)), axis=1) for _ in range(3)]
        rasters = [_raster(one) for one in lists]
        wrong += not np.array_equal(_raster(gti.intersect(*lists)), np.logical_and.reduce(rasters))
        wrong += not np.array_equal(_raster(gti.union(*lists)), np.logical_or.reduce(rasters))
        wrong += not np.array_equal(_raster(gti.complement(lists[0], 0, 400)), ~rasters[0])
        wrong += gti.total(lists[0]) != rasters[0].sum()
    figures = [equal("set operations beside a raster", wrong, 4 * cases)]
    _need("fitsio")
    import fitsio

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "times.fits"
        good = gti.normalise([(start, start + 20.0 * width) for start, width in rng.random((2000, 2)) * [1e5, 1.0]])
        times = np.concatenate((rng.uniform(-10, 1e5 + 10, 200_000), good[:, 0]))
        units = [fits.PrimaryHDU()]
        units.append(fits.BinTableHDU.from_columns([fits.Column("TIME", "D", array=times)], name="EVENTS"))
        columns = [fits.Column(key, "D", array=values) for key, values in zip(("START", "STOP"), good.T, strict=True)]
        units.append(fits.BinTableHDU.from_columns(columns, name="GTI"))
        fits.HDUList(units).writeto(path)
        with fitsio.FITS(f'{path}[EVENTS][gtifilter("{path}[GTI]", TIME, "START", "STOP")]') as kept:
            theirs = np.sort(kept["EVENTS"].read_column("TIME"))
        ours = np.sort(times[gti.contains(good, times)])
        differing = len(theirs) if len(ours) != len(theirs) else int((ours != theirs).sum())
        figures.append(equal(f"times in {len(good):,} intervals, starts among them, beside gtifilter", differing,
                             len(times)))  # fmt: skip
    return figures


def _raster(intervals) -> np.ndarray:
    cells = np.zeros(400, bool)
    for start, stop in np.asarray(intervals, float).reshape(-1, 2):
        cells[int(start) : int(stop)] = True
    return cells


def check_sky(_scale: float) -> list[Figure]:
    """Event positions by astropy's wcslib, from the cards of the column pair as another reader reads them."""
    _need("fitsio")
    data, figures, turned = real_data(), [], 0.0
    for name, path in ({name: entry.path for name, entry in LISTS.items()} | _MORE_LISTS).items():
        ours, plain, whole = _positions(data / path)
        off = float(ours.separation(plain).arcsec.max())
        turned = max(turned, float(ours.separation(whole).arcsec.max()))
        figures.append(at_most(f"{name}: arcsec, largest of {len(ours)}", off, 0.005, form="{:.1e}"))
    return [*figures, told("FK5 (J2000) taken as ICRS: arcsec, largest of all", f"{turned:.3f}")]


_MORE_LISTS = {
    "rosat-us800282p": "rosat/rosat.evt",
    "ixpe-01006501": "ixpe/ixpe01006501_det1_evt2_v15.fits.gz",
    "chandra-242": "chandra/acis_00242_sgra_evt2.fits.gz",
    "chandra-13839": "chandra/acis_13839_sgra_evt2.fits.gz",
}


def _positions(path: Path):
    """Positions of 500 events: daxa's, wcslib's in the frame of the file, and those brought to ICRS."""
    import fitsio
    from astropy.coordinates import SkyCoord
    from astropy.wcs import WCS

    events = open_events(path)
    axes = events.sky.columns
    with fitsio.FITS(str(path)) as units:
        table = next(one for one in units if one.has_data() and axes[0] in getattr(one, "get_colnames", list)())
        cards, names = table.read_header(), table.get_colnames()
        rows = np.linspace(0, table.get_nrows() - 1, 500).astype(int)
        places = np.column_stack([table.read_column(axis, rows=rows) for axis in axes]).astype(float)
    plane = WCS(naxis=2)
    for key, attribute in (("TCRPX", "crpix"), ("TCRVL", "crval"), ("TCDLT", "cdelt"), ("TCTYP", "ctype")):
        values = [cards[f"{key}{names.index(axis) + 1}"] for axis in axes]
        setattr(plane.wcs, attribute, values if key == "TCTYP" else [float(one) for one in values])
    frame = str(cards.get("RADESYS", cards.get("RADECSYS", "FK5")) or "FK5").strip().lower()
    inside = (places > 0).all(axis=1) & np.isfinite(places).all(axis=1)
    right = plane.wcs_pix2world(*places[inside].T, 1)
    ours = np.asarray(events.positions())[rows[inside]]
    return SkyCoord(ours, unit="deg"), SkyCoord(*right, unit="deg"), SkyCoord(*right, unit="deg", frame=frame).icrs


def _rings(what: str, ours: np.ndarray, theirs: np.ndarray, angle: np.ndarray, most: float = 0.02) -> list[Figure]:
    seen, expected = ours > 0, theirs > 0
    both = seen & expected
    off = ours[both] / theirs[both] - 1
    medians = [float(np.median(off[(angle[both] >= low) & (angle[both] < low + 3)])) for low in (0, 3, 6, 9)]
    outside = float(np.median(off[(angle[both] >= 12) & (angle[both] < 15)]))
    return [
        between(f"{what}: total exposure over SAS's", ours.sum() / theirs.sum(), 0.98, 1.02),
        between(f"{what}: pixels exposed in both over in either", both.sum() / (seen | expected).sum(), 0.98, 1.0),
        at_most(f"{what}: median difference in the worst ring of 3 arcmin, to 12 arcmin", max(map(abs, medians)), most,
                form="{:.3f}"),
        at_most(f"{what}: the same from 12 to 15 arcmin", abs(outside), 2 * most, form="{:.3f}"),
        told(f"{what}: pixels within 5 %", f"{100 * float((np.abs(off) < 0.05).mean()):.1f} %"),
    ]  # fmt: skip


def check_maps(_scale: float) -> list[Figure]:
    """Exposure maps of eexpmap; curves fitted to them, and curves of another camera."""
    data, figures = real_data(), []
    maps = {
        ("M1", (0.5, 2.0)): "images/0404910601_mos1_exp1-0.50-2.00keVexpmap.fits",
        ("M2", (0.5, 2.0)): "maps/0404910601_mos2_exp1-0.50-2.00keVexpmap.fits.gz",
        ("M2", (2.0, 10.0)): "maps/0404910601_mos2_exp1-2.00-10.00keVexpmap.fits.gz",
    }
    flat = {}
    for (camera, band), path in maps.items():
        events = open_events(data / LISTS[f"xmm-0404910601-{camera.lower()}"].path)
        theirs = fits.getdata(data / A907 / path).astype(float)
        if camera not in flat:
            flat[camera] = exposure_map(events, standard_cut(events), GRID)[0].astype(float)
        own = vignetting_for("xmm", camera, band)
        other = replace(vignetting_for("xmm", "PN", band), axis=own.axis)
        name = f"{camera} {band[0]:g}-{band[1]:g} keV"
        for label, curve in ((f"{name}, own curve (in sample)", own), (f"{name}, curve of pn (out of sample)", other)):
            x0, y0 = axis_pixel(events, curve)
            columns, lines = ((start + (np.arange(512) + 0.5) * 87 - 0.5 - at) * 0.05 / 60
                              for start, at in ((GRID.x0, x0), (GRID.y0, y0)))  # fmt: skip
            angle = np.hypot(columns[None, :], lines[:, None])
            figures += _rings(label, flat[camera] * curve.factor(angle), theirs, angle, 0.02 if curve is own else 0.03)
    figures.append(told("pn", "no event list of pn is at hand: its footprint is compared with nothing"))
    return figures


def check_mosaic(_scale: float) -> list[Figure]:
    """Counts and exposure of a mosaic on other pixels, beside the sums of its members."""
    from daxa.xray.imaging.members import EventMember
    from daxa.xray.imaging.mosaicking import make_mosaic, mosaic_grid

    data, members, counts, flux = real_data(), [], 0, 0.0
    for camera in ("m1", "m2"):
        events = open_events(data / LISTS[f"xmm-0404910601-{camera}"].path)
        cut = standard_cut(events, pi=(500, 2000))
        curve = vignetting_for("xmm", camera.upper(), (0.5, 2.0))
        seconds, _ = exposure_map(events, cut, GRID, vignetting=curve)
        members.append(EventMember(events, cut, GRID, seconds))
        counts += int(select(events, cut, events.rows, sky=True).sum())
        flux += float(seconds.sum(dtype=float)) * 4.35**2
    made = make_mosaic(members, mosaic_grid(members, 3.0))
    return [
        equal("counts", abs(int(made.counts.sum()) - counts), counts),
        between("exposure times area over that of the members", float(made.exposure.sum(dtype=float)) * 9.0 / flux,
                0.998, 1.002, digits=5),
    ]  # fmt: skip


def check_limits(scale: float) -> list[Figure]:
    """How often a source lies below its 90 % upper limit."""
    import contextlib
    import io

    from benchmarks.detection import bench_limits

    with contextlib.redirect_stdout(io.StringIO()):
        covered: Mapping[str, float] = bench_limits(max(100, round(1500 * scale)))
    worst = {name: value for name, value in covered.items() if name.startswith("3 to 40")}
    return [
        *(between(f"sources of {name.replace('/', ' counts on ')} ct/pixel", value, 0.88, 0.92)
          for name, value in worst.items()),
        *(between(f"sources of {name.replace('/', ' counts on ')} ct/pixel", value, 0.88, 1.0)
          for name, value in covered.items() if name not in worst),
    ]  # fmt: skip


def check_psf(_scale: float) -> list[Figure]:
    """Encircled energies that daxa fits with, beside measured ones."""
    from benchmarks.validation.optics import EPIC_EEF, acis_radii
    from daxa.xray.detection.psf import psf_for

    figures = []
    for camera, table in EPIC_EEF.items():
        psf = psf_for(camera, 1.0, kev=1.0)
        off = max((float(psf.eef(radius)) - share for radius, share in table), key=abs)
        figures.append(Figure(f"{camera}: largest difference from 15 to 60 arcsec", f"{off:+.3f}",
                              "within 0.05, the table's own error", abs(off) <= 0.05))  # fmt: skip
    psf = psf_for("ACIS", 1.0, kev=1.49)
    for arcmin in (2.0, 5.0, 8.0):
        for share, radius in zip((0.50, 0.95), acis_radii(arcmin), strict=False):
            figures.append(between(f"ACIS {arcmin:g} arcmin off the axis: within the radius of {share:g}",
                                   float(psf.eef(radius, arcmin)), share - 0.1, min(share + 0.1, 1.0)))  # fmt: skip
    return figures


def check_fitsverify(_scale: float) -> list[Figure]:
    """All FITS products of the chain, from a simulated list."""
    program, told_of = _program("fitsverify"), []

    def verify(root: Path) -> None:
        for path in sorted(root.rglob("*.fits")):
            if path.parent.name == "events":
                continue
            ended = subprocess.run([program, "-q", str(path)], capture_output=True, text=True, check=False)
            told_of.append("verification OK" in ended.stdout and "warning" not in ended.stdout.lower())

    search_field(populated(0), keep=verify)
    return [equal("files with an error or a warning", told_of.count(False), len(told_of))]


def check_votlint(_scale: float) -> list[Figure]:
    """The VOTable of an exported selection."""
    program = _program("stilts")
    from tests.selection.test_table_formats import written

    with tempfile.TemporaryDirectory() as place:
        path = written(Path(place), "out.vot")
        ended = subprocess.run([program, "votlint", f"votable={path}"], capture_output=True, text=True, check=False)
    lines = (ended.stdout + ended.stderr).splitlines()
    complaints = sum(line.startswith(("WARNING", "ERROR")) for line in lines) + (ended.returncode != 0)
    return [Figure("complaints", str(complaints), "0", complaints == 0)]


CHECKS = (
    Check("sas-image", "Image, pixel for pixel", "SAS evselect", "0404910601 MOS1, 0.5-2 keV", check_sas_image),
    Check("livetimes", "Good and live time of each chip", "SAS and the archives' headers",
          "four XMM-Newton lists, Chandra 18461, NuSTAR 30101031002", check_livetimes),
    Check("cfitsio", "Screening, good times, band and binning", "CFITSIO's extended file names",
          "the same lists", check_cfitsio),
    Check("gti", "Algebra of good times", "a raster of seconds, and CFITSIO's gtifilter", "random intervals",
          check_gti),
    Check("sky", "Positions of events", "wcslib (astropy), cards and columns read by CFITSIO", "ten real lists",
          check_sky),
    Check("maps", "Exposure maps", "SAS eexpmap", "0404910601 MOS1 and MOS2", check_maps),
    Check("mosaic", "Mosaics keep counts and exposure", "sums of the members", "0404910601 MOS1 and MOS2",
          check_mosaic),
    Check("limits", "Coverage of upper limits", "simulated sources", "images of 41 x 41 pixels", check_limits),
    Check("psf", "Point spread functions", "encircled energies of SAS and of the ACIS team", "tables", check_psf),
    Check("fitsverify", "FITS products conform", "fitsverify", "a simulated observation", check_fitsverify),
    Check("votlint", "VOTables conform", "STILTS votlint", "an exported selection", check_votlint),
)  # fmt: skip
