"""Products as a table, for the terminal: what ``daxa ls`` carries out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from daxa.cli.show import say, show_json, show_table, size_text

__all__ = ["list_products"]

Names = Sequence[str] | None


def list_products(
    *,
    mission: Names = None,
    step: Names = None,
    obs_id: Names = None,
    kind: Names = None,
    instrument: Names = None,
    band: Names = None,
    as_json: bool = False,
) -> None:
    """Write the products of the archive in the current directory, one line per file.

    Parameters
    ----------
    mission, step, obs_id, kind, instrument, band
        Only these, as `daxa.archive.products.find_products` takes them.
    as_json
        Write JSON in place of a table.

    Raises
    ------
    DaxaError
        As `daxa.open` and `daxa.archive.products.find_products`.
    """
    import daxa
    from daxa.archive.products import find_products

    archive = daxa.open()
    records = find_products(
        archive.layout,
        archive.config,
        mission,
        step=step,
        obs_id=obs_id,
        kind=kind,
        instrument=instrument,
        band=band,
    )
    if as_json:
        show_json(records)
        return
    if not records:
        say("no such products: `daxa status` says what is done")
        return
    show_table(
        ["mission", "ObsID", "instrument", "exposure ID", "band (keV)", "kind", "size", "here", "path"],
        [
            [
                *(record[name] for name in ("mission", "obs_id", "instrument")),
                record["exposure"] or ("-" if record["instrument"] else ""),
                _band(record),
                record["kind"],
                size_text(record["size"]),
                "yes" if record["present"] else "absent",
                record["relative"],
            ]
            for record in records
        ],
    )
    if absent := sum(not record["present"] for record in records):
        say(
            f"\n{absent} of {len(records)} files are absent: `daxa pull` brings them if the remote has them, "
            "and `daxa run` makes them"
        )


def _band(record: Mapping[str, object]) -> str:
    lo, hi = record["lo_kev"], record["hi_kev"]
    return f"{lo}-{hi}" if lo is not None else ""
