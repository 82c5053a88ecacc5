"""What becomes of configuration, parameters, software, criteria and locks where two people changed them."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from daxa.archive.config import load_config, parse_config
from daxa.archive.layout import Layout
from daxa.archive.trust import rendered_pipeline
from daxa.missions import find_mission
from daxa.publish.dvc_outputs import directory_digest, directory_listing
from daxa.publish.merging import merged_lock as merging_lock
from daxa.publish.merging.merge_choices import choose_records, read_merge_side
from daxa.publish.merging.merged_lock import merge_lock
from daxa.publish.merging.merged_tables import merge_tables
from daxa.query import read_criteria
from daxa.run.ledger import read_ledger
from daxa.selection.selection_file import read_chosen, read_selection, write_selection
from tests.publish.workshop import FIRST, SECOND, THIRD, Workshop, observation

NUSTAR = "30101031002"
SIGMA = "flare_sigma = 2.5\n"


class Scene:
    """The version with which both began, and one function that says what each side did to it."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.listings: dict[str, bytes] = {}

    def make(self, name: str, *acts: Callable[[Workshop], object]) -> Layout:
        workshop = Workshop(self.place / name / "a907")
        workshop.generate(["xmm"], "")
        process(FIRST, THIRD)(workshop)
        for act in acts:
            act(workshop)
        self._lock(workshop.layout)
        return workshop.layout

    def _lock(self, layout: Layout) -> None:
        """As DVC would write it; listings hold a digest per name and content."""
        stages = {}
        for name, stage in merging_lock._load(layout.pipeline.read_bytes(), "dvc.yaml")["stages"].items():
            outs = []
            for out in (next(iter(one)) if isinstance(one, dict) else one for one in stage["outs"]):
                if out.startswith("ledger/"):
                    outs.append(merging_lock._file(layout, out))
                    continue
                files = {
                    path.relative_to(layout.root / out).as_posix(): f"{hash_of(path):032x}"
                    for path in (layout.root / out).rglob("*")
                    if path.is_file()
                }
                digest = directory_digest(files)
                self.listings[digest] = directory_listing(files)
                outs.append({"path": out, "hash": "md5", "md5": digest, "size": 1, "nfiles": len(files)})
            params = merging_lock._params(stage, lambda file: tomllib.loads((layout.root / file).read_text()))
            deps = [merging_lock._file(layout, dep) for dep in stage["deps"]]
            stages[name] = {"cmd": stage["cmd"], "deps": deps, "params": params, "outs": outs}
        layout.lock.write_text(merging_lock.MergedLock(stages).text)

    def merge(self, ours: Sequence[Callable], theirs: Sequence[Callable], **resolved: str):
        layouts = (self.make("base"), self.make("ours", *ours), self.make("theirs", *theirs))
        sides = tuple(read_merge_side(layout) for layout in layouts)
        named = {name.removeprefix("_"): side for name, side in resolved.items()}
        choices, conflicts = choose_records(*sides, named)
        merged = merge_tables(self.place / "merged", sides, choices, named)
        self.choices, self.sides = choices, sides
        return merged.layout, [*conflicts, *merged.conflicts]

    def lock(self, merged: Layout):
        config = parse_config(merged.config.read_bytes(), merged.config)
        found = merge_lock(merged, config, self.sides[1:], self.choices, lambda digest, path: self.listings.get(digest))
        assert json.loads(json.dumps(found.stages)) == merging_lock._load(found.text.encode(), "dvc.lock")["stages"]
        return found


def hash_of(path: Path) -> int:
    import zlib

    return zlib.crc32(path.read_bytes())


def process(*obs_ids: str, **salts: str) -> Callable[[Workshop], object]:
    def act(workshop: Workshop) -> None:
        workshop.choose("xmm", [observation(obs_id) for obs_id in obs_ids])
        workshop.process("xmm", obs_ids, salts={name.removeprefix("_"): salt for name, salt in salts.items()})

    return act


def edit(path: str, before: str, after: str) -> Callable[[Workshop], object]:
    def act(workshop: Workshop) -> None:
        place = workshop.layout.root / path
        assert before in place.read_text()
        place.write_text(place.read_text().replace(before, after, 1))

    return act


def override(obs_id: str, line: str, note: str = "") -> Callable[[Workshop], object]:
    def act(workshop: Workshop) -> None:
        path = workshop.layout.params("xmm")
        path.write_text(f'{path.read_text().rstrip()}\n\n{note}[clean.obs."{obs_id}"]\n{line}')

    return act


def add_nustar(workshop: Workshop) -> None:
    workshop.generate(["xmm", "nustar"], "")
    workshop.choose("nustar", [observation(NUSTAR) | {"instruments": "FPMA"}])
    workshop.process("nustar", [NUSTAR])


@pytest.fixture
def scene(tmp_path) -> Scene:
    return Scene(tmp_path)


def params(layout: Layout) -> dict:
    return tomllib.loads(layout.params("xmm").read_text())


def test_overrides_and_parameters_of_both_are_kept_with_their_remarks(scene):
    merged, conflicts = scene.merge(
        [override(FIRST, SIGMA, "# ours: a flare\n"), process(FIRST, THIRD, **{f"_{FIRST}": "x"})],
        [edit("params/xmm.toml", 'pixel = "', 'pixel = "9 arcsec" # hers "'), override(THIRD, 'flares = "none"\n')],
    )
    assert not conflicts
    assert params(merged)["clean"]["obs"] == {FIRST: {"flare_sigma": 2.5}, THIRD: {"flares": "none"}}
    assert params(merged)["images"]["pixel"] == "9 arcsec"
    assert "# ours: a flare" in merged.params("xmm").read_text()


def test_one_parameter_with_two_values_is_a_conflict(scene):
    acts = [edit("params/xmm.toml", 'pixel = "', f'pixel = "{size} arcsec" # "') for size in (8, 9)]
    _, conflicts = scene.merge(acts[:1], acts[1:])
    assert [one.text for one in conflicts] == ["images.pixel params/xmm.toml: ours '8 arcsec'; theirs '9 arcsec'"]


@pytest.mark.parametrize(("side", "size"), [("ours", "8 arcsec"), ("theirs", "9 arcsec")])
def test_a_side_may_be_right_for_a_file(scene, side, size):
    acts = [edit("params/xmm.toml", 'pixel = "', f'pixel = "{size} arcsec" # "') for size in (8, 9)]
    merged, conflicts = (
        scene.merge(acts[:1], acts[1:], params__xmm_toml=side) if False else scene.merge(acts[:1], acts[1:], all=side)
    )
    assert not conflicts
    assert params(merged)["images"]["pixel"] == size


def test_software_is_one_value_per_step(scene):
    locks = [
        edit("software.toml", 'backend = "native"\nversion = "', f'backend = "native"\nversion = "{n}') for n in "98"
    ]
    _, conflicts = scene.merge(locks[:1], locks[1:])
    assert [(one.name, one.place) for one in conflicts] == [("software.toml", "xmm.events")]


def test_a_mission_of_one_side_and_a_title_of_the_other(scene):
    title = edit("daxa.toml", 'title = ""', 'title = "Ours"')
    merged, conflicts = scene.merge([title, process(FIRST, SECOND, THIRD)], [add_nustar])
    config = load_config(merged)
    assert not conflicts
    assert (config.title, list(config.missions)) == ("Ours", ["xmm", "nustar"])
    assert merged.pipeline.read_bytes() == rendered_pipeline(config)
    assert list(tomllib.loads(merged.software.read_text())) == ["xmm", "nustar"]
    assert list(read_ledger(merged.ledger("nustar", "clean"))) == [NUSTAR]
    assert merged.ledger("nustar", "clean").read_bytes() == scene.sides[2].layout.ledger("nustar", "clean").read_bytes()
    found = scene.lock(merged)
    assert found.again == ["collect"]
    assert not found.listings


def test_a_mission_that_one_dropped_goes_unless_the_other_worked_on_it(tmp_path):
    class Both(Scene):
        def make(self, name, *acts):
            return super().make(name, add_nustar, *acts)

    def drop(workshop: Workshop) -> None:
        workshop.generate(["xmm"], "")

    def anew(workshop: Workshop) -> None:
        workshop.process("nustar", [NUSTAR], salts={NUSTAR: "anew"})

    merged, conflicts = Both(tmp_path / "a").merge([process(FIRST)], [drop])
    assert not conflicts
    assert list(load_config(merged).missions) == ["xmm"]
    assert not merged.params("nustar").exists()
    _, conflicts = Both(tmp_path / "b").merge([anew], [drop])
    assert [(one.name, one.theirs) for one in conflicts] == [(NUSTAR, "dropped it")]
    merged, conflicts = Both(tmp_path / "c").merge([anew], [drop], **{f"_{NUSTAR}": "ours"})
    assert not conflicts
    assert list(load_config(merged).missions) == ["xmm", "nustar"]


def test_a_mission_that_waits_for_observations_is_kept_unless_it_was_dropped(tmp_path):
    def empty(workshop: Workshop) -> None:
        layout = workshop.layout
        workshop.generate(["xmm", "nustar"], "")
        table = read_selection(layout.selection("xmm")).iloc[:0]
        write_selection(layout.selection("nustar"), table, mission="nustar", criteria="{}", snapshot="0" * 64)
        workshop.process("nustar", [])

    class Waits(Scene):
        def make(self, name, *acts):
            return super().make(name, empty, *acts)

    scene = Waits(tmp_path / "both")
    merged, conflicts = scene.merge([process(FIRST)], [process(FIRST, SECOND, THIRD)])
    assert not conflicts
    assert list(load_config(merged).missions) == ["xmm", "nustar"]
    assert (read_chosen(merged.selection("nustar")), read_ledger(merged.ledger("nustar", "clean"))) == ({}, {})
    assert [name for name in scene.lock(merged).again if "nustar" in name] == []
    merged, _ = Scene(tmp_path / "added").merge([process(FIRST)], [empty])
    assert list(load_config(merged).missions) == ["xmm", "nustar"]
    merged, _ = Waits(tmp_path / "dropped").merge([process(FIRST)], [lambda workshop: workshop.generate(["xmm"], "")])
    assert list(load_config(merged).missions) == ["xmm"]


def test_a_mission_of_which_each_dropped_what_the_other_kept_waits(scene):
    def drop(kept: str) -> Callable[[Workshop], object]:
        return lambda workshop: (add_nustar(workshop), process(kept)(workshop))

    merged, conflicts = scene.merge([drop(FIRST)], [drop(THIRD)])
    assert not conflicts
    assert list(load_config(merged).missions) == ["xmm", "nustar"]
    assert (read_chosen(merged.selection("xmm")), read_ledger(merged.ledger("xmm", "clean"))) == ({}, {})


def criteria(text: str) -> Callable[[Workshop], object]:
    return edit("daxa.toml", "[missions.xmm]", f"[missions.xmm]\n{text}")


def test_criteria_ask_for_what_both_ask_without_what_is_dropped(scene):
    merged, conflicts = scene.merge(
        [criteria(f'obs_ids = ["{FIRST}", "{SECOND}", "{THIRD}"]'), process(FIRST, SECOND, THIRD)],
        [criteria(f'obs_ids = ["{FIRST}"]'), process(FIRST)],
    )
    assert not conflicts
    assert list(read_ledger(merged.ledger("xmm", "clean"))) == [FIRST, SECOND]
    asked = read_criteria(find_mission("xmm"), load_config(merged).missions["xmm"])
    plain = json.loads(asked.text)
    assert plain["any_of"] == [{"obs_ids": [FIRST, SECOND, THIRD]}, {"obs_ids": [FIRST]}]
    assert plain["none_of"] == [{"obs_ids": [THIRD]}]


def test_criteria_that_one_side_changed_are_its_own(scene):
    """Whatever the other side did to observations that both have."""
    merged, conflicts = scene.merge(
        [criteria(f'obs_ids = ["{FIRST}"]'), process(FIRST)], [process(FIRST, THIRD, **{f"_{FIRST}": "hers"})]
    )
    assert not conflicts
    assert load_config(merged).missions["xmm"] == {"obs_ids": [FIRST]}
    assert list(read_ledger(merged.ledger("xmm", "clean"))) == [FIRST]


def test_a_lock_of_united_outputs_and_of_stages_that_hold(scene):
    merged, _ = scene.merge([process(FIRST, SECOND, THIRD)], [process(FIRST, THIRD, **{f"_{THIRD}": "hers"})])
    found = scene.lock(merged)
    assert found.again == ["collect"]
    assert set(found.listings) == {
        out["md5"]
        for step in ("events", "clean", "images", "sources")
        for out in found.stages[f"{step}-xmm"]["outs"]
        if out["md5"].endswith(".dir")
    }
    listed = json.loads(next(iter(found.listings.values())))
    assert {entry["relpath"].split("/")[0] for entry in listed} == {FIRST, SECOND, THIRD}
    assert found.stages["clean-xmm"]["outs"][0]["nfiles"] == 6
    assert found.stages["clean-xmm"]["params"]["params/xmm.toml"]["clean"] == params(merged)["clean"]


def test_what_was_done_with_other_parameters_is_run_again(scene):
    merged, _ = scene.merge(
        [process(FIRST, SECOND, THIRD)],
        [
            edit("params/xmm.toml", 'pixel = "', 'pixel = "9 arcsec" # "'),
            process(FIRST, THIRD, **{f"_{FIRST}": "hers", f"_{THIRD}": "hers"}),
        ],
    )
    found = scene.lock(merged)
    assert found.again == ["images-xmm", "collect"]
    now = found.stages["images-xmm"]["params"]["params/xmm.toml"]["images"]["pixel"]
    assert (params(merged)["images"]["pixel"], now == "9 arcsec") == ("9 arcsec", False)


def test_what_a_side_had_not_run_is_not_recorded_as_done(scene, monkeypatch):
    lock = scene._lock

    def then_edited(layout: Layout) -> None:
        lock(layout)
        if "theirs" in layout.root.parts:
            edit("params/xmm.toml", 'pixel = "', 'pixel = "9 arcsec" # "')(Workshop(layout.root))

    monkeypatch.setattr(scene, "_lock", then_edited)
    merged, _ = scene.merge([process(FIRST, SECOND, THIRD)], [process(FIRST, THIRD, **{f"_{THIRD}": "hers"})])
    found = scene.lock(merged)
    assert "images-xmm" in found.again
    assert "images-xmm" not in found.stages
    assert "clean-xmm" not in found.again


def test_what_both_added_is_compared(scene):
    _, conflicts = scene.merge(
        [process(FIRST, SECOND, THIRD, **{f"_{SECOND}": "ours"})], [process(FIRST, SECOND, THIRD)]
    )
    assert [one.name for one in conflicts] == [SECOND]
    assert conflicts[0].ours == "added it"
    assert conflicts[0].theirs == "added it, and in comparison processed fetch, events, clean, images, sources"


@pytest.mark.parametrize("sides", [1, 2])
def test_an_override_of_an_observation_that_is_not_selected_is_kept(tmp_path, sides):
    early = override(SECOND, SIGMA, "# as soon as it is public\n")
    hers = edit("params/xmm.toml", 'pixel = "', 'pixel = "9 arcsec" # hers "')
    scene = Scene(tmp_path)
    merged, conflicts = scene.merge([early], [hers, early] if sides > 1 else [hers])
    assert not conflicts
    assert params(merged)["clean"]["obs"] == {SECOND: {"flare_sigma": 2.5}}
    assert params(merged)["images"]["pixel"] == "9 arcsec"
    assert "# as soon as it is public" in merged.params("xmm").read_text()
    assert list(read_ledger(merged.ledger("xmm", "clean"))) == [FIRST, THIRD]


def test_different_overrides_of_an_observation_that_is_not_selected_are_a_conflict(scene):
    _, conflicts = scene.merge([override(SECOND, SIGMA)], [override(SECOND, 'flares = "none"\n')])
    assert [(one.name, one.ours) for one in conflicts] == [(SECOND, "set clean.flare_sigma = 2.5")]
    assert "set clean.flares = 'none'" in conflicts[0].theirs
