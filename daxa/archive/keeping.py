"""Fetched files that the mission's archive has replaced, and that this archive keeps: in DVC, by their old bytes.

``[storage.fetched.<mission>]`` of ``daxa.toml`` names the observations.  A separate stage,
``kept-<mission>``, copies what the ledger names of them to ``data/<mission>/kept``, which is an output like
others: pushed, pulled and verified with every release.
"""

from __future__ import annotations

import os
import shutil
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daxa.archive import git
from daxa.archive.committing import commit_changes, refuse_uncommitted
from daxa.archive.config import ArchiveConfig, load_config, parse_config, settings_of, steps_of
from daxa.archive.layout import Layout
from daxa.archive.trust import rendered_pipeline
from daxa.archive.upstream import mark_superseded
from daxa.errors import ArchiveError, DataError
from daxa.files import refuse_links
from daxa.naming import some
from daxa.run.delivery import remove_products
from daxa.run.hashes import HashCache
from daxa.run.ledger import read_ledger
from daxa.run.task import LedgerRow, ProductFile

if TYPE_CHECKING:
    from daxa.fetch.store import Store

__all__ = ["keep_files", "run_kept"]

_CACHED = "cached"
_NAMED = 5


def keep_files(layout: Layout, files: Mapping[str, Mapping[str, Collection[str]]]) -> str:
    """Let the archive keep the fetched files of some observations, and mark those that were replaced.

    Parameters
    ----------
    layout
        The archive.
    files
        Mission to ObsID to the paths that the mission's archive no longer serves.

    Returns
    -------
    str
        Digest of the commit.

    Raises
    ------
    ArchiveError
        Something is at work, or a file that changes has uncommitted changes.
    DataError
        A file is neither here nor in the store.
    """
    git.check_identity(layout.root)
    config = load_config(layout)
    for mission, observations in files.items():
        source = _source(layout, config, mission)
        for row in _rows(layout, config, mission, observations):
            for file in row.files:
                source.find(row.obs_id, file)
    texts = _texts(layout, {mission: list(observations) for mission, observations in files.items()})
    refuse_uncommitted(layout, texts.__contains__)
    today = datetime.now(UTC).date().isoformat()

    def write(made: Layout) -> None:
        for name, text in texts.items():
            (made.root / name).parent.mkdir(parents=True, exist_ok=True)
            (made.root / name).write_text(text, encoding="utf-8")
        for mission, observations in files.items():
            mark_superseded(layout.upstream(mission), observations, today, to=made.upstream(mission))

    named = [f"{mission} {obs_id}" for mission, observations in files.items() for obs_id in observations]
    return commit_changes(
        layout, f"Keep the fetched files of {some(named, _NAMED)}, which were replaced upstream", write
    )


def _texts(layout: Layout, obs_ids: Mapping[str, Collection[str]]) -> dict[str, str]:
    """New content of ``daxa.toml`` and ``dvc.yaml``."""
    import tomlkit

    text = layout.config.read_text(encoding="utf-8")
    document: Any = tomlkit.parse(text)
    expected = tomllib.loads(text)
    storage = document.setdefault("storage", tomlkit.table(is_super_table=True))
    fetched = storage.setdefault("fetched", tomlkit.table(is_super_table=True))
    for mission, ids in obs_ids.items():
        table = fetched.setdefault(mission, tomlkit.table())
        own = expected.setdefault("storage", {}).setdefault("fetched", {}).setdefault(mission, {})
        for obs_id in sorted(ids):
            key: Any = tomlkit.key(obs_id)
            table[tomlkit.items.SingleKey(obs_id, t=tomlkit.items.KeyType.Basic) if key.is_bare() else key] = _CACHED
            own[obs_id] = _CACHED
    written = tomlkit.dumps(document)
    if tomllib.loads(written) != expected:
        raise AssertionError("daxa.toml would not hold what was requested")
    pipeline = rendered_pipeline(parse_config(written.encode(), layout.config))
    return {layout.config.name: written, layout.pipeline.name: pipeline.decode()}


def _rows(layout: Layout, config: ArchiveConfig, mission: str, obs_ids: Collection[str]) -> Iterator[LedgerRow]:
    for step in (step.name for step in steps_of(config) if step.fetches):
        rows = read_ledger(layout.ledger(mission, step))
        yield from (rows[obs_id] for obs_id in sorted(obs_ids) if obs_id in rows and rows[obs_id].files)


def run_kept(root: Path, mission: str) -> None:
    """Make ``data/<mission>/kept`` what the ledger says of the observations whose files are kept.

    Raises
    ------
    DataError
        A file is nowhere on this machine.
    ArchiveError
        The archive keeps no files of the mission; or files are in the way that daxa did not make.
    """
    layout = Layout(root)
    config = load_config(layout)
    if mission not in config.storage.fetched:
        raise ArchiveError(
            "no-stage", f"this archive keeps no fetched files of {mission}", remedy="list stages with `dvc stage list`"
        )
    source, target = _source(layout, config, mission), layout.kept(mission)
    rows = {row.obs_id: row for row in _rows(layout, config, mission, config.storage.fetched[mission])}
    places = layout.places(mission, "kept")
    target.mkdir(parents=True, exist_ok=True)
    for name in sorted(path.name for path in target.iterdir()):
        if name not in rows:
            remove_products(target / name, places.scratch, None)
    hashes = HashCache(places.hashes)
    for obs_id, row in rows.items():
        for file in row.files:
            path = target / obs_id / file.path
            refuse_links(layout.root, path)
            if not (path.is_file() and hashes.sha256(path) == file.sha256):
                _copy(source.find(obs_id, file), path)
    hashes.save()


@dataclass(frozen=True)
class _Source:
    """Where the fetched files of a mission may be on this machine."""

    root: Path
    mission: str
    directories: tuple[Path, ...]
    store: Store

    def find(self, obs_id: str, file: ProductFile) -> Path:
        """Where the bytes that the ledger names are."""
        from daxa.fetch.store import digest_file

        for path in (directory / obs_id / file.path for directory in self.directories):
            refuse_links(self.root, path)
            if path.is_file() and path.stat().st_size == file.size and digest_file(path) == file.sha256:
                return path
        if self.store.check(file.sha256):
            return self.store.path(file.sha256)
        raise DataError(
            "kept-absent",
            f"{self.mission} {obs_id}: {file.path} as it was fetched is no longer on this machine",
            remedy="run this where it was fetched, or `daxa pull`; or accept the new files: `daxa update --yes`",
        )


def _source(layout: Layout, config: ArchiveConfig, mission: str) -> _Source:
    from daxa.fetch.store import Store

    fetched = [layout.products(mission, step.name) for step in steps_of(config) if step.fetches]
    return _Source(layout.root, mission, (*fetched, layout.kept(mission)), Store(settings_of(config).store))


def _copy(source: Path, target: Path) -> None:
    """A separate copy, complete or not at all: DVC may change what it tracks, and the store is shared."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.part")
    part.unlink(missing_ok=True)
    with source.open("rb") as reading, part.open("xb") as writing:
        shutil.copyfileobj(reading, writing)
        writing.flush()
        os.fsync(writing.fileno())
    part.replace(target)
