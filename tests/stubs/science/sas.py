"""Work of SAS."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from astropy.io import fits

from tests.stubs import lists
from tests.stubs.expressions import ExpressionError, evaluate
from tests.stubs.grammar import is_on

if TYPE_CHECKING:
    from tests.stubs.program import Run

Problem = tuple[str, str] | None


def _opened(value: str) -> tuple[fits.HDUList, str]:
    """A file, and the name of the table behind a colon."""
    found = re.fullmatch(r"(.*?)(?::([A-Za-z]\w*))?", value)
    return lists.read(found[1]), found[2] or ""


def _selected(table: fits.BinTableHDU, expression: str) -> np.ndarray:
    columns = lists.columns_of(table)
    return evaluate(
        expression, columns, len(table.data), lambda name, times: lists.within(lists.intervals_of(name), times)
    )


def evselect(run: Run) -> Problem:
    values = run.values
    parts, name = _opened(values["table"])
    try:
        mask = _selected(lists.table_of(parts, name), values["expression"])
    except (ExpressionError, KeyError) as error:
        return "EvselectExpression", str(error)
    lists.keep_rows(parts, mask, name)
    for found in re.finditer(r"GTI\(([^,]+),", values["expression"]):
        lists.limit(parts, lists.intervals_of(found[1]))
    table = lists.table_of(parts, name)
    run.say(f"selected {len(table.data)} rows from the input table.")
    if is_on(values["withfilteredset"]):
        lists.write(parts, Path(values["filteredset"]))
    if is_on(values["withimageset"]):
        _evselect_image(values, table).writeto(values["imageset"], overwrite=True)
    if is_on(values["withrateset"]):
        width = float(values["timebinsize"])
        starts, counts = lists.curve_of(lists.columns_of(table)[values["timecolumn"]], width)
        columns = [fits.Column("TIME", "D", "s", array=starts + width / 2)]
        columns.append(fits.Column("RATE", "E", "count/s", array=counts / width))
        columns.append(fits.Column("ERROR", "E", "count/s", array=np.sqrt(counts) / width))
        lists.write_like(
            fits.BinTableHDU.from_columns(columns, name="RATE"), table, TIMEDEL=width, path=values["rateset"]
        )
    if is_on(values["withspectrumset"]):
        width, energies = int(values["spectralbinsize"]), lists.columns_of(table)[values["energycolumn"]]
        low, high = int(values["specchannelmin"]), int(values["specchannelmax"])
        counts = np.bincount(
            (energies[(energies >= low) & (energies <= high)] - low) // width, minlength=(high - low) // width + 1
        )
        columns = [fits.Column("CHANNEL", "J", array=np.arange(len(counts))), fits.Column("COUNTS", "J", array=counts)]
        lists.write_like(
            fits.BinTableHDU.from_columns(columns, name="SPECTRUM"), table, SPECDELT=width, path=values["spectrumset"]
        )
    return None


def _evselect_image(values: dict[str, str], table: fits.BinTableHDU) -> fits.PrimaryHDU:
    names = (values["xcolumn"], values["ycolumn"])
    low, high, pixel = [], [], []
    for letter, name in zip("xy", names, strict=True):
        limits = lists.limits_of(table, name)
        if is_on(values[f"with{letter}ranges"]):
            limits = float(values[f"{letter}imagemin"]), float(values[f"{letter}imagemax"])
        low.append(limits[0])
        high.append(limits[1])
        whole = (limits[1] - limits[0] + 1) / float(values[f"{letter}imagesize"])
        pixel.append(float(values[f"{letter}imagebinsize"]) if values["imagebinning"] == "binSize" else whole)
    return lists.image_of(table, *names, pixel=pixel, low=low, high=high)


def tabgtigen(run: Run) -> Problem:
    if not run.values["gtiset"]:
        return None
    parts, name = _opened(run.values["table"])
    table = lists.table_of(parts, name or "RATE")
    try:
        good = _selected(table, run.values["expression"] or "true")
    except (ExpressionError, KeyError) as error:
        return "TabgtigenExpression", str(error)
    times = lists.columns_of(table)[run.values["timecolumn"]]
    width = float(table.header.get("TIMEDEL", np.median(np.diff(times)) if len(times) > 1 else 1.0))
    pairs = lists.joined(good, times - width * float(run.values["prefraction"]), width)
    fits.HDUList([fits.PrimaryHDU(), lists.gti_table(pairs)]).writeto(run.values["gtiset"], overwrite=True)
    return None


def gtibuild(run: Run) -> Problem:
    rows = [line.split() for line in Path(run.values["file"]).read_text(errors="replace").splitlines() if line.strip()]
    pairs = [(float(row[0]), float(row[1])) for row in rows if len(row) > 1 and row[-1] != "-"]
    fits.HDUList([fits.PrimaryHDU(), lists.gti_table(pairs)]).writeto(run.values["table"], overwrite=True)
    return None


def espfilt(run: Run) -> Problem:
    values = run.values
    parts = lists.read(values.get("eventfile") or values["eventset"])
    table = lists.table_of(parts)
    instrument = str(table.header.get("INSTRUME", parts[0].header.get("INSTRUME", "EMOS1")))
    exposure = str(table.header.get("EXPIDSTR", parts[0].header.get("EXPIDSTR", "S001")))
    columns = lists.columns_of(table)
    low, high = float(values.get("elow") or 2500), float(values.get("ehigh") or 8500)
    chosen = (columns["PI"] >= low) & (columns["PI"] <= high)
    width = float(values["binsize"])
    starts, counts = lists.curve_of(columns["TIME"][chosen], width)
    if not counts.sum():
        return "noCounts", "All histo counts are zero! Check your FOV Lightcurve!"
    quiet = np.median(counts)
    pairs = lists.joined(counts <= quiet + float(values.get("allowsigma") or 3) * np.sqrt(max(quiet, 1)), starts, width)
    stem = {"EMOS1": "mos1", "EMOS2": "mos2", "EPN": "pn"}.get(instrument, "mos1") + exposure
    end = f"-{low:.0f}-{high:.0f}" if is_on(values.get("withlongnames", "no")) else ""
    fits.HDUList([fits.PrimaryHDU(), lists.gti_table(pairs)]).writeto(f"{stem}-gti{end}.fits", overwrite=True)
    Path(f"{stem}-hist{end}.qdp").write_text("".join(f"{at} {number}\n" for at, number in enumerate(counts)))
    lists.write(lists.keep_rows(parts, lists.within(pairs, columns["TIME"])), Path(f"{stem}-allevc{end}.fits"))
    if is_on(values.get("withoot", "no")):
        out = lists.read(values["ootfile"])
        mask = lists.within(pairs, lists.columns_of(lists.table_of(out))["TIME"])
        lists.write(lists.keep_rows(out, mask), Path(f"{stem}-allevcoot{end}.fits"))
    return None


def merge(run: Run) -> Problem:
    values = run.values
    if Path(values["outset"]).resolve() in {Path(values[one]).resolve() for one in ("set1", "set2")}:
        return "sameFile", "the output cannot be an input"
    first, second = (lists.read(values[one]) for one in ("set1", "set2"))
    begins = [lists.columns_of(lists.table_of(parts))["TIME"].min(initial=np.inf) for parts in (first, second)]
    if begins[0] > begins[1]:
        return "timeOrder", "set1 must be the earlier one"
    observations = {str(lists.table_of(parts).header.get("OBS_ID", "")) for parts in (first, second)}
    if len(observations) > 1 and not is_on(values["mergedifferentobs"]):
        return "differentObs", "the lists are of different observations"
    lists.write(lists.added([first, second]), Path(values["outset"]))
    return None


def eexpmap(run: Run) -> Problem:
    values = run.values
    image = lists.read(values["imageset"])[0]
    if image.data is None:
        return "FileMismatch", f"{values['imageset']} holds no image"
    seconds = float(np.diff(lists.intervals_of(values["eventset"].partition(":")[0]), axis=1).sum())
    if not seconds:
        return "noExposure", "there are no good times"
    for path in values["expimageset"].split():
        fits.PrimaryHDU(np.full(image.data.shape, seconds, np.float32), image.header).writeto(path, overwrite=True)
    return None


def emanom(run: Run) -> Problem:
    """States of the outer chips, of which number 5 of MOS1 is bad."""
    parts = lists.read(run.values["eventfile"])
    header = lists.table_of(parts).header
    camera, exposure = header.get("INSTRUME", "EMOS1")[-1], header.get("EXPIDSTR", "S001")
    lines = [
        f"emanom:- CCD: {chip} Hard: 1.50 +- 0.20 Status: {'B' if (chip, camera) == (5, '1') else 'G'}"
        for chip in range(2, 8)
    ]
    Path(f"mos{camera}{exposure}-anom.log").write_text("\n".join(lines) + "\n")
    return None


def _raw_folder(run: Run) -> Path:
    place = Path(os.environ.get("SAS_ODF") or run.values.get("odf") or ".")
    return place.parent if place.is_file() else place


def _write_attitude(folder: Path) -> None:
    for path in folder.glob("*_SCX00000ATS.FIT"):
        lists.write(lists.read(path), Path(f"P{path.name.split('_')[1]}OBX000ATTTSR0000.FIT"))


def emchain(run: Run) -> Problem:
    """Add the lists of single chips, which stand for raw data: ``*_M1S00110IME.FIT`` is chip 1 of M1, exposure S001."""
    wanted = run.values["instruments"].split()
    folder = _raw_folder(run)
    raw: dict[tuple[str, str, str], list[Path]] = {}
    for path in sorted(folder.glob("*_*_M[12][SU]???*IME.FIT")):
        _, observation, told = path.name.split("_")
        if wanted == ["both"] or told[:2] in wanted:
            raw.setdefault((observation, told[:2], told[2:6]), []).append(path)
    exposures = run.values["exposures"].split()
    for (observation, instrument, exposure), paths in raw.items():
        if exposures == ["all"] or exposure in exposures:
            parts = lists.added([lists.read(path) for path in paths])
            _spread(run, parts)
            lists.write(parts, Path(f"P{observation}{instrument}{exposure}MIEVLI0000.FIT"))
            _write_attitude(folder)
    return None


def _spread(run: Run, parts: fits.HDUList) -> None:
    """Spread events at random around their places, if random numbers were asked for and are switched on."""
    if (seed := run.request.get("seed", 0)) and run.values["randomize"]:
        random, table = np.random.default_rng(seed), lists.table_of(parts)
        for name in ("X", "Y"):
            table.data[name] = table.data[name] + random.integers(-20, 21, len(table.data))


def epchain(run: Run) -> Problem:
    """The same of the pn camera: ``*_PNS00301IME.FIT``; out-of-time events are the same with rows drawn anew."""
    folder = _raw_folder(run)
    exposure = f"{run.values['schedule']}{int(run.values['exposure']):03d}"
    paths = sorted(folder.glob(f"*_*_PN{exposure}*IME.FIT"))
    if not paths:
        return None
    parts = lists.added([lists.read(path) for path in paths])
    out = is_on(run.values["withoutoftime"])
    if out:
        table = lists.table_of(parts)
        if "RAWY" in table.columns.names:
            table.data["RAWY"] = np.random.default_rng(1).integers(1, 200, len(table.data))
    observation = paths[0].name.split("_")[1]
    lists.write(parts, Path(f"P{observation}PN{exposure}{'OO' if out else 'PI'}EVLI0000.FIT"))
    if is_on(run.values["runatthkgen"]):
        _write_attitude(folder)
    return None


def _image(path: str) -> fits.PrimaryHDU:
    return lists.read(path)[0]


def _shows_nothing(run: Run, *names: str) -> bool:
    """Whether a file that should be an image has no pixels: what is made is then made without it."""
    return any(_image(path).data is None for name in names for path in run.values[name].split())


def _differ(run: Run, *names: str) -> Problem:
    """What is wrong where lists of files are not as long as the first, or hold images of other shapes."""
    sets = {name: run.values[name].split() for name in names if run.values[name]}
    first, *others = sets.items()
    wrong = [name for name, files in others if name != "detmasksets" and len(files) != len(first[1])]
    if wrong:
        return "numberOfSets", f"{first[0]} and {wrong[0]} are not equally many"
    shapes = {_image(path).data.shape for files in sets.values() for path in files}
    return ("differentImages", "the images differ in binning") if len(shapes) > 1 else None


def emask(run: Run) -> Problem:
    if _shows_nothing(run, "expimageset"):
        return None
    seconds = _image(run.values["expimageset"])
    good = seconds.data >= float(run.values["threshold1"] or 0.25) * seconds.data.max()
    fits.PrimaryHDU(good.astype(np.uint8), seconds.header).writeto(run.values["detmaskset"], overwrite=True)
    return None


def _instrument(path: str) -> int:
    return {"EPN": 1, "EMOS1": 2, "EMOS2": 3}[str(_image(path).header["INSTRUME"]).strip()]


def eboxdetect(run: Run) -> Problem:
    from scipy.ndimage import maximum_filter

    values = run.values
    if _shows_nothing(run, "imagesets"):
        return None
    if problem := _differ(run, "imagesets", "expimagesets", "detmasksets", "bkgimagesets"):
        return problem
    if len(values["pimin"].split()) != len(values["imagesets"].split()):
        return "numberOfBands", "pimin has not as many values as there are images"
    if is_on(values["usemap"]) != bool(values["bkgimagesets"]):
        return "bkgimagesets", "background maps belong to the map mode"
    counts = sum(_image(path).data.astype(float) for path in values["imagesets"].split())
    side = int(values["boxsize"] or 5)
    ny, nx = (length // side * side for length in counts.shape)
    boxes = counts[:ny, :nx].reshape(ny // side, side, nx // side, side).sum(axis=(1, 3))
    mean = max(float(boxes.mean()), 0.05)
    likelihood = (boxes - mean) ** 2 / (2 * mean)
    highest = boxes == maximum_filter(boxes, 3)  # A source has light in several boxes.
    rows, columns = np.nonzero(highest & (boxes > mean) & (likelihood > float(values["likemin"] or 10)))
    found = {
        "X_IMA": (columns + 0.5) * side + 0.5, "Y_IMA": (rows + 0.5) * side + 0.5,
        "SCTS": (boxes - mean)[rows, columns], "LIKE": likelihood[rows, columns],
    }  # fmt: skip
    table = [fits.Column("BOX_ID_SRC", "J", array=np.arange(1, len(rows) + 1))]
    table += [fits.Column(name, "E", array=one) for name, one in found.items()]
    fits.BinTableHDU.from_columns(table, name="SRCLIST").writeto(values["boxlistset"], overwrite=True)
    return None


def esplinemap(run: Run) -> Problem:
    values = run.values
    if _shows_nothing(run, "imageset") or not Path(values["detmaskset"]).is_file():
        return None
    image, mask = _image(values["imageset"]), _image(values["detmaskset"]).data > 0
    level = float(np.clip(image.data[mask], 0, 2).mean()) if mask.any() else 0.0
    made = fits.PrimaryHDU(np.where(mask, level, 0).astype(np.float32), image.header)
    made.writeto(values["bkgimageset"], overwrite=True)
    return None


def emldetect(run: Run) -> Problem:
    """Rows for the sum of all images, for the sum of the bands of a camera, and for each image."""
    from astropy.wcs import WCS

    values = run.values
    if _shows_nothing(run, "imagesets"):
        return None
    if problem := _differ(run, "imagesets", "expimagesets", "bkgimagesets", "detmasksets"):
        return problem
    boxes = lists.columns_of(lists.table_of(lists.read(values["boxlistset"]), "SRCLIST"))
    if not len(boxes["X_IMA"]):
        return "noSources", "the list of boxes is empty"
    images = values["imagesets"].split()
    cameras = [_instrument(path) for path in images]
    if cameras != sorted(cameras):
        return "order", "images of pn come before those of MOS"
    bands = [cameras[:at].count(camera) + 1 for at, camera in enumerate(cameras)]
    seconds = [float(_image(path).data.max()) for path in values["expimagesets"].split()]
    header = _image(images[0]).header
    wcs = WCS({card: header[card] for card in header if re.fullmatch(r"C(TYPE|RVAL|RPIX|DELT)\d", card)})
    rows: list[tuple[float, ...]] = []
    for number, (x, y, counts, likelihood) in enumerate(
        zip(*(boxes[name] for name in ("X_IMA", "Y_IMA", "SCTS", "LIKE")), strict=True), 1
    ):
        if likelihood < float(values["mlmin"]):
            continue
        ra, dec = wcs.all_pix2world(x, y, 1)
        own = list(zip(cameras, bands, [counts / len(images)] * len(images), seconds, strict=True))
        sums = [(camera, 0, sum(one[2] for one in own if one[0] == camera), 0.0) for camera in sorted(set(cameras))]
        for camera, band, share, seen in [(0, 0, counts, 0.0), *sums, *own]:
            exposure = seen or max(seconds)
            rows.append((
                number, number, camera, band, share, np.sqrt(max(share, 1)), x, 0.5, y, 0.4, 0.0, 0.0, likelihood, 0.0,
                0.1, exposure, share / exposure, np.sqrt(max(share, 1)) / exposure, ra, dec, 2.5
            ))  # fmt: skip
    names = (
        *("ML_ID_SRC", "BOX_ID_SRC", "ID_INST", "ID_BAND", "SCTS", "SCTS_ERR", "X_IMA", "X_IMA_ERR", "Y_IMA"),
        *("Y_IMA_ERR", "EXT", "EXT_ERR", "DET_ML", "EXT_ML", "BG_MAP", "EXP_MAP", "RATE", "RATE_ERR"),
        *("RA", "DEC", "RADEC_ERR"),
    )
    columns = np.array(rows, float).reshape(-1, len(names)).T
    table = [
        fits.Column(name, "J" if "ID_" in name else "D", array=one) for name, one in zip(names, columns, strict=True)
    ]
    fits.BinTableHDU.from_columns(table, name="SRCLIST").writeto(values["mllistset"], overwrite=True)
    return None


def esensmap(run: Run) -> Problem:
    values = run.values
    if _shows_nothing(run, "expimagesets"):
        return None
    seconds, mask = _image(values["expimagesets"].split()[0]), _image(values["detmasksets"].split()[0]).data > 0
    with np.errstate(divide="ignore"):
        least = np.where(mask & (seconds.data > 0), float(values["mlmin"] or 10) / seconds.data, -1.0)
    fits.PrimaryHDU(least.astype(np.float32), seconds.header).writeto(values["sensimageset"], overwrite=True)
    return None


def _monitor_files(run: Run, end: str, *, grism: bool = False) -> list[tuple[str, str, Path]]:
    """Observation, exposure, and file of raw data of the optical monitor."""
    found = []
    for path in sorted(_raw_folder(run).glob(f"*_*_OM*{end}.FIT")):
        is_grism = str(lists.read(path)[0].header.get("FILTER", "")).startswith("Grism")
        if is_grism == grism:
            _, observation, rest = path.name.split("_")
            found.append((observation, rest[2:6], path))
    return found


def omichain(run: Run) -> Problem:
    raw = _monitor_files(run, "IMI")
    if not raw and list(_raw_folder(run).glob("*_OM*")):
        return "noImages", "there are no images in the ODF"
    if not raw:
        return None
    for number, (observation, exposure, path) in enumerate(raw):
        lists.write(lists.read(path), Path(f"P{observation}OM{exposure}SIMAGE{number}000.FIT"))
        lists.write(lists.read(path), Path(f"I{observation}OM{exposure}IMAGE_{number}000.FIT"))
        source = [fits.Column("RATE", "E", array=[1.0])]
        fits.BinTableHDU.from_columns(source).writeto(f"P{observation}OM{exposure}SWSRLI{number}000.FIT")
    lists.write(lists.read(raw[0][2]), Path(f"P{raw[0][0]}OMX000RSIMAGV000.FIT"))
    fits.BinTableHDU.from_columns(source).writeto(f"P{raw[0][0]}OMCOMBOBSMLI0000.FIT")
    return None


def omfchain(run: Run) -> Problem:
    raw = _monitor_files(run, "FAE")
    for observation, exposure, _ in raw:
        curve = [fits.Column("TIME", "D", array=[0.0, 10.0]), fits.Column("RATE", "E", array=[1.0, 1.0])]
        fits.BinTableHDU.from_columns(curve, name="RATE").writeto(f"P{observation}OM{exposure}TIMESR1000.FIT")
    absent = not raw and list(_raw_folder(run).glob("*_OM*"))
    return ("noFastMode", "there are no events in the ODF") if absent else None


def omgchain(run: Run) -> Problem:
    for observation, exposure, path in _monitor_files(run, "IMI", grism=True):
        lists.write(lists.read(path), Path(f"p{observation}OM{exposure}SPECTR000.FIT"))
        lists.write(lists.read(path), Path(f"p{observation}OM{exposure}RIMAGE000.FIT"))
    return None
