"""Whether the servers that the missions name can be reached from here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from daxa.doctor.finding import Finding
from daxa.missions import find_mission
from daxa.settings import Settings

__all__ = ["look_at_services", "servers_of"]


def servers_of(missions: Iterable[str], settings: Settings) -> dict[str, list[str]]:
    """Address to the missions whose tables or files it has, or to what else it is used for."""
    from daxa.fetch.mirrors import mirrors_of
    from daxa.query.tables.services import address_of

    tables: dict[str, list[str]] = {}
    trees: dict[str, list[str]] = {}
    for name in missions:
        spec = find_mission(name)
        for table in (spec.table, *spec.other_tables) if spec.listed else ():
            if table.service != "tiling":
                tables.setdefault(f"{address_of(table, settings)}/availability", []).append(name)
        for mirror in mirrors_of(spec, settings):
            trees.setdefault(f"{mirror.root}/", []).append(name)
    resolvers = {address: ["names of objects"] for address in (settings.sesame, settings.simbad_tap, settings.ned)}
    return {**tables, **trees, **resolvers}


def look_at_services(missions: Iterable[str], settings: Settings) -> Iterator[Finding]:
    """Contact every server that these missions need, once."""
    if settings.offline:
        yield Finding("services", "offline", "note", "DAXA_OFFLINE is set: nothing was contacted", "unset DAXA_OFFLINE")
        return
    from daxa.fetch.probe import probe_servers

    servers = servers_of(missions, settings)
    for probe in probe_servers(servers, settings):
        names = list(dict.fromkeys(servers[probe.address]))
        used = f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
        place = probe.address.removesuffix("/availability").rstrip("/")
        text = f"{place}: {probe.said}"
        remedy = "check your connection and proxy (HTTPS_PROXY); otherwise wait, or name a mirror (docs/settings.md)"
        yield Finding("services", used, "ok" if probe.answers else "warning", text, "" if probe.answers else remedy)
