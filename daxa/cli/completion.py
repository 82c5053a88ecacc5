"""What the shell offers after the Tab key, read from the archive in the current directory."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from daxa.errors import DaxaError

__all__ = [
    "complete_kind",
    "complete_known_mission",
    "complete_mission",
    "complete_obs_id",
    "complete_step",
    "complete_tag",
]


def complete_obs_id(incomplete: str) -> list[str]:
    """ObsIDs of the archive."""

    def all_ids() -> Iterable[str]:
        import daxa
        from daxa.archive.stage_records import selected_ids

        archive = daxa.open()
        return sorted(
            {obs_id for mission in archive.config.missions for obs_id in selected_ids(archive.layout, mission)}
        )

    return _offer(all_ids, incomplete)


def complete_mission(incomplete: str) -> list[str]:
    """Missions that an archive can hold."""
    from daxa.missions import mission_names

    return _offer(lambda: mission_names(processed=True), incomplete)


def complete_known_mission(incomplete: str) -> list[str]:
    """Missions that daxa knows."""
    from daxa.missions import mission_names

    return _offer(mission_names, incomplete)


def complete_step(incomplete: str) -> list[str]:
    """Steps that archives may have."""
    from daxa.run.steps import step_names

    return _offer(step_names, incomplete)


def complete_kind(incomplete: str) -> list[str]:
    """Kinds of files that an archive may hold: those that the help names."""
    from daxa.run.product import KINDS

    return _offer(lambda: KINDS, incomplete)


def complete_tag(incomplete: str) -> list[str]:
    """Tags of the archive."""

    def names() -> Iterable[str]:
        import daxa
        from daxa.archive import git

        return sorted(git.tags(daxa.open().root))

    return _offer(names, incomplete)


def _offer(candidates: Callable[[], Iterable[str]], incomplete: str) -> list[str]:
    try:
        return [name for name in candidates() if name.startswith(incomplete)]
    except DaxaError:
        # Outside an archive, or in a damaged one, there is nothing to offer; the verb itself will say why.
        return []
