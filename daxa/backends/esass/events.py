"""The step events through eSASS: the archive's list, with the chosen flags, patterns and modules."""

from __future__ import annotations

from daxa.backends.chains import CallPlan, Chain, ChainProduct, Known, Link
from daxa.backends.protocol import Resources
from daxa.errors import DataError, NotPossible
from daxa.missions import find_mission
from daxa.run.product import Product

__all__ = ["EVENTS", "refuse_scan"]

_ALL = "MERGED"


def _instrument(known: Known) -> str:
    """The name for the list of the chosen modules: ``MERGED`` for all of them."""
    names = [one.name for one in find_mission(known.task.mission).instruments]
    chosen = [name for name in names if name in known.instruments]
    return _ALL if chosen in ([], names) else "".join(chosen)


def _modules(known: Known) -> dict[str, object]:
    instruments = find_mission(known.task.mission).instruments
    chosen = [one.chip for one in instruments if one.name in known.instruments]
    return {"telid": chosen} if 0 < len(chosen) < len(instruments) else {}


def _evtool(known: Known) -> list[CallPlan]:
    files = {"eventfiles": list(known.inputs), "outfile": "events.fits", "events": True, "image": False}
    return [CallPlan({**files, **_modules(known)})]


def refuse_scan(known: Known) -> None:
    """Refuse a scan: it is larger than the parts of the sky that the calls of this chain name.

    Raises
    ------
    NotPossible
        The telescope moved over some degrees.
    """
    mission, obs_id = known.task.mission, known.task.obs_id
    if any(obs_id in scans for _, scans in find_mission(mission).other_fields):
        raise NotPossible(
            "scan",
            f"{mission} {obs_id} is a scan, for which no parameters of eSASS are recorded",
            remedy='process it natively (`backend = "native"`), or leave it out of the selection',
        )


def _refuse(known: Known) -> None:
    refuse_scan(known)
    if not known.inputs:
        whose = f"{known.task.mission} {known.task.obs_id}"
        raise DataError("no-events", f"{whose} has no event list", remedy="fetch it again")


def _products(known: Known) -> list[ChainProduct]:
    name = Product(known.task.obs_id, _instrument(known), "None", "events").name
    return [ChainProduct(path, name) for _, path in known.outputs("evtool", "events")]


EVENTS = Chain(
    missions=("erass1", "erosita_calpv"),
    step="events",
    version="1",
    refuse=_refuse,
    links=(
        Link(
            "evtool",
            "evtool",
            _evtool,
            "keeps the chosen modules, flags, patterns and energies, in good times",
            {
                "gti": "GTI",
                # As the recipes of eFEDS and of data release 1 have it.
                "flag": "0xc00fff30",
                "pattern": 15,
                "emin": 0.2,
                "emax": 10.0,
                "clobber": True,
            },
            wired=("eventfiles", "outfile", "events", "image", "telid"),
        ),
    ),
    products=_products,
    resources=Resources(memory=2 << 30),
    calibrated=True,
)
