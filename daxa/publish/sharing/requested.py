"""Which files of an archive's data are requested, with the digests that its listings give them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from daxa.archive.config import ArchiveConfig, load_config
from daxa.archive.layout import Layout
from daxa.archive.named_choices import named_kinds
from daxa.archive.products import kinds_in
from daxa.errors import ArchiveError, CriteriaError, DataError
from daxa.publish.contents import find_listing
from daxa.publish.digests import place_object
from daxa.publish.dvc_outputs import listed_files, shared_digests
from daxa.publish.remote import Remote, Storage
from daxa.publish.state import read_observations
from daxa.run.hashes import MANIFEST
from daxa.run.product import parse_product

__all__ = ["WHOLE", "Part", "PullRequest", "check_requested", "plan_pull", "without_logs"]

_LOGS = "logs.dvc"


@dataclass(frozen=True)
class Part:
    """Which of the data are requested; an empty field restricts nothing.

    Parameters
    ----------
    missions, obs_ids, kinds
        Only files of these.
    """

    missions: frozenset[str] = frozenset()
    obs_ids: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()


WHOLE = Part()


@dataclass(frozen=True)
class PullRequest:
    """What is requested: every file with its digest, and the directory that DVC can check out as a whole.

    Outputs without a listing are named; `single` are logs that daxa puts in place itself.
    """

    files: Mapping[str, str]
    target: Mapping[str, str]
    unlisted: tuple[str, ...] = ()
    single: frozenset[str] = frozenset()

    @property
    def objects(self) -> dict[str, list[str]]:
        needed: dict[str, list[str]] = {}
        for path, digest in self.files.items():
            needed.setdefault(digest, []).append(path)
        return needed


def check_requested(layout: Layout, config: ArchiveConfig, part: Part) -> None:
    """Make sure that missions, observations and kinds are those of the archive.

    Raises
    ------
    CriteriaError
        One of them is not.
    """
    missions, obs_ids = part.missions, part.obs_ids
    named_kinds(sorted(part.kinds), kinds_in(layout, config, sorted(part.kinds)))
    for mission in sorted(missions):
        if mission not in config.missions:
            raise CriteriaError(
                "mission", f"{mission} is not in this archive", remedy=f"choose from {', '.join(config.missions)}"
            )
    if obs_ids:
        chosen = {obs_id for mission in missions or config.missions for obs_id in read_observations(layout, mission)}
        if unknown := sorted(set(obs_ids) - chosen):
            raise CriteriaError(
                "obs-id",
                f"{unknown[0]} is not among the observations of this archive",
                remedy="`daxa select --export ids.csv` lists the observations",
            )


def plan_pull(layout: Layout, storage: Storage, remote: Remote | None, part: Part) -> PullRequest:
    """Judge every listing of the archive, and choose from them what is requested."""
    paths = (layout.pipeline, layout.lock, layout.root / _LOGS)
    if not layout.lock.is_file():
        raise ArchiveError(
            "no-data",
            f"{layout.root} has no {layout.lock.name}, which records its data",
            remedy=f"`git checkout {layout.lock.name}` if it was removed; `daxa run` makes data",
        )
    pipeline, lock, logs = (path.read_bytes() if path.is_file() else None for path in paths)
    files: dict[str, str] = {}
    target: dict[str, str] = {}
    unlisted: list[str] = []
    # Nobody can say what a listing that cannot be found would have named: its whole output is missing.
    requested = [[name] for name in _requested_missions(layout, part)]
    for out, digest in shared_digests(pipeline or b"", lock or b"", logs).items():
        if not digest.endswith(".dir"):
            if not part.kinds:
                files[out], target[out] = digest, out
            continue
        listing = find_listing(layout, digest, out, storage, remote)
        if listing is None:
            if not requested or (out == layout.logs.name and not part.kinds) or out.split("/")[1:2] in requested:
                unlisted.append(out)
            continue
        for relative, one in listed_files(listing, out).items():
            path = f"{out}/{relative}"
            if (whole := _target(layout, out, path, part)) is not None:
                files[path], target[path] = one, whole
        place_object(listing, storage.cached(digest), digest)
    if part.kinds and not files and not unlisted:
        raise CriteriaError(
            "kind",
            f"there is no file of the kind {', '.join(sorted(part.kinds))} among the data that were asked for",
            remedy="`daxa ls` lists the files with their kinds; those of the missions' archives come by `daxa run`",
        )
    return PullRequest(files, target, tuple(unlisted))


def without_logs(wanted: PullRequest, own: Collection[str], given_up: Collection[str], logs: str) -> PullRequest:
    """What is requested, without the logs of the user's own runs; DVC then checks out no directory of logs."""
    files = {path: digest for path, digest in wanted.files.items() if path not in own}
    several = own or given_up
    single = frozenset(
        path for path in files if path.startswith(f"{logs}/") and (several or wanted.target[path] == path)
    )
    return PullRequest(files, {path: wanted.target[path] for path in files}, wanted.unlisted, single)


def _requested_missions(layout: Layout, part: Part) -> list[str]:
    """Missions of which something is requested; none if all of the archive is."""
    chosen = sorted(part.missions) or (load_config(layout).missions if part.obs_ids or part.kinds else ())
    return [
        name
        for name in chosen
        if not part.obs_ids or not read_observations(layout, name).keys().isdisjoint(part.obs_ids)
    ]


def _target(layout: Layout, out: str, path: str, part: Part) -> str | None:
    """What DVC is to put in place for a file: its output, observation, or itself; None when it is not requested."""
    if part == WHOLE:
        return out
    parts = path.split("/")
    name = Path(layout.report).name
    if parts[0] == name or len(parts) < 4 or (part.missions and parts[1] not in part.missions):
        return None
    is_log = parts[0] == layout.logs.name
    obs_id = parts[3].removesuffix(".log") if is_log else parts[3]
    if part.obs_ids and obs_id not in part.obs_ids:
        return None
    if part.kinds:
        kept = layout.root / out == layout.kept(parts[1])
        return path if not is_log and _kind(parts[-1], kept=kept) in part.kinds else None
    return out if not part.obs_ids and not is_log else "/".join(parts[:4])


def _kind(name: str, *, kept: bool) -> str:
    """Kind of a file as `daxa.archive.products` names it; '' of what describes the others."""
    if name == MANIFEST:
        return ""
    if kept:
        return "fetched"
    try:
        return parse_product(name).kind
    except DataError:
        return "auxiliary"
