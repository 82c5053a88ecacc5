"""``daxa init``: choose observations and generate an archive."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_mission
from daxa.cli.show import say, seconds_text, show_table, show_text
from daxa.errors import CriteriaError

if TYPE_CHECKING:
    import pandas as pd

    from daxa.missions import MissionSpec

__all__ = ["filters_asked", "init"]

EXAMPLES = (
    'daxa init a907 --mission xmm --mission chandra --target "Abell 907"',
    "daxa init survey --mission xmm --position 149.59,-11.06 --radius 15arcmin --start 2004-01-01 --end 2010-01-01",
    "daxa init two --mission xmm --mission nustar --obsid 0404910601 --obsid nustar:30101031002 --instrument xmm:M1,M2",
    'daxa init shared --mission chandra --target "Abell 907" --remote s3://bucket/a907 --title "Abell 907 in X-rays"',
)

_MJD_EPOCH = date(1858, 11, 17)
_SHOWN_ROWS = 20


def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new directory; its name is the archive's name.")],
    *,
    missions: Annotated[
        list[str],
        typer.Option("--mission", metavar="NAME", help="May be repeated.", autocompletion=complete_mission),
    ],
    targets: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="NAME", help="An object that Simbad, NED or VizieR know. May be repeated."),
    ] = None,
    positions: Annotated[
        list[str] | None,
        typer.Option("--position", metavar="RA,DEC", help="ICRS, degrees or sexagesimal. May be repeated."),
    ] = None,
    obs_ids: Annotated[
        list[str] | None,
        typer.Option("--obsid", metavar="[MISSION:]OBSID", help="Only these observations. May be repeated."),
    ] = None,
    radius: Annotated[
        str | None,
        typer.Option(
            help="About targets and positions, such as 15arcmin; by default the field of view.", metavar="SIZE"
        ),
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="DATE", help="Observed after this date (or MJD).")] = None,
    end: Annotated[str | None, typer.Option(metavar="DATE", help="Observed before this date (or MJD).")] = None,
    instruments: Annotated[
        list[str] | None,
        typer.Option("--instrument", metavar="[MISSION:]NAME,...", help="Only these instruments. May be repeated."),
    ] = None,
    remote: Annotated[
        str, typer.Option(metavar="URL", help="Storage through which the data are shared (any address DVC knows).")
    ] = "",
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title of the archive, for citations.")] = "",
) -> None:
    """Choose observations and generate an archive: a Git repository with its first commit.

    At least one --target, --position or --obsid says what is wanted; all conditions hold together.
    """
    from daxa.missions import find_mission

    specs = [find_mission(name) for name in missions]
    filters = filters_asked(
        specs,
        targets=targets or (),
        positions=positions or (),
        obs_ids=obs_ids or (),
        radius=radius,
        window=(start, end),
        instruments=instruments or (),
    )
    import daxa
    from daxa.archive.upstream import read_origin
    from daxa.selection.store import read_selection

    asked = [daxa.Mission(spec.name).filter(**filters[spec.name]) for spec in specs]
    archive = daxa.Archive.create(directory, asked, title=title, remote=remote)
    for spec in specs:
        _show_selection(
            spec,
            read_selection(archive.layout.selection(spec.name)),
            read_origin(archive.layout.upstream(spec.name)).get("left_out", {}),
        )
    say(f"next:\n  cd {directory}\n  dvc repro            # or `daxa run`: fetch and process\n  daxa release -m ...")


def filters_asked(
    specs: Sequence[MissionSpec],
    *,
    targets: Sequence[str] = (),
    positions: Sequence[str] = (),
    obs_ids: Sequence[str] = (),
    radius: str | None = None,
    window: tuple[str | None, str | None] = (None, None),
    instruments: Sequence[str] = (),
) -> dict[str, dict[str, object]]:
    """Sort what was asked for by mission: the arguments of `daxa.Mission.filter` for each.

    ObsIDs and instruments belong to the mission that stands before a colon, or to the only
    mission; an ObsID without mission belongs to every mission whose ObsIDs look like it.

    Raises
    ------
    CriteriaError
        Nothing was asked of a mission, or something belongs to none of them.

    Examples
    --------
    >>> from daxa.missions import find_mission
    >>> both = [find_mission("xmm"), find_mission("nustar")]
    >>> filters_asked(both, obs_ids=["0404910601", "nustar:30101031002"], instruments=["xmm:M1,M2"])
    {'xmm': {'obs_ids': ['0404910601'], 'instruments': ['M1', 'M2']}, 'nustar': {'obs_ids': ['30101031002']}}
    """
    if not (targets or positions or obs_ids):
        raise CriteriaError(
            "nothing-asked",
            "nothing says which observations are wanted",
            remedy="give --target, --position or --obsid; `daxa init --help` shows examples",
        )
    common: dict[str, object] = {}
    if targets:
        common["target"] = list(targets)
    if positions:
        common["position"] = list(positions)
    if radius is not None:
        common["radius"] = radius
    if any(window):
        common["time"] = window
    filters: dict[str, dict[str, object]] = {spec.name: dict(common) for spec in specs}
    _put(filters, "obs_ids", [pair for text in obs_ids for pair in _owners(specs, text)])
    _put(filters, "instruments", [(owner, name) for text in instruments for owner, name in _cameras(specs, text)])
    if not (targets or positions):
        for name, given in filters.items():
            if "obs_ids" not in given:
                raise CriteriaError(
                    "nothing-asked",
                    f"no observation of {name} was asked for",
                    remedy=f"give --obsid {name}:..., or leave out --mission {name}",
                )
    return filters


def _put(filters: Mapping[str, dict[str, object]], key: str, pairs: Sequence[tuple[str, str]]) -> None:
    for owner, value in pairs:
        filters[owner].setdefault(key, []).append(value)  # type: ignore[attr-defined]


def _owners(specs: Sequence[MissionSpec], text: str) -> list[tuple[str, str]]:
    prefix, colon, rest = text.rpartition(":")
    if colon:
        spec = _prefixed(specs, prefix, text)
        return [(spec.name, spec.check_obs_id(rest))]
    if len(specs) == 1:
        return [(specs[0].name, specs[0].check_obs_id(text))]
    owners = []
    for spec in specs:
        try:
            owners.append((spec.name, spec.check_obs_id(text)))
        except CriteriaError:
            continue
    if not owners:
        raise CriteriaError(
            "obs-id",
            f"{text!r} is no ObsID of {' or '.join(spec.title for spec in specs)}",
            remedy="give it as the archive writes it, such as "
            + " or ".join(f"{spec.name}:{spec.id_example}" for spec in specs),
        )
    return owners


def _cameras(specs: Sequence[MissionSpec], text: str) -> list[tuple[str, str]]:
    prefix, colon, rest = text.rpartition(":")
    if not colon and len(specs) > 1:
        raise CriteriaError(
            "instrument", f"it is not clear whose instrument {text!r} is", remedy=f"write {specs[0].name}:{text}"
        )
    spec = _prefixed(specs, prefix, text) if colon else specs[0]
    return [(spec.name, spec.find_instrument(name).name) for name in rest.split(",")]


def _prefixed(specs: Sequence[MissionSpec], prefix: str, text: str) -> MissionSpec:
    from daxa.missions import find_mission

    wanted = find_mission(prefix)
    if wanted not in specs:
        raise CriteriaError(
            "mission", f"{text!r} belongs to {wanted.name}, which is not chosen", remedy=f"add --mission {wanted.name}"
        )
    return wanted


def _show_selection(spec: MissionSpec, table: pd.DataFrame, left_out: Mapping[str, int]) -> None:
    show_text(f"{spec.title}: {len(table)} observation{'s' if len(table) != 1 else ''}")
    show_table(
        ["  ObsID", "target", "RA", "Dec", "start", "exposure", "instruments"],
        [
            [
                f"  {row.obs_id}",
                row.target,
                f"{row.ra:.4f}",
                f"{row.dec:+.4f}",
                _day(row.start),
                seconds_text(row.exposure),
                row.instruments,
            ]
            for row in table.head(_SHOWN_ROWS).itertuples()
        ],
    )
    if len(table) > _SHOWN_ROWS:
        show_text(f"  ... and {len(table) - _SHOWN_ROWS} more")
    for reason, rows in left_out.items():
        say(f"  left out: {rows} ({reason})")
    show_text("")


def _day(mjd: float) -> str:
    return (_MJD_EPOCH + timedelta(days=int(mjd))).isoformat() if math.isfinite(mjd) else ""
