"""Make a release again from the archives of the missions, and give a verdict on every file.

The ledgers of what is made are in the archive's private directory, so that those of the release stay as they
are until everything is judged.  After an interruption, the same call continues.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daxa.archive import dvc, git
from daxa.archive.check import check_parameters, check_versions
from daxa.archive.config import ArchiveConfig, load_config, steps_of
from daxa.archive.gate import check_archive
from daxa.archive.layout import Layout
from daxa.archive.software import RandomKinds, load_software, random_kinds
from daxa.archive.upstream import collect_provenance
from daxa.errors import ArchiveError, DataError
from daxa.naming import number_of
from daxa.publish.releases.release_environment import compare_environments, environment_at, installed_environment
from daxa.publish.remaking.certificate import (
    FileVerdict,
    Recorded,
    RemadeVerdict,
    Scope,
    causes_of,
    judge_task,
    make_statement,
    recorded_release,
    worst,
)
from daxa.records import Outcome
from daxa.run.comparison import compare_files
from daxa.run.delivery import remove_products
from daxa.run.equality import file_digests
from daxa.run.ledger import read_ledger, write_ledger
from daxa.run.product import parse_product
from daxa.run.rows import shorten
from daxa.run.runner import run_stage
from daxa.run.task import LedgerRow, StagePaths
from daxa.selection.selection_file import read_chosen
from daxa.stages.collect import run_collect
from daxa.stages.derived import judge_derived
from daxa.stages.recipe import read_recipes
from daxa.stages.step import make_stage

__all__ = ["Environments", "Observer", "choose_scope", "compare_sides", "remake_release"]

_SAME: tuple[RemadeVerdict, ...] = ("identical bytes", "identical science")
_SAID = 6

Observer = Callable[[str, str], Callable[[Outcome, int, int], None]]
Rows = Mapping[str, Mapping[str, Mapping[str, LedgerRow]]]


@dataclass(frozen=True)
class Environments:
    """Software and platform of the release and of this machine, and their differences."""

    release: Mapping[str, Any] | None
    here: Mapping[str, Any]
    differences: tuple[str, ...]


@dataclass(frozen=True)
class _Remade(Layout):
    """The archive, with separate ledgers for what is made again."""

    def ledger(self, mission: str, step: str) -> Path:
        return self.private / "recreate" / f"{mission}-{step}.parquet"

    def places(self, mission: str, step: str) -> StagePaths:
        places, name = super().places(mission, step), f"recreate-{mission}-{step}"
        return replace(
            places,
            journal=places.journal.with_name(f"{name}.jsonl"),
            scratch=places.scratch.with_name(name),
            lookup=places.lookup.with_name(f"{name}.sqlite"),
        )


def compare_sides(layout: Layout, recorded: Recorded) -> Environments:
    """Compare the software and platform of the release with those here."""
    release, here = environment_at(layout, recorded.tag.commit), installed_environment()
    return Environments(release, here, tuple(compare_environments(release, here)))


def choose_scope(recorded: Recorded, sample: int = 0, seed: int = 0) -> Scope:
    """Which observations to make again: all, or some that are drawn at random."""
    everything = [(mission, obs_id) for mission, chosen in recorded.chosen.items() for obs_id in chosen]
    drawn = everything
    if sample:
        # The draw need not be unforeseeable, and must be the same for everybody who knows the seed.
        drawn = sorted(random.Random(seed).sample(everything, min(sample, len(everything))))  # noqa: S311
    chosen = {mission: [obs_id for one, obs_id in drawn if one == mission] for mission in recorded.chosen}
    return Scope(chosen, sample, seed if sample else 0, len(everything))


def remake_release(
    layout: Layout,
    tag: str,
    *,
    sample: int = 0,
    seed: int = 0,
    by: str = "",
    originals: Layout | None = None,
    finish: bool = True,
    observe: Observer | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Fetch and process the content of a release again, and compare everything with its ledgers.

    Parameters
    ----------
    layout
        An archive whose work tree is at the release, without its data, or with what an earlier,
        interrupted call made.  Afterwards it has the data, as far as they could be made, and the ledgers
        describe them; files of which the telescope's archive now has another version are not used.
    tag
        The release.
    sample, seed
        Make only this many observations, drawn at random; 0 for all.
    by
        Who issues the certificate.
    originals
        An archive that may have the data of the release: files that differ are then compared with them, HDU by HDU.
    finish
        Make the report and fill DVC's cache if everything is the same.
    observe
        Given a mission and a step, returns what to call for every task that ends.
    say
        Called with lines about both environments, before anything is fetched.

    Returns
    -------
    dict
        The certificate (`daxa.publish.remaking.certificate.make_statement`).

    Raises
    ------
    UntrustedArchive, ArchiveError
        Something in the archive could run, or it is in use.
    ConfigError
        The software here is of other versions than the release is locked to.
    ServiceError, StorageError
        The work cannot continue; what was done is kept.
    """
    check_archive(layout, acting=True)
    config = load_config(layout)
    recorded = recorded_release(layout, tag)
    _check_place(layout, recorded)
    scope = choose_scope(recorded, sample, seed)
    if sample:
        say(f"drawn with --seed {seed}: {number_of(sum(map(len, scope.chosen.values())), 'observation')}")
    sides = compare_sides(layout, recorded)
    _say_sides(sides, say)
    check_parameters(layout, config)
    check_versions(layout, config)
    calibration = _calibration_differences(layout, config, recorded, scope)
    for line in calibration:
        say(line)
    locked = load_software(layout)
    made, upstream = _make(layout, config, recorded, scope, observe)
    found = list(_verdicts(recorded, made, scope, upstream))
    at_random = random_kinds(config, locked)
    found = [_explained(layout, originals, one, recorded, at_random) for one in found]
    if originals is not None:
        found = judge_derived(found, (originals, layout), lambda one: _is_randomised(one, at_random))
    causes = {
        (mission, obs_id): _causes(recorded.ledgers[mission], made[mission], obs_id)
        for mission, chosen in scope.chosen.items()
        for obs_id in chosen
    }
    _adopt_ledgers(layout, recorded, made, upstream)
    _forget_failures(layout, recorded, made, upstream)
    if finish and not sample and not recorded.contradictions and all(one.verdict == "identical bytes" for one in found):
        _finish(layout, config)
    return make_statement(
        recorded,
        found,
        causes,
        scope,
        environments=(sides.release, sides.here),
        differences=[*sides.differences, *calibration],
        software={f"{mission}.{step}": f"{one.backend} {one.version}" for (mission, step), one in locked.items()},
        by=by,
        when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _check_place(layout: Layout, recorded: Recorded) -> None:
    """Check that the tree is at the release, whose parameters are the ones that count."""
    if git.commit_of(layout.root) != recorded.tag.commit:
        raise ArchiveError(
            "other-commit",
            f"{layout.root} is no longer at {recorded.tag.name}",
            remedy=f"`git checkout {recorded.tag.name}`, or recreate the release in another directory",
        )


def _make(
    layout: Layout, config: ArchiveConfig, recorded: Recorded, scope: Scope, observe: Observer | None
) -> tuple[Rows, dict[tuple[str, str], RemadeVerdict]]:
    """Do every step for the observations of the scope; return the rows, and whose fetched files are not the same."""
    remade = _Remade(layout.root)
    upstream: dict[tuple[str, str], RemadeVerdict] = {}
    made: dict[str, dict[str, dict[str, LedgerRow]]] = {}
    for mission, chosen in scope.chosen.items():
        made[mission] = {}
        for step in steps_of(config):
            wanted = {obs_id for obs_id in chosen if (mission, obs_id) not in upstream}
            stage = make_stage(remade, config, step.name, mission)
            stage = replace(
                stage,
                tasks=[task for task in stage.tasks if task.obs_id in wanted],
                skipped={obs_id: reason for obs_id, reason in stage.skipped.items() if obs_id in wanted},
            )
            run_stage(stage, observe=observe(mission, step.name) if observe else None)
            rows = made[mission][step.name] = read_ledger(remade.ledger(mission, step.name))
            if step.fetches:
                upstream |= _differing_ids(recorded, mission, step.name, wanted, rows)
    return made, upstream


def _calibration_differences(layout: Layout, config: ArchiveConfig, recorded: Recorded, scope: Scope) -> list[str]:
    """For which steps, and how many observations, the calibration here is not that of the release."""
    steps, lines = steps_of(config), []
    for mission, chosen in scope.chosen.items():
        instruments = read_chosen(layout.selection(mission))
        for name, recipe in read_recipes(layout, mission, steps).items():
            if not recipe.is_calibrated:
                continue
            rows = {obs_id: row for obs_id in chosen if (row := recorded.ledgers[mission][name].get(obs_id))}
            known = {
                obs_id: json.loads(row.parts).get("calibration") for obs_id, row in rows.items() if row.fingerprint
            }
            other = [
                obs_id
                for obs_id, digest in known.items()
                if json.loads(shorten({"": recipe.calibration_for(obs_id, instruments[obs_id])}))[""] != digest
            ]
            if other:
                lines.append(
                    f"calibration of {name} of {mission}: different for {len(other)} of {len(known)} observations"
                )
    return lines


def _say_sides(sides: Environments, say: Callable[[str], None]) -> None:
    if not sides.differences:
        say("software and platform are those of the release")
        return
    shown = "; ".join(sides.differences[:_SAID])
    more = f"; and {len(sides.differences) - _SAID} more" if len(sides.differences) > _SAID else ""
    say(f"software and platform differ from those of the release: {shown}{more}")


def _differing_ids(
    recorded: Recorded, mission: str, step: str, chosen: Collection[str], rows: Mapping[str, LedgerRow]
) -> dict[tuple[str, str], RemadeVerdict]:
    """Observations whose files are not those of the release: they are not processed, as nobody has consented."""
    found = {}
    for obs_id in chosen:
        before = recorded.ledgers[mission][step].get(obs_id)
        verdicts = [one.verdict for one in judge_task((mission, step, obs_id), before, rows.get(obs_id), fetches=True)]
        if worst(verdicts) not in _SAME:
            found[mission, obs_id] = worst(verdicts)
    return found


def _verdicts(
    recorded: Recorded, made: Rows, scope: Scope, upstream: Mapping[tuple[str, str], RemadeVerdict]
) -> Iterator[FileVerdict]:
    for mission, chosen in scope.chosen.items():
        for obs_id in chosen:
            for step, ledger in recorded.ledgers[mission].items():
                fetches = step in recorded.fetching
                yield from judge_task(
                    (mission, step, obs_id),
                    ledger.get(obs_id),
                    made[mission][step].get(obs_id),
                    fetches=fetches,
                    upstream=None if fetches else upstream.get((mission, obs_id)),
                )


def _causes(
    recorded: Mapping[str, Mapping[str, LedgerRow]], made: Mapping[str, Mapping[str, LedgerRow]], obs_id: str
) -> list[str]:
    """What has changed, with the step concerned; changes of inputs follow from earlier steps."""
    causes: dict[str, None] = {}
    for step, ledger in recorded.items():
        for cause in causes_of(ledger.get(obs_id), made[step].get(obs_id)):
            if cause != "input changed":
                causes[f"{step}: {cause}"] = None
    return list(causes)


def _explained(
    layout: Layout, originals: Layout | None, one: FileVerdict, recorded: Recorded, at_random: RandomKinds
) -> FileVerdict:
    """Describe how a file differs from the one of the release, if that is here."""
    if one.verdict != "different" or one.recorded is None or one.found is None or one.step in recorded.fetching:
        return one
    if originals is None:
        noise = "; it is made with random numbers, and only the data of the release could show whether this is noise"
        return replace(one, how=one.how + noise) if _is_randomised(one, at_random) else one
    paths = [place.products(one.mission, one.step) / one.obs_id / one.path for place in (originals, layout)]
    try:
        if file_digests(paths[0]).sha256 != one.recorded.sha256:
            return one
        compared = compare_files(*paths, randomised=_is_randomised(one, at_random))
    except (OSError, DataError):
        return one
    verdict: RemadeVerdict = "different"
    if compared.verdict == "equal within counting noise":
        verdict = compared.verdict
    return replace(one, verdict=verdict, how="; ".join(map(str, compared.differences))[:500] or one.how)


def _is_randomised(one: FileVerdict, at_random: RandomKinds) -> bool:
    try:
        return parse_product(one.path).kind in at_random.get((one.mission, one.step), ())
    except DataError:
        return False


def _adopt_ledgers(
    layout: Layout, recorded: Recorded, made: Rows, upstream: Mapping[tuple[str, str], RemadeVerdict]
) -> None:
    """Let the archive's ledgers describe the files that are there now, and remove those that are not used."""
    for mission, steps in made.items():
        for step, rows in steps.items():
            fetches = step in recorded.fetching
            for obs_id in [one for one in rows if fetches and (mission, one) in upstream]:
                remove_products(
                    layout.products(mission, step) / obs_id, layout.places(mission, step).scratch, rows[obs_id]
                )
            before = recorded.ledgers[mission][step]
            now = {
                obs_id: row
                for obs_id, row in rows.items()
                if row.outcome == "done" and (mission, obs_id) not in upstream
            }
            changed = {obs_id for obs_id, row in now.items() if row != before.get(obs_id)}
            if changed:
                write_ledger(layout.ledger(mission, step), {**before, **now}.values(), mission=mission, step=step)
            if fetches:
                _keep_arrivals(layout, mission, changed)


def _forget_failures(
    layout: Layout, recorded: Recorded, made: Rows, upstream: Mapping[tuple[str, str], RemadeVerdict]
) -> None:
    """Let a later call request again what the telescope's archive did not have."""
    remade = _Remade(layout.root)
    for mission, steps in made.items():
        for step in recorded.fetching & steps.keys():
            rows = [row for obs_id, row in steps[step].items() if (mission, obs_id) not in upstream]
            write_ledger(remade.ledger(mission, step), rows, mission=mission, step=step)


def _keep_arrivals(layout: Layout, mission: str, changed: Collection[str]) -> None:
    """Record where files came from whose bytes are not those of the release; the others are recorded already."""
    directory = layout.arrivals / mission
    for note in directory.glob("*.json"):
        if note.stem not in changed:
            note.unlink()
    collect_provenance(layout.upstream(mission), directory)


def _finish(layout: Layout, config: ArchiveConfig) -> None:
    """Make the report, and let DVC cache what is there: everything is as ``dvc.lock`` says."""
    run_collect(layout.root)
    stages = [f"{step}-{mission}" for mission in config.missions for step in config.steps]
    dvc.commit(layout.root, [*stages, "collect"])
