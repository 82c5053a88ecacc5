"""Source detection: chances, false sources per field, completeness beside peers, errors, limits, real data, speed.

    python benchmarks/detection.py [--fields 200] [--only chances,false,found,errors,limits,real,curve,rings,speed]
    python benchmarks/detection.py --calibrate

Peers are sep (Source Extractor) and photutils, at thresholds that give them as many false sources on
empty fields as daxa makes there.  Seeds differ from those of the calibration, which `--calibrate` repeats
(an hour); its output is what `daxa/xray/detection/falserate.py` is made from.
"""

from __future__ import annotations

import argparse
import json
import os
import time
import warnings
from pathlib import Path

import numpy as np

from daxa.xray.detection.chance import log_chance, threshold
from daxa.xray.detection.detect import default_scales, find_sources
from daxa.xray.detection.peaks import find_peaks, merge_peaks
from daxa.xray.detection.psf import psf_for
from daxa.xray.detection.psffit import Scene, SourceFit, fit_source, source_image
from daxa.xray.detection.ratelimit import upper_limit
from daxa.xray.detection.wavelet import LADDER, make_wavelets, respond

SIDE = 384
PIXEL = 4.35
CASES = ("flat", "vignetted", "gapped")
LEVELS = (0.001, 0.01, 0.1, 1.0)
WIDE_SIDE = 2048
"""Side of the empty fields on which scales above 4 pixels are measured: few of their peaks fit in a small one."""

ASKED = {
    "chances": "within 0.1 of 1, beside the error in brackets",
    "false": "found and expected agree within Poisson error",
    "errors": "pulls: mean within 0.1, width 0.9 to 1.1 from 30 counts; bias within 0.03 from 50 counts",
    "limits": "0.88 to 0.92",
    "real": "confirmed: twice sep; others: at most 6 (PN) and 4 (M1)",
    "curve": "for each threshold of sep a point of daxa with as many or more confirmed and fewer others",
    "rings": "background over counts, 3 to 14 arcmin from the cluster: 0.9 to 1.1, within their errors",
    "speed": "nine scales: at most 3 s on the clock",
}
SEED = 20_041_120
CALIBRATION_SEED = 777


def exposure_of(case: str) -> np.ndarray:
    """Seconds: everywhere alike, falling to the edge of a circle, or that with gaps and a bad column."""
    y, x = np.mgrid[:SIDE, :SIDE]
    radius = np.hypot(x - SIDE / 2, y - SIDE / 2) / (SIDE / 2)
    seconds = np.full((SIDE, SIDE), 1e4)
    if case != "flat":
        arcmin = 13.0 * radius
        seconds *= np.clip(1 - 1.1e-2 * arcmin**2 + 8e-4 * arcmin**3 - 2e-5 * arcmin**4, 0.1, 1) * (radius < 0.98)
    if case == "gapped":
        for gap in range(1, 5):
            seconds[:, gap * SIDE // 5 - 1 : gap * SIDE // 5 + 2] = 0
        seconds[SIDE // 2 - 2 : SIDE // 2 + 2] = 0
        seconds[:, 77] = 0
    return seconds


def the_psf():
    return psf_for("M1", PIXEL, axis=(SIDE / 2, SIDE / 2))


def simulate(rng, level: float, seconds: np.ndarray, places=(), counts=()) -> np.ndarray:
    """A field with point sources of some counts (at the largest exposure)."""
    mean = level * seconds / seconds.max()
    scene = Scene(mean, seconds / seconds.max(), mean, the_psf())
    for (x, y), number in zip(places, counts, strict=True):
        place, image = source_image(scene, SourceFit(x, y, number, 0.0, *[0.0] * 7), 60.0)
        mean[place] += image
    return rng.poisson(mean)


def bench_chances(fields: int) -> dict:
    """Pixels above a threshold, over what was asked for, at each scale; the error from the scatter of fields."""
    print(f"\n{'pixels above threshold / requested':<38}" + "".join(f"{s:>13.3g}" for s in LADDER[:9]))
    worst = {}
    for level in LEVELS:
        rng = np.random.default_rng([SEED, 1, round(level * 1e5)])
        hits = {scale: [] for scale in LADDER[:9]}
        for _ in range(fields):
            for side, scales in ((512, LADDER[:5]), (WIDE_SIDE, LADDER[5:9])):
                counts = rng.poisson(level, (side, side))
                for part in respond(counts, np.full(counts.shape, level), make_wavelets(scales)):
                    hits[part.wavelet.scale].append(_share(part, level, rng))
        line = ""
        for scale, shares in hits.items():
            mean, error = np.mean(shares), np.std(shares) / np.sqrt(fields)
            line += f"{mean:>8.2f}±{error:.2f}"
            worst[f"{level:g}/{scale:.3g}"] = (round(float(mean), 3), round(float(error), 3))
        print(f"{level:<10g} ct/pixel, chance 1e-3{'':<11}{line}", flush=True)
    return worst


def _share(part, level: float, rng, chance: float = 1e-3) -> float:
    edge = int(6 * part.wavelet.width) + 1
    inner = part.excess[edge:-edge, edge:-edge]
    low = 0.9 * threshold(part.wavelet, np.array([level * part.wavelet.bin**2]), np.log(3 * chance))[0]
    iy, ix = np.nonzero(inner > low)
    place = (iy + edge, ix + edge)
    logs = log_chance(part.wavelet, part.excess[place], part.local(*place), rng.random(len(iy)))
    return float((logs < np.log(chance)).sum() / (chance * inner.size))


def bench_false(fields: int, asked: float = 1.0) -> dict:
    """Sources found on empty fields, with the background estimated from each."""
    print(f"\n{'empty fields':<12}{'ct/pixel':>9}{'fields':>8}{'found':>7}{'expected':>10}{'deviation':>11}")
    answer = {}
    for case in CASES:
        seconds = exposure_of(case)
        for level in LEVELS:
            rng = np.random.default_rng([SEED, 2, round(level * 1e5), len(case)])
            found, expected = 0, 0.0
            for _ in range(fields):
                sources = find_sources(simulate(rng, level, seconds), seconds, the_psf(), false_per_field=asked)
                found, expected = found + len(sources), expected + sources.expected_false
            off = (found - expected) / np.sqrt(expected)
            print(f"{case:<12}{level:>9g}{fields:>8}{found:>7}{expected:>10.1f}{off:>+11.2f}", flush=True)
            answer[f"{case}/{level:g}"] = (found, round(expected, 1))
    return answer


def _with_sep(cut: float, counts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    import sep

    data = counts.astype(np.float64)
    mask = seconds <= 0
    below = sep.Background(data, mask=mask)
    # Clipping leaves no scatter where most pixels are empty: that of Poisson counts is the least.
    spread = max(below.globalrms, float(np.sqrt(data[~mask].mean())))
    found = sep.extract(data - below.back(), cut, err=spread, mask=mask)
    return np.column_stack((found["x"], found["y"]))


def _with_photutils(cut: float, counts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    from astropy.convolution import convolve
    from photutils.background import Background2D
    from photutils.segmentation import SourceCatalog, detect_sources, make_2dgaussian_kernel

    data, mask = counts.astype(float), seconds <= 0
    below = Background2D(data, 64, filter_size=3, mask=mask, exclude_percentile=90)
    smooth = convolve(data - below.background, make_2dgaussian_kernel(3.0, size=5))
    regions = detect_sources(
        smooth, cut * np.maximum(below.background_rms, np.sqrt(data[~mask].mean())), n_pixels=5, mask=mask
    )
    if regions is None:
        return np.empty((0, 2))
    catalog = SourceCatalog(data - below.background, regions, mask=mask)
    places = np.column_stack((catalog.x_centroid, catalog.y_centroid))
    return places[np.isfinite(places).all(axis=1)]


def _with_daxa(asked: float, counts: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    found = find_sources(counts, seconds, the_psf(), false_per_field=asked)
    return np.column_stack((found["x"], found["y"])) - 1.0


METHODS = {"daxa": _with_daxa, "sep": _with_sep, "photutils": _with_photutils}
CUTS = {"sep": np.arange(0.6, 9.0, 0.3), "photutils": np.arange(0.6, 9.0, 0.3)}
BINS = ((4, 8), (8, 15), (15, 30), (30, 100))


def _matched(name: str, level: float, fields: int, asked: float) -> float:
    """The lowest threshold at which a peer makes at most as many false sources."""
    seconds = exposure_of("gapped")
    rng = np.random.default_rng([SEED, 3, round(level * 1e5)])
    empty = [simulate(rng, level, seconds) for _ in range(fields)]
    for cut in CUTS[name]:
        if sum(len(METHODS[name](cut, counts, seconds)) for counts in empty) <= asked * fields:
            return float(cut)
    return float(CUTS[name][-1])


def bench_found(fields: int, asked: float = 0.5) -> dict:
    """Completeness by counts, and purity, in gapped fields at the same number of false sources on empty ones."""
    bins = "".join(f"{f'{a}-{b} ct':>11}" for a, b in BINS)
    print(f"\n{'ct/pixel':<10}{'method':<11}{'cut':>6}{bins}{'purity':>9}")
    seconds, answer = exposure_of("gapped"), {}
    for level in (0.005, 0.05, 0.5):
        for name, method in METHODS.items():
            cut = asked if name == "daxa" else _matched(name, level, fields, asked)
            rng = np.random.default_rng([SEED, 4, round(level * 1e5)])
            seen, there, right, every = np.zeros(len(BINS)), np.zeros(len(BINS)), 0, 0
            for _ in range(fields):
                places, numbers = _places(rng, seconds)
                found = method(cut, simulate(rng, level, seconds, places, numbers), seconds)
                apart = np.hypot(*(places[:, None] - found[None]).transpose(2, 0, 1)) < 3.5
                # Counts are those that the exposure of the place lets through.
                own = numbers * seconds[tuple(np.rint(places[:, ::-1]).astype(int).T)] / seconds.max()
                group = np.searchsorted([low for low, _ in BINS], own, side="right") - 1
                for index in range(len(BINS)):
                    there[index] += (group == index).sum()
                    seen[index] += (apart.any(axis=1) & (group == index)).sum()
                right, every = right + int(apart.any(axis=0).sum()), every + len(found)
            share = seen / np.maximum(there, 1)
            purity = right / max(every, 1)
            print(
                f"{level:<10g}{name:<11}{cut:>6.2g}" + "".join(f"{s:>11.2f}" for s in share) + f"{purity:>9.2f}",
                flush=True,
            )
            answer[f"{level:g}/{name}"] = [*(round(float(s), 3) for s in share), round(purity, 3)]
    return answer


def _places(rng, seconds: np.ndarray, number: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Exposed places at least 14 pixels apart, and counts from 4 to 150, log-uniform."""
    places: list[np.ndarray] = []
    while len(places) < number:
        place = rng.uniform(12, SIDE - 12, 2)
        if seconds[tuple(np.rint(place[::-1]).astype(int))] > 0.15 * seconds.max() and all(
            np.hypot(*(place - other)) > 14 for other in places
        ):
            places.append(place)
    return np.array(places), np.exp(rng.uniform(np.log(4), np.log(150), number))


def bench_errors(trials: int) -> dict:
    """Pulls of position and rate, and the bias of the rate, of single fitted sources."""
    print(f"\n{'counts':<8}{'ct/pixel':>9}{'rate: mean':>12}{'width':>8}{'bias':>9}{'position: mean':>16}{'width':>8}")
    psf, answer = psf_for("M1", PIXEL), {}
    shape = (41, 41)
    for counts in (30, 50, 100, 300):
        for level in (0.01, 0.1):
            rng = np.random.default_rng([SEED, 5, counts, round(level * 1e5)])
            rate, place, rates = [], [], []
            for _ in range(trials):
                x, y = 20 + rng.uniform(-0.5, 0.5, 2)
                mean = np.full(shape, level)
                scene = Scene(mean, np.ones(shape), mean, psf)
                mean = mean + source_image(scene, SourceFit(x, y, counts, 0.0, *[0.0] * 7), 60.0)[1]
                fit = fit_source(
                    Scene(rng.poisson(mean), np.ones(shape), scene.background, psf), 20, 20, reach=15, stray=3
                )
                error = fit.rate - fit.rate_low if fit.rate > counts else fit.rate_high - fit.rate
                rate.append((fit.rate - counts) / error)
                place += [(fit.x - x) / fit.x_error, (fit.y - y) / fit.y_error]
                rates.append(fit.rate)
            row = [np.mean(rate), np.std(rate), np.mean(rates) / counts - 1, np.mean(place), np.std(place)]
            answer[f"{counts}/{level:g}"] = [round(float(value), 3) for value in row]
            print(
                f"{counts:<8}{level:>9g}{row[0]:>12.3f}{row[1]:>8.3f}{row[2]:>9.3f}{row[3]:>16.3f}{row[4]:>8.3f}",
                flush=True,
            )
    return answer


def bench_limits(trials: int) -> dict:
    """How often a source lies below its 90 % limit."""
    print(f"\n{'counts':<10}{'ct/pixel':>9}{'covered':>9}")
    psf, shape, answer = psf_for("M1", PIXEL), (41, 41), {}
    for counts in (5, 10, 30, None):
        for level in (0.005, 0.1):
            rng = np.random.default_rng([SEED, 6, counts or 0, round(level * 1e5)])
            mean = np.full(shape, level)
            unit = source_image(
                Scene(mean, np.ones(shape), mean, psf), SourceFit(20.2, 19.9, 1.0, 0.0, *[0.0] * 7), 60.0
            )[1]
            covered = 0
            for _ in range(trials):
                true = counts or rng.uniform(3, 40)
                scene = Scene(rng.poisson(mean + true * unit), np.ones(shape), mean, psf)
                covered += upper_limit(scene, 20.2, 19.9, reach=12) >= true
            name = str(counts or "3 to 40")
            print(f"{name:<10}{level:>9g}{covered / trials:>9.3f}", flush=True)
            answer[f"{name}/{level:g}"] = round(covered / trials, 3)
    return answer


def _real_folder() -> Path | None:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("DAXA_TEST_DATA", beside)) / "xmm" / "0404910601"
    if not folder.is_dir():
        print("\nno real data: set DAXA_TEST_DATA")
        return None
    return folder


def bench_real() -> dict:
    """A907 in three cameras: sources that another camera confirms, beside sep at 3 sigma."""
    folder = _real_folder()
    if folder is None:
        return {}
    images = {camera: real_image(folder, camera) for camera in ("PN", "M1", "M2")}
    lists = {"daxa": {}, "sep": {}}
    for camera, (counts, seconds) in images.items():
        psf = psf_for(camera, PIXEL, axis=(255.5, 255.5))
        found = find_sources(counts, seconds, psf, realisations=0)
        lists["daxa"][camera] = np.column_stack((found["x"], found["y"])) - 1.0
        lists["sep"][camera] = _with_sep(3.0, counts, seconds)
    print(f"\n{'A907':<8}{'camera':<8}{'confirmed':>10}{'others':>8}")
    answer = {}
    for name, found in lists.items():
        for camera in images:
            good, other = confirmed(found, camera)
            print(f"{name:<8}{camera:<8}{good:>10}{other:>8}")
            answer[f"{name}/{camera}"] = (good, other)
    return answer


SEP_CUTS = (1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0, 4.0)
ALLOWED = (0.01, 0.1, 0.3, 1.0, 3.0)
LOOSE = (10.0, 60.0)
"""False sources that are allowed in the lists that are cut by likelihood."""

MOVED = 60 / PIXEL
"""Pixels by which places are moved to see what is confirmed by chance."""

FAR = 4.35 * 60
"""Arcsec from the cluster beyond which sources are compared."""


def bench_curve() -> dict:
    """A907: sources whose photons the other cameras see too, and others, at every threshold of sep and of daxa.

    A source is confirmed if the other two cameras hold more counts within 15 arcsec of it than what lies
    30 to 75 arcsec away makes in one of a thousand cases: neither program's list decides.  Some places are
    so by chance, beside a source of the others: how many is the mean of four lists whose places are moved by
    an arcminute.  Both are compared in the pixels that daxa searches, which are not those beside a gap.
    Daxa's curves are that of the false sources allowed, and those of two long lists cut by ``likelihood``.
    """
    folder = _real_folder()
    if folder is None:
        return {}
    images = {camera: real_image(folder, camera) for camera in ("PN", "M1", "M2")}
    curves: dict[str, dict[str, list[float]]] = {"sep": {}, "daxa": {}}
    searched = {}
    for allowed in (*ALLOWED, *LOOSE):
        places, sure = {}, {}
        for camera, image in images.items():
            psf = psf_for(camera, PIXEL, axis=(255.5, 255.5))
            found = find_sources(*image, psf, false_per_field=allowed, realisations=0)
            places[camera], sure[camera] = np.column_stack((found["x"], found["y"])) - 1.0, found["likelihood"]
            searched[camera] = found.valid
        if allowed not in LOOSE:
            curves["daxa"][f"{allowed:g}"] = _counted(places, images)
            continue
        for least in (25, 20, 15, 12, 10, 9, 8, 7, 6, 5, 4, 3, 2, 0):
            likely = {camera: own[sure[camera] >= least] for camera, own in places.items()}
            curves.setdefault(f"daxa, likelihood, {allowed:g}", {})[f"{least:g}"] = _counted(likely, images)
    for cut in SEP_CUTS:
        places = {camera: _with_sep(cut, *image) for camera, image in images.items()}
        inside = {
            camera: own[searched[camera][tuple(np.rint(own[:, ::-1]).astype(int).T)]] for camera, own in places.items()
        }
        curves["sep"][f"{cut:g}"] = _counted(inside, images)
    print(f"\n{'A907, three cameras':<24}{'threshold':>10}{'confirmed':>11}{'by chance':>11}{'others':>8}")
    for name, curve in curves.items():
        for cut, (confirmed_, others, chance) in curve.items():
            print(f"{name:<24}{cut:>10}{confirmed_:>11}{chance:>11.1f}{others:>8}", flush=True)
    ours = [point for name, curve in curves.items() if name != "sep" for point in curve.values()]
    for cut, (confirmed_, others, chance) in curves["sep"].items():
        fewer = [point for point in ours if point[1] < max(others, 1)]
        best = max(fewer, key=lambda point: point[0] - point[2], default=[0, 0, 0.0])
        verdict = "yes" if best[0] >= confirmed_ else "no"
        more = best[0] - best[2] - confirmed_ + chance
        print(
            f"sep at {cut:<5} as many or more confirmed and fewer others with daxa: {verdict}; "
            f"less those by chance: {more:+.1f} ({best[0]} and {best[1]})"
        )
    return curves


def _is_far(places: np.ndarray) -> np.ndarray:
    return np.hypot(places[:, 0] - 255.6, places[:, 1] - 277.0) * PIXEL > FAR


def _counted(places: dict[str, np.ndarray], images: dict) -> list[float]:
    """Confirmed sources, others, and how many of as many places are confirmed by chance."""
    far = {camera: own[_is_far(own)] for camera, own in places.items()}
    good = np.concatenate([seen_elsewhere(own, images, camera) for camera, own in far.items()])
    moved = [
        seen_elsewhere(own + shift, images, camera).sum()
        for camera, own in far.items()
        for shift in ((MOVED, 0), (-MOVED, 0), (0, MOVED), (0, -MOVED))
    ]
    return [int(good.sum()), int((~good).sum()), float(sum(moved)) / 4.0]


def seen_elsewhere(places: np.ndarray, images: dict, camera: str) -> np.ndarray:
    """Whether the other cameras hold more counts at places than the surroundings make."""
    from scipy.special import pdtrc

    seen = []
    others = [image for name, image in images.items() if name != camera]
    reach = int(75 / PIXEL) + 1
    for x, y in places:
        number = expected = 0.0
        window = tuple(slice(max(round(at) - reach, 0), max(round(at) + reach + 1, 0)) for at in (y, x))
        for counts, seconds in ((one[window], two[window]) for one, two in others):
            iy, ix = np.ogrid[
                tuple(slice(part.start, part.start + n) for part, n in zip(window, counts.shape, strict=True))
            ]
            away = np.hypot(ix - x, iy - y) * PIXEL
            inner, ring = (away < 15) & (seconds > 0), (away > 30) & (away < 75) & (seconds > 0)
            number += counts[inner].sum()
            expected += counts[ring].sum() / max(seconds[ring].sum(), 1e-9) * seconds[inner].sum()
        seen.append(bool(number > 0 and expected > 0 and pdtrc(number - 1, expected) < 1e-3))
    return np.array(seen, bool)


def real_image(folder: Path, camera: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts and vignetted exposure, 0.5-2 keV, both SAS's own."""
    from astropy.io import fits

    name = {"PN": "pn", "M1": "mos1", "M2": "mos2"}[camera]
    stem, ends = (folder / "maps", ".fits.gz") if camera == "M2" else (folder / "images", ".fits")
    image, expmap = (
        fits.getdata(stem / f"0404910601_{name}_exp1-0.50-2.00keV{kind}{ends}") for kind in ("img", "expmap")
    )
    return image.astype(int), expmap.astype(float)


def bench_rings() -> dict:
    """A907 in three cameras: background over counts in rings about the cluster, without the sources that were found."""
    folder = _real_folder()
    if folder is None:
        return {}
    print(f"\n{'arcmin':<8}" + "".join(f"{f'{inner}-{inner + 1}':>12}" for inner in range(3, 14)))
    answer = {}
    for camera in ("PN", "M1", "M2"):
        counts, seconds = real_image(folder, camera)
        found = find_sources(counts, seconds, psf_for(camera, PIXEL, axis=(255.5, 255.5)), realisations=0)
        y, x = np.indices(counts.shape)
        away = np.hypot(x - 255.6, y - 277.0) * PIXEL / 60
        kept = found.valid.copy()
        for column, row in zip(found["x"] - 1, found["y"] - 1, strict=True):
            if np.hypot(column - 255.6, row - 277.0) * PIXEL / 60 > 3:
                kept &= np.hypot(x - column, y - row) > 8
        cells = []
        for inner in range(3, 14):
            ring = kept & (away >= inner) & (away < inner + 1)
            ratio, error = found.background[ring].sum() / counts[ring].sum(), 1 / np.sqrt(counts[ring].sum())
            cells.append(f"{ratio:.2f}±{error:.2f}")
        print(f"{camera:<8}" + "".join(f"{cell:>12}" for cell in cells), flush=True)
        answer[camera] = cells
    return answer


def confirmed(found: dict[str, np.ndarray], camera: str) -> tuple[int, int]:
    """Sources outside 4.35 arcmin of the cluster within 15 arcsec of one of another camera, and the others."""
    own = found[camera]
    far = np.hypot(own[:, 0] - 255.6, own[:, 1] - 277.0) * PIXEL > 4.35 * 60
    others = np.concatenate([places for name, places in found.items() if name != camera])
    near = (np.hypot(*(own[:, None] - others[None]).transpose(2, 0, 1)) * PIXEL < 15).any(axis=1)
    return int((far & near).sum()), int((far & ~near).sum())


def bench_speed() -> dict:
    """Nine scales of 4096 x 4096 pixels, beside sep: seconds on the clock, and of all processors."""
    rng = np.random.default_rng([SEED, 7])
    counts = rng.poisson(0.05, (4096, 4096)).astype(np.float32)
    below = np.full(counts.shape, 0.05, np.float32)
    wavelets, valid = make_wavelets(LADDER[:9]), np.ones(counts.shape, bool)
    times = {}
    print()
    for name, work in (
        ("nine scales", lambda: find_peaks(counts, below, valid, wavelets, -16.0)),
        ("find_sources", lambda: find_sources(counts, below, psf_for("M1", PIXEL))),
        ("sep", lambda: _with_sep(5.0, counts, below)),
    ):
        runs = []
        for _ in range(3):
            wall, busy = time.perf_counter(), time.process_time()
            work()
            runs.append((round(time.perf_counter() - wall, 2), round(time.process_time() - busy, 2)))
        times[name] = min(runs)
        print(f"4096 x 4096, {name:<13}{times[name][0]:>7.2f} s on the clock{times[name][1]:>7.2f} s of processors")
    return times


def calibrate(fields: int) -> None:
    """False sources per pixel over their chance, ln, for ladders that begin at 1, 1.41, 2 and 2.83 pixels."""
    side, edge, cuts = 1024, 64, np.arange(-7.0, -14.5, -1.0)
    valid = np.zeros((side, side), bool)
    valid[edge:-edge, edge:-edge] = True
    for exponent in np.arange(-4.5, 1.75, 0.25):
        level = 10.0**exponent
        rng = np.random.default_rng([CALIBRATION_SEED, round(exponent * 100) + 1000])
        number = fields * (3 if exponent < -1.9 else 1)
        totals = np.zeros((4, len(cuts)))
        for _ in range(number):
            counts = rng.poisson(level, (side, side))
            peaks = find_peaks(counts, np.full(counts.shape, level), valid, make_wavelets(LADDER), cuts[0])
            for first in range(4):
                scales = LADDER[first : first + 9]
                own = (peaks.scale > 0.99 * scales[0]) & (peaks.scale < 1.01 * scales[-1])
                merged = merge_peaks(peaks.take(np.flatnonzero(own)))
                totals[first] += (merged.log_p[:, None] <= cuts).sum(axis=0)
        for first, line in enumerate(np.log(np.maximum(totals, 0.5) / (number * valid.sum())) - cuts):
            cells = ", ".join(f"{value:.2f} ({int(n)})" for value, n in zip(line, totals[first], strict=True))
            print(f"{exponent:+.2f}  first scale {LADDER[first]:.2f}: {cells}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=200)
    parser.add_argument("--only", default="chances,false,found,errors,limits,real,curve,rings,speed")
    parser.add_argument("--calibrate", action="store_true")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if asked.calibrate:
        calibrate(asked.fields)
        return
    print(f"scales {', '.join(f'{scale:.3g}' for scale in default_scales(the_psf()))} pixels")
    benches = {
        "chances": lambda: bench_chances(asked.fields),
        "false": lambda: bench_false(asked.fields),
        "found": lambda: bench_found(max(asked.fields // 5, 2)),
        "errors": lambda: bench_errors(5 * asked.fields),
        "limits": lambda: bench_limits(10 * asked.fields),
        "real": bench_real,
        "curve": bench_curve,
        "rings": bench_rings,
        "speed": bench_speed,
    }
    measured = {name: benches[name]() for name in asked.only.split(",")}
    print(json.dumps({name: {"asked": ASKED.get(name, ""), "measured": found} for name, found in measured.items()}))


if __name__ == "__main__":
    main()
