"""``daxa missions``: what is declared of the missions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from daxa.cli.completion import complete_known_mission
from daxa.cli.show import show_json, show_table

if TYPE_CHECKING:
    from daxa.missions import Bundle, FieldOfView, MissionSpec

__all__ = ["missions"]

EXAMPLES = ("daxa missions", "daxa missions swift", "daxa missions --json")


def missions(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Show this one in full.", autocompletion=complete_known_mission)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON per mission.")] = False,
) -> None:
    """Show which missions can be listed and processed, or all that is declared of one."""
    from daxa.missions import find_mission, mission_names

    specs = [find_mission(one) for one in ([name] if name else mission_names())]
    if as_json:
        show_json(_record(spec) for spec in specs)
    elif name:
        show_table(["fact", "value"], _facts(specs[0]))
    else:
        show_table(
            ["mission", "title", "listed", "processed", "instruments chosen by default"],
            [
                [spec.name, spec.title, _yes(spec.listed), _yes(spec.processed), _joined(spec.default_instruments)]
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
            }
            for one in spec.instruments
        ],
        "proprietary": spec.table.proprietary,
        "fields": [
            {"field": one.field, "kind": one.kind, "file": one.file, "obs_ids": list(one.obs_ids)}
            for one in spec.bundles
        ],
        "directory": [spec.directory, *(template for _, template in spec.other_directories)],
        "native_inputs": [item.pattern for item in spec.native_inputs],
        "products": [product.pattern for product in spec.products],
        "acknowledgement": spec.acknowledgement,
        "source": spec.credit.source,
        "bibcodes": list(spec.bibcodes),
        "note": spec.note,
    }


def _facts(spec: MissionSpec) -> list[list[str]]:
    rows = [
        ["mission", spec.name],
        ["title", spec.title],
        ["aliases", _joined(spec.aliases)],
        ["listed", f"{_yes(spec.listed)}: {_source(spec)}"],
        ["processed", _yes(spec.processed)],
        ["public", "on a date of its own" if spec.table.proprietary == "date" else "all of it"],
        ["ObsID", f"{spec.id_pattern}  {spec.id_example}".strip()],
    ]
    for one in spec.instruments:
        default = ", chosen by default" if one.name in spec.default_instruments else ""
        rows.append([f"instrument {one.name}", f"{_sky(one.field_of_view)}{default}"])
    rows += [["instruments", f"{_sky(field)} in {', '.join(ids)}"] for field, ids in spec.other_fields]
    rows += [["column " + ours, theirs] for ours, theirs in spec.table.columns.items()]
    rows += [[f"field {one.field}", _held(one)] for one in spec.bundles]
    rows += [["directory", template] for template in (spec.directory, *(other for _, other in spec.other_directories))]
    rows += [[item.kind, item.pattern] for item in spec.native_inputs]
    rows += [[f"ready-made {product.kind}", product.pattern] for product in spec.products]
    rows += [["acknowledgement", spec.acknowledgement], ["wording at", spec.credit.source]]
    rows += [["reference", bibcode] for bibcode in spec.bibcodes]
    rows.append(["note", spec.note])
    return [row for row in rows if row[1]]


def _source(spec: MissionSpec) -> str:
    if spec.table.service == "tiling":
        return f"computed, with what {spec.table.name} adds"
    return (
        f"{spec.table.name}, which says itself which of these columns it has" if spec.table.usual else spec.table.name
    )


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
