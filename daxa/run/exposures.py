"""Steps with a task for each exposure of an observation: what each reads, which must run, and the result of all.

The observation stays the unit of selections, ledgers and directories.  Its row has one
`daxa.run.task.ExposureRow` for each exposure, and its directory the products of those that are
done, whose names say which exposure they belong to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from daxa.errors import DataError
from daxa.missions.spec import SAFE_ID
from daxa.run.hashes import State
from daxa.run.plan import INTERRUPTED, what_changed
from daxa.run.product import parse_product
from daxa.run.task import ExposureRow, Input, LedgerRow, ProductFile, Result, Task

__all__ = [
    "NO_EXPOSURES",
    "check_owner",
    "exposure_of",
    "group_inputs",
    "plan_exposures",
    "row_of_exposures",
    "split_task",
    "words_on_exposures",
]

NO_EXPOSURES = "data.no-exposures"
"""Reason given for an observation in which a backend finds no exposure to work on."""

_MERGED = ("ALL", "None")
_MOST_NAMES = 3


def exposure_of(path: str) -> str:
    """The exposure in a product's name, '' if it names no single one.

    Examples
    --------
    >>> exposure_of("obsid0404910601-instPN-subexpS003-en-events.fits")
    'PN-S003'
    >>> exposure_of("attitude.fits"), exposure_of("obsid0404910601-instALL-subexpALL-en-search.json")
    ('', '')
    """
    try:
        product = parse_product(path)
    except DataError:
        return ""
    return "" if product.exposure in _MERGED else f"{product.instrument}-{product.exposure}"


def group_inputs(task: Task) -> dict[str, tuple[Input, ...]]:
    """The exposures named by the inputs of an observation, each with its own inputs and those of no exposure.

    This is what `daxa.backends.protocol.Backend.exposures` gives for a step that reads products.

    Parameters
    ----------
    task
        That of the whole observation.

    Examples
    --------
    >>> names = ("attitude.fits", *(f"obsid01-instPN-subexp{one}-en-events.fits" for one in ("S003", "U014")))
    >>> inputs = tuple(Input("events", ProductFile(name, 1, "0" * 64, "0" * 64)) for name in names)
    >>> found = group_inputs(Task("xmm", "clean", "01", "sas", "1", inputs=inputs))
    >>> {name: len(own) for name, own in found.items()}
    {'PN-S003': 2, 'PN-U014': 2}
    """
    owners = [exposure_of(item.file.path) for item in task.inputs]
    return {
        name: tuple(item for item, owner in zip(task.inputs, owners, strict=True) if owner in (name, ""))
        for name in sorted({*owners} - {""})
    }


def split_task(task: Task, exposures: Mapping[str, Iterable[Input]]) -> tuple[Task, ...]:
    """The tasks of the exposures of an observation, sorted by name.

    Parameters
    ----------
    task
        That of the whole observation.
    exposures
        Name of each to the inputs that its task reads.

    Raises
    ------
    ValueError
        A name cannot be part of a path, or an input is not one of the observation.
    """
    for name, inputs in exposures.items():
        if not SAFE_ID.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of an exposure of {task.obs_id}")
        if not set(inputs) <= set(task.inputs):
            raise ValueError(f"the exposure {name} of {task.obs_id} reads what is not an input of {task.step}")
    return tuple(replace(task, exposure=name, inputs=tuple(exposures[name])) for name in sorted(exposures))


def check_owner(task: Task, path: str) -> None:
    """Make sure that a file written for one exposure cannot be taken for a file of another.

    Raises
    ------
    DataError
        The file is neither named as a product of this exposure nor in a directory named after it.

    Examples
    --------
    >>> task = Task("xmm", "clean", "01", "sas", "1", exposure="PN-S003")
    >>> check_owner(task, "obsid01-instPN-subexpS003-en-events.fits")
    >>> check_owner(task, "PN-S003/attitude.fits")
    >>> check_owner(task, "attitude.fits")
    Traceback (most recent call last):
    ...
    daxa.errors.DataError: xmm 01@PN-S003: attitude.fits may be a file of another exposure
      -> name the product after the exposure, or write it into PN-S003/
    """
    if not task.exposure or exposure_of(path) == task.exposure or path.startswith(f"{task.exposure}/"):
        return
    raise DataError(
        "product-name",
        f"{task.mission} {task.name}: {path} may be a file of another exposure",
        remedy=f"name the product after the exposure, or write it into {task.exposure}/",
    )


def plan_exposures(
    tasks: Sequence[Task], row: LedgerRow | None, inspect: Callable[[ExposureRow], State]
) -> dict[str, str]:
    """Why each exposure of an observation must run; those that are kept are left out.

    Parameters
    ----------
    tasks
        Those of its exposures.
    row
        The observation's row in the ledger.
    inspect
        Gives the state of the files of an exposure.

    Examples
    --------
    >>> one, other = (Task("xmm", "clean", "01", "sas", "1", exposure=name) for name in ("M1-S001", "PN-S003"))
    >>> done = ExposureRow("M1-S001", "done", "", one.fingerprint)
    >>> plan_exposures([one, other], LedgerRow("01", "failed", exposures=(done,)), lambda row: "intact")
    {'PN-S003': 'new exposure'}
    """
    former = {one.exposure: one for one in row.exposures} if row else {}
    reasons = {task.exposure: _why(task, former.get(task.exposure), inspect) for task in tasks}
    return {exposure: reason for exposure, reason in reasons.items() if reason}


def _why(task: Task, former: ExposureRow | None, inspect: Callable[[ExposureRow], State]) -> str:
    if former is None:
        return "new exposure"
    if former.fingerprint != task.fingerprint:
        return what_changed(task, former)
    if former.outcome == "failed":
        return "failed before"
    return {"intact": "", "damaged": "product damaged"}.get(inspect(former), "product missing")


def row_of_exposures(
    whole: Task, parts: str, wanted: Sequence[str], known: Mapping[str, ExposureRow], files: Iterable[ProductFile]
) -> LedgerRow:
    """The row of an observation from what is known of its exposures; it holds no measures yet.

    Parameters
    ----------
    whole
        The task of the whole observation, with the shortened `parts` of its fingerprint.
    parts
        `daxa.run.rows.shorten` of them.
    wanted
        Names of all its exposures.
    known
        Those that are done or failed.
    files
        Their files that are there.
    """
    rows = tuple(known[name] for name in sorted(wanted) if name in known)
    failed = [row for row in rows if row.outcome == "failed"]
    reason = NO_EXPOSURES if not wanted else failed[0].reason if failed else ""
    if not reason and len(rows) < len(wanted):
        reason = INTERRUPTED
    outcome: Result = "failed" if reason else "done"
    return LedgerRow(whole.obs_id, outcome, reason, whole.fingerprint, parts, tuple(files), exposures=rows)


def words_on_exposures(rows: Sequence[ExposureRow]) -> str:
    """Which exposures failed, if some did, such as ``1 of 3 exposures: PN-S003``; '' for the whole observation.

    Examples
    --------
    >>> rows = (ExposureRow("M1-S001", "done"), ExposureRow("PN-S003", "failed", "data.no-events"))
    >>> words_on_exposures(rows)
    '1 of 2 exposures: PN-S003'
    """
    failed = [one.exposure for one in rows if one.outcome == "failed"]
    if not failed:
        return ""
    more = ", ..." if len(failed) > _MOST_NAMES else ""
    return f"{len(failed)} of {len(rows)} exposures: {', '.join(failed[:_MOST_NAMES])}{more}"
