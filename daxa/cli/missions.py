"""``daxa missions``: what is declared of the missions."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_known_mission
from daxa.cli.show import show_json, show_table
from daxa.selection.headings import moment

if TYPE_CHECKING:
    from daxa.addresses import Mirror
    from daxa.missions import Bundle, FieldOfView, MissionSpec
    from daxa.missions.spec import Instrument, ObservationTable

__all__ = ["missions"]

EXAMPLES = ("daxa missions", "daxa missions swift", "daxa missions --json")


def missions(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Show the details of this mission.", autocompletion=complete_known_mission),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON per mission.")] = False,
) -> None:
    """Show which missions can be listed and processed, or the details of one."""
    from daxa.missions import find_mission, mission_names

    specs = [find_mission(one) for one in ([name] if name else mission_names())]
    if as_json:
        show_json(_record(spec) for spec in specs)
    elif name:
        show_table(["fact", "value"], _facts(specs[0]))
    else:
        show_table(
            ["mission", "title", "listed", "processed by", "instruments chosen by default"],
            [
                [
                    spec.name,
                    spec.title,
                    _yes(spec.listed),
                    _joined(tuple(_backends(spec))),
                    _joined(spec.default_instruments),
                ]
                for spec in specs
            ],
        )


def _record(spec: MissionSpec) -> dict[str, object]:
    return {
        "mission": spec.name,
        "title": spec.title,
        "aliases": list(spec.aliases),
        "listed": spec.listed,
        "processed": spec.processed,
        "backends": {name: list(steps) for name, steps in _backends(spec).items()},
        "table": spec.table.name,
        "columns": dict(spec.table.columns),
        "columns_recorded": not spec.table.usual,
        "obs_id": {"pattern": spec.id_pattern, "example": spec.id_example},
        "instruments": [
            {
                "name": one.name,
                "aliases": list(one.aliases),
                "default": one.name in spec.default_instruments,
                "field_of_view": _sky(one.field_of_view),
                "wide": one.wide,
                "exposure": one.exposure,
                "labels": dict(one.labels),
                "unprocessed": one.unprocessed,
            }
            for one in spec.instruments
        ],
        "where": list(spec.table.where),
        "mode": list(spec.table.mode),
        "categories": _categories(spec.table),
        "scale": spec.table.scale,
        "proprietary": spec.table.proprietary,
        "never_public": list(spec.table.never_public),
        "other_tables": [_source(table) for table in spec.other_tables],
        "mirrors": [asdict(mirror) for mirror in spec.mirrors],
        "fields": [
            {"field": one.field, "kind": one.kind, "file": one.file, "obs_ids": list(one.obs_ids)}
            for one in spec.bundles
        ],
        "directory": [spec.directory, *(template for _, template in spec.other_directories)],
        "native_inputs": [item.pattern for item in spec.native_inputs],
        "products": [product.pattern for product in spec.products],
        "acknowledgement": spec.acknowledgement,
        "source": spec.credit.source,
        "facility": spec.credit.facility,
        "dataset": spec.credit.dataset,
        "bibcodes": list(spec.bibcodes),
        "wording_read": spec.credit.read,
        "checked": list(spec.credit.checked),
        "note": spec.note,
    }


def _facts(spec: MissionSpec) -> list[list[str]]:
    rows = [
        ["mission", spec.name],
        ["title", spec.title],
        ["aliases", _joined(spec.aliases)],
        ["listed", f"{_yes(spec.listed)}: {_source(spec.table)}"],
        *(["else listed", _source(table)] for table in spec.other_tables),
        *(["files at", _server(mirror)] for mirror in spec.mirrors),
        *([f"processed by {name}", _joined(steps)] for name, steps in _backends(spec).items()),
        ["public", "each observation on its own date" if spec.table.proprietary == "date" else "all of it"],
        ["ObsID", f"{spec.id_pattern}  {spec.id_example}".strip()],
    ]
    rows += [[f"instrument {one.name}", _instrument(spec, one)] for one in spec.instruments]
    rows += [["instruments", f"{_sky(field)} in {', '.join(ids)}"] for field, ids in spec.other_fields]
    rows += _of_table(spec.table)
    rows += [["event times", _zero(spec)]]
    rows += [["band", text] for text in _bands(spec)]
    rows += [[f"field {one.field}", _held(one)] for one in spec.bundles]
    rows += [["directory", template] for template in (spec.directory, *(other for _, other in spec.other_directories))]
    rows += [[item.kind, item.pattern] for item in spec.native_inputs]
    rows += [[f"ready-made {product.kind}", product.pattern] for product in spec.products]
    rows += [
        ["acknowledgement", _marked(spec.acknowledgement, checked=bool(spec.credit.read))],
        ["wording at", spec.credit.source],
        ["facility", _marked(spec.credit.facility, checked=spec.credit.facility in spec.credit.checked)],
        ["dataset", spec.credit.dataset],
        *(["reference", _marked(bibcode, checked=bibcode in spec.credit.checked)] for bibcode in spec.bibcodes),
        ["note", spec.note],
    ]
    return [row for row in rows if row[1]]


def _backends(spec: MissionSpec) -> dict[str, tuple[str, ...]]:
    """The backends that process a mission, and the steps that each does."""
    from daxa.backends import backend_names
    from daxa.backends.registry import steps_served
    from daxa.run.steps import step_names

    names = backend_names() if spec.processed else ()
    found = {name: steps_served(name, spec.name, step_names()) for name in names}
    return {name: steps for name, steps in found.items() if steps}


def _marked(text: str, *, checked: bool) -> str:
    """What a paper may have to say, with a mark where nobody has compared it with its source."""
    return text if checked or not text else f"{text} (not compared with its source yet)"


def _of_table(table: ObservationTable) -> list[list[str]]:
    """How the rows of the table are understood."""
    values = ", ".join(f"{value:g}" for value in table.never_public)
    days = ", ".join(moment(value) for value in table.never_public if value)
    never = f"{values}{f' (MJD of {days})' if days else ''}"
    return [
        *(["column " + ours, theirs] for ours, theirs in table.columns.items()),
        *(["row cut", text] for text in table.where),
        ["mode", ", ".join(table.mode)],
        *(["category", f"{theirs}: {ours}"] for theirs, ours in _categories(table).items()),
        ["times in the table", f"{table.scale.upper()}, as MJD"],
        ["no public date", never if table.proprietary == "date" else ""],
    ]


def _categories(table: ObservationTable) -> dict[str, str]:
    """The classes of targets in the table, with their columns, and our code for each."""
    codes = {f"{table.category} {label!r}": code for label, code in table.categories.items()}
    if table.second_category:
        column, others = table.second_category
        codes |= {f"{column} {label!r}": code for label, code in others.items()}
    return codes | ({"every row": table.only_category} if table.only_category else {})


def _instrument(spec: MissionSpec, one: Instrument) -> str:
    facts = [_sky(one.field_of_view)]
    facts += ["chosen by default"] if one.name in spec.default_instruments else []
    facts += ["sees nearly everything"] if one.wide else []
    facts += [f"also called {', '.join(one.aliases)}"] if one.aliases else []
    facts += [f"exposure in {one.exposure}"] if one.exposure else []
    facts += [f"not processed: {one.unprocessed}"] if one.unprocessed else []
    facts += [f"where {' and '.join(f'{column} is {value}' for column, value in one.labels)}"] if one.labels else []
    return ", ".join(facts)


def _zero(spec: MissionSpec) -> str:
    from daxa.xray.eventlists.formats import FORMATS

    forms = [form for form in FORMATS.values() if form.mission == spec.name]
    zeros = {form.mjdref for form in forms if form.mjdref is not None}
    return ", ".join(f"since {moment(zero)} (MJD {zero!r}) TT" for zero in sorted(zeros))


def _bands(spec: MissionSpec) -> list[str]:
    from daxa.xray.telescopes import imaging_of

    bands = imaging_of(spec.name).bands
    return [f"{band.lo:g} to {band.hi:g} keV, channels {band.pi[0]} to {band.pi[1]}" for band in bands]


def _source(table: ObservationTable) -> str:
    if table.service == "tiling":
        return f"computed, with what {table.name} adds"
    at = {"heasarc": "", "xsa": " at ESA"}.get(table.service, f" at {table.service}")
    return f"{table.name}{at}{', which says itself which of these columns it has' if table.usual else ''}"


def _server(mirror: Mirror) -> str:
    return f"{mirror.root}{f'/{mirror.layout}' if mirror.layout else ''}, listed as {mirror.listing} does"


def _held(bundle: Bundle) -> str:
    kind = f"{bundle.kind.replace('_', ' ').lower()}: " if bundle.kind else ""
    return f"{kind}{', '.join(bundle.obs_ids)} in {bundle.file}"


def _sky(field: FieldOfView) -> str:
    if field.shape == "square":
        text = f"square of {2 * field.size:g} arcmin"
    elif field.shape == "tile":
        text = f"cell of a survey, in an image of {2 * field.size:g} arcmin"
    elif field.shape == "annulus":
        text = f"annulus of {field.inner:g} to {field.size:g} arcmin"
    else:
        text = f"circle of {field.size:g} arcmin radius"
    return f"{text}, turned by {field.roll}" if field.roll else text


def _joined(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "-"


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
