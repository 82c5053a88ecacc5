"""Conclude a change of an archive with a release: let DVC record what it has not seen, then commit and tag."""

from __future__ import annotations

from collections.abc import Callable

from daxa.archive import git
from daxa.archive.config import ArchiveConfig, load_config
from daxa.archive.layout import Layout
from daxa.archive.pipeline import run_pipeline
from daxa.publish.releases.release import Release, make_release
from daxa.publish.releases.unreleased import has_changes
from daxa.publish.state import records_at
from daxa.publish.version import release_tags
from daxa.selection.selection_file import read_chosen
from daxa.stages.forecast import forecast_run

__all__ = ["release_change", "released_ids"]


def released_ids(layout: Layout) -> dict[str, frozenset[str]]:
    """Mission to the ObsIDs of the last release; empty before the first."""
    tags = release_tags(git.tags(layout.root))
    if not tags:
        return {}
    with records_at(layout, git.commit_of(layout.root, tags[-1])) as records:
        return {name: frozenset(read_chosen(records.selection(name))) for name in load_config(records).missions}


def release_change(
    layout: Layout,
    config: ArchiveConfig,
    message: str = "",
    *,
    recorded: bool = False,
    observe: Callable[[int, int], None] = lambda ended, total: None,
) -> Release | None:
    """Make a release after a run; None if nothing has changed since the last one.

    If everything is done, DVC is asked to record it first, unless that was just done (`recorded`): it has
    not seen what ran without it, nor the summary of all missions.

    Raises
    ------
    DaxaError
        As `daxa.publish.releases.release.make_release`, which names what is not done.
    """
    tags = release_tags(git.tags(layout.root))
    if tags and not has_changes(layout, tags[-1]):
        return None
    if not recorded and not forecast_run(layout, config):
        run_pipeline(layout, config)
    return make_release(layout, config, message, observe=observe)
