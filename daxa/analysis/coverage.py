"""What an archive's observations say about the objects of a sample: exposure, counts, rate or upper limit.

Every observation is evaluated for all objects, in parallel processes; it gives results for
those that its images show, with one row per object, instrument and band.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from daxa.analysis.angles import circle_of, directions, nearest_of, off_axis
from daxa.analysis.coverage_table import COVERAGE_ROW, coverage_table
from daxa.analysis.image_sets import ImageRequest, ImageSet, find_image_sets
from daxa.analysis.sample_targets import SampleTargets
from daxa.archive.config import ArchiveConfig, settings_of
from daxa.archive.layout import Layout
from daxa.errors import CriteriaError, DataError, DaxaError
from daxa.query.criteria.sample import Sample
from daxa.query.targets import read_targets
from daxa.records import Observe, Outcome
from daxa.run.executor import execute
from daxa.run.task import Task
from daxa.xray.imaging.exposed_field import read_field
from daxa.xray.imaging.positions import ROW, Aperture, Quality, coverage_at

if TYPE_CHECKING:
    import pandas as pd

    from daxa.query.criteria.sample import TargetsLike

__all__ = ["Coverage", "CoverageTask", "cover_targets"]

_LARGEST = 3600.0
_FEW = 4
_SHOWN_ROWS = 20
_HOUR = 3600.0


@dataclass(frozen=True, eq=False)
class Coverage:
    """What was found for a sample.

    Parameters
    ----------
    table
        A row per object, observation, instrument and band with exposure there;
        `daxa.analysis.coverage_table.COLUMNS` says what the columns mean.
    failures
        One record for each image that could not be used: ``step`` names it.
    objects
        How many objects the sample has.
    images
        How many images were searched.
    """

    table: pd.DataFrame
    failures: tuple[Outcome, ...]
    objects: int
    images: int

    @property
    def seen(self) -> int:
        """How many objects some image shows."""
        return int(self.table["row"].nunique())

    def _repr_html_(self) -> str:
        from daxa.selection.headings import for_people

        shown = for_people(self.table.head(_SHOWN_ROWS)).to_html(index=False, escape=True)
        return f"<p><b>{len(self.table)} rows</b>, {self.seen} of {self.objects} objects lie in an image</p>{shown}"


def cover_targets(
    layout: Layout,
    config: ArchiveConfig,
    targets: TargetsLike,
    request: ImageRequest | None = None,
    *,
    aperture: Aperture | None = None,
    workers: int = 0,
    observe: Observe = lambda outcome, ended, total: None,
) -> Coverage:
    """Evaluate every observation for every object.

    Parameters
    ----------
    layout, config
        The archive, of which nothing is changed.
    targets
        A file, table, place or name, or many, as `daxa.query.targets.read_targets` takes them.  An
        object with a radius is seen in a circle of that radius, about which the ring moves out.
    request
        Which images; by default all.
    aperture
        How counts are taken.
    workers
        Processes; by default as the settings say.
    observe
        Called with every observation as it ends, with how many ended and how many there are.

    Raises
    ------
    CriteriaError
        The sample cannot be used, or the archive has no such mission, instrument or band.
    ArchiveError
        The images are not here.
    """
    sample = read_targets(targets, settings_of(config))
    found = find_image_sets(layout, config, request or ImageRequest())
    work = CoverageTask(_ordered(sample, aperture or Aperture()), _by_observation(found))
    size = workers or settings_of(config).workers
    few = size == 1 or len(work.images) <= _FEW
    answers = _one_by_one(work, observe) if few else _in_parallel(work, size, observe)
    parts, failures = [], []
    for key in work.images:
        rows, failed = answers[key]
        parts += [(one, rows[str(index)]) for index, one in enumerate(work.images[key]) if str(index) in rows]
        failures += failed
    return Coverage(coverage_table(sample, work.targets, parts), tuple(failures), len(sample), len(found))


@dataclass(frozen=True, eq=False)
class CoverageTask:
    """Evaluates the images of one observation, in a worker process (`daxa.run.task.TaskWork`).

    Parameters
    ----------
    targets
        The objects.
    images
        Mission and ObsID to the images of that observation.
    """

    targets: SampleTargets
    images: dict[tuple[str, str], list[ImageSet]]

    def __call__(self, task: Task, target: Path, log: TextIO) -> None:
        rows, failures = self.answer(task.mission, task.obs_id)
        # The keys are numbers, never the name of a parameter of `savez`.
        np.savez(target / "rows.npz", **rows)  # type: ignore[arg-type]
        (target / "failures.json").write_text(json.dumps([one.as_dict() for one in failures]))

    def answer(self, mission: str, obs_id: str) -> tuple[dict[str, np.ndarray], list[Outcome]]:
        """Rows of each image with an object, by its number in the observation; and what failed.

        In the rows ``target`` is the object's place in `targets`.
        """
        rows, failures = {}, []
        for index, one in enumerate(self.images[mission, obs_id]):
            try:
                rows[str(index)] = _cover_one(one, self.targets)
            except DaxaError as error:
                if error.environmental:
                    raise
                failures.append(Outcome(mission, one.name, obs_id, "failed", f"{error.code}: {error.message}"))
        return rows, failures


def _cover_one(one: ImageSet, targets: SampleTargets) -> np.ndarray:
    from astropy.io import fits

    from daxa.query.untrusted import PARSE_ERRORS

    try:
        header = fits.getheader(one.image)
        near = targets.within(*circle_of(header))
        if not len(near):
            return np.empty(0, COVERAGE_ROW)
        field = read_field(one.image, one.expmap, one.readout)
        seen = np.where(field.exposure > 0, field.counts, 0)
        whole = np.isfinite(np.sum(seen, dtype=float) + np.sum(field.exposure, dtype=float))
        sources, marks = _read_sources(one.sources) if one.sources else (np.empty((0, 3)), np.empty(0, np.int32))
    except PARSE_ERRORS as problem:
        raise _damaged(one, str(problem)) from problem
    if not whole:
        raise _damaged(one, "not all pixels are numbers")
    measured = coverage_at(targets.ra[near], targets.dec[near], field, targets.aperture.of(near))
    rows = np.empty(len(near), COVERAGE_ROW)
    for name in ROW.names or ():
        rows[name] = measured[name]
    rows["offaxis"] = off_axis(targets.ra[near], targets.dec[near], header)
    rows["target"] = near
    rows["nearest"], which = nearest_of(targets.ra[near], targets.dec[near], sources)
    rows["marks"] = marks[which] if len(sources) else -1
    return rows[(rows["flag"] & Quality.OUTSIDE) == 0]


def _read_sources(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Directions of the sources of a list, unit vectors of shape (n, 3), and the marks of each; -1 where unknown."""
    from astropy.io import fits

    table = fits.getdata(path, "SOURCES")
    ra, dec = (np.asarray(table[name], dtype=np.float64) for name in ("RA", "DEC"))
    known = np.isfinite(ra) & np.isfinite(dec)
    has_marks = "QUALITY" in table.names
    marks = np.asarray(table["QUALITY"], dtype=np.int32) if has_marks else np.full(len(ra), -1, np.int32)
    return directions(ra[known], dec[known]), marks[known]


def _damaged(one: ImageSet, why: str) -> DataError:
    return DataError(
        "damaged",
        f"image or exposure map of {one.name} cannot be read: {' '.join(why.split())[:150]}",
        remedy="`daxa verify` shows which files differ from the release; `dvc checkout` restores them",
    )


def _ordered(sample: Sample, aperture: Aperture) -> SampleTargets:
    radius, inner, outer = aperture.radius, aperture.inner, aperture.outer
    if not (0 < radius <= inner < outer <= 2 * _LARGEST and 0 < aperture.enclosed <= 1 and 0 < aperture.level < 1):
        raise CriteriaError(
            "aperture",
            f"a circle of {radius:g} arcsec with a ring of {inner:g} to {outer:g}, a share of light of "
            f"{aperture.enclosed:g} and limits at {aperture.level:g} are not valid",
            remedy=f"choose 0 < radius <= inner < outer <= {2 * _LARGEST:g}, and shares between 0 and 1",
        )
    order = np.argsort(sample.dec, kind="stable")
    if sample.radius is not None:
        radius = sample.radius[order] * 60.0
        if (wide := np.flatnonzero(sample.radius * 60.0 > _LARGEST)).size:
            raise CriteriaError(
                "sample",
                f"row {wide[0] + 1} of the sample: a radius of {sample.radius[wide[0]]:g} arcmin is more than a field",
                remedy=f"give radii of at most {_LARGEST / 60:g} arcmin",
            )
        # The ring begins outside the circle, and is as wide as before or as the circle is.
        inner = np.maximum(aperture.inner, radius)
        outer = inner + np.maximum(aperture.outer - aperture.inner, radius)
        aperture = replace(aperture, radius=radius, inner=inner, outer=outer)
    return SampleTargets(order, sample.ra[order], sample.dec[order], aperture)


def _by_observation(images: Sequence[ImageSet]) -> dict[tuple[str, str], list[ImageSet]]:
    grouped: dict[tuple[str, str], list[ImageSet]] = {}
    for one in images:
        grouped.setdefault((one.mission, one.obs_id), []).append(one)
    return grouped


Answers = dict[tuple[str, str], tuple[dict[str, np.ndarray], list[Outcome]]]


def _one_by_one(work: CoverageTask, observe: Observe) -> Answers:
    answers: Answers = {}
    for key in work.images:
        answers[key] = work.answer(*key)
        observe(_outcome(key, answers[key][1]), len(answers), len(work.images))
    return answers


def _in_parallel(work: CoverageTask, workers: int, observe: Observe) -> Answers:
    answers: Answers = {}
    for mission in dict.fromkeys(mission for mission, _ in work.images):
        own = {key: images for key, images in work.images.items() if key[0] == mission}
        tasks = [Task(mission, "coverage", obs_id, "daxa", "1") for _, obs_id in own]
        with tempfile.TemporaryDirectory(prefix="daxa-coverage-") as place:
            scratch, logs = Path(place, "scratch"), Path(place, "logs")
            scratch.mkdir()
            logs.mkdir()
            reports = execute(
                tasks, CoverageTask(work.targets, own), workers=workers, time_limit=_HOUR, scratch=scratch, logs=logs
            )
            with closing(reports):
                for report in (report for batch in reports for report in batch):
                    if report.error:
                        raise report.error
                    key = mission, report.task.obs_id
                    answers[key] = (
                        _read_answer(report.directory) if report.kind == "done" else _unrecoverable(key, report.reason)
                    )
                    observe(_outcome(key, answers[key][1]), len(answers), len(work.images))
    return answers


def _read_answer(directory: Path) -> tuple[dict[str, np.ndarray], list[Outcome]]:
    with np.load(directory / "rows.npz", allow_pickle=False) as rows:
        found = dict(rows)
    return found, [Outcome(**one) for one in json.loads((directory / "failures.json").read_text())]


def _unrecoverable(key: tuple[str, str], reason: str) -> tuple[dict[str, np.ndarray], list[Outcome]]:
    return {}, [Outcome(key[0], f"{key[0]} {key[1]}", key[1], "failed", reason)]


def _outcome(key: tuple[str, str], failures: Sequence[Outcome]) -> Outcome:
    return Outcome(key[0], "coverage", key[1], "failed" if failures else "done")
