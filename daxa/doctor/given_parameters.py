"""Whether the installed tools have the parameters that an archive gives them, by what they list themselves.

The tables of daxa say so before anything runs, for the releases that they know.  An installation knows better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from daxa.archive.config import ArchiveConfig, load_parameters, steps_of
from daxa.archive.layout import Layout
from daxa.backends import find_backend
from daxa.backends.chains import ChainBackend, Link
from daxa.backends.registry import backend_of_step
from daxa.backends.tools.environment import Installation
from daxa.backends.tools.installed import listed_parameters
from daxa.doctor.finding import Finding

__all__ = ["check_given_parameters"]


def check_given_parameters(installed: Installation, layout: Layout, config: ArchiveConfig | None) -> Iterator[Finding]:
    """Compare the parameters that params files name with what the tools of an installation list.

    Parameters
    ----------
    installed
        The software.
    layout, config
        The archive, if there is one.
    """
    name, listed = installed.suite.name, dict[str, frozenset[str]]()
    given = sorted(_given(name, layout, config)) if config else []
    for tool in {tool for *_, tool, _ in given}:
        listed[tool] = listed_parameters(installed, tool)
    lacking = [one for one in given if listed[one[3]] and one[4] not in listed[one[3]]]
    for mission, step, link, tool, parameter in lacking:
        known = ", ".join(sorted(listed[tool])[:12])
        text = f"{tool} of {installed.suite.title} {installed.release} has no parameter {parameter}"
        remedy = f"take {parameter} out of [{step}.{name}.{link}] in params/{mission}.toml; it has {known}"
        yield Finding(name, "parameters", "error", text, remedy)
    if unlisted := sorted({tool for tool, names in listed.items() if not names}):
        text = f"{', '.join(unlisted)} of {installed.suite.title} list no parameters"
        yield Finding(
            name, "parameters", "note", text, "a call shows whether they have those that the params files name"
        )
    elif given and not lacking:
        text = f"the {len(given)} that the params files name are those of {installed.suite.title} {installed.release}"
        yield Finding(name, "parameters", "ok", text)


def _given(suite: str, layout: Layout, config: ArchiveConfig) -> Iterator[tuple[str, str, str, str, str]]:
    """Mission, step, link, tool and name of every parameter of a tool in a params file."""
    backend = find_backend(suite)
    if not isinstance(backend, ChainBackend):
        return
    steps = steps_of(config)
    for mission in config.missions:
        tables = load_parameters(layout, mission, [step.name for step in steps])
        for step in (one for one in steps if not one.fetches and backend_of_step(tables, one, steps) == suite):
            chain = backend.chain(mission, step.name)
            links = {link.name: link for link in chain.links} if chain else {}
            table = tables.get(step.name, {})
            overrides = cast("Mapping[str, Mapping[str, Any]]", table.get("obs", {}))
            names = {pair for one in (table, *overrides.values()) for pair in _names(one.get(suite), links)}
            for link, parameter in names:
                yield mission, step.name, link, links[link].tool, parameter


def _names(table: object, links: Mapping[str, Link]) -> Iterator[tuple[str, str]]:
    """Link and name of the parameters in the table of a suite."""
    for link, values in table.items() if isinstance(table, Mapping) else ():
        if link in links and isinstance(values, Mapping):
            yield from ((link, name) for name in values)
