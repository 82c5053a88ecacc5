"""A place to try whole pipelines in: an environment, and programs run in it as a user would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

from daxa.cli import main
from daxa.run.forkserver import share

__all__ = ["PIXELS", "Workbench", "contents", "few_realisations", "make_cheap", "parsed_lock"]

PIXELS = {"xmm": "17.4 arcsec", "chandra": "7.872 arcsec", "nustar": "9.832 arcsec"}
"""Of the images of small archives: four times as wide as by default."""


@dataclass(frozen=True)
class Workbench:
    """A directory and the environment that commands run with there."""

    root: Path
    environ: Mapping[str, str]

    @classmethod
    def at(cls, root: Path, services: Mapping[str, str], **more: str) -> Workbench:
        """Prepare an environment whose services, store and Git identity are the test's own."""
        root.mkdir(parents=True, exist_ok=True)
        environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("DAXA_", "GIT_", "DVC_"))},
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "DAXA_STORE": str(root / "store"),
            "DAXA_CACHE": str(root / "cache"),
            "DAXA_CONFIG": str(root / "no-config.toml"),
            "DVC_NO_ANALYTICS": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{role}_NAME": "Henrietta Leavitt" for role in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{role}_EMAIL": "leavitt@example.org" for role in ("AUTHOR", "COMMITTER")},
            **services,
            **more,
        }
        return cls(root, environ)

    def run(self, *argv: str, cwd: Path | None = None, ok: bool = True, **more: str) -> subprocess.CompletedProcess:
        """Run a program; fail with all that it said unless it ends well (`ok`)."""
        ended = subprocess.run(
            argv,
            cwd=cwd or self.root,
            env={**self.environ, **more},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=600,
            check=False,
        )
        if ok and ended.returncode:
            raise AssertionError(f"{' '.join(argv)} ended with {ended.returncode}\n{ended.stdout}\n{ended.stderr}")
        return ended

    def daxa(self, *argv: str, cwd: Path | None = None, ok: bool = True) -> subprocess.CompletedProcess:
        """Carry out a verb in this process, which spares the start of another; what the verb starts is real.

        Where plug-ins are on the path, which this process must not import, it is a program.
        """
        if "PYTHONPATH" in self.environ:
            return self.run("daxa", *argv, cwd=cwd, ok=ok)
        with self._inside(cwd or self.root) as said:
            code = main(list(argv))
        ended = subprocess.CompletedProcess(["daxa", *argv], code, *said)
        if ok and code:
            raise AssertionError(f"daxa {' '.join(argv)} ended with {code}\n{ended.stdout}\n{ended.stderr}")
        return ended

    @contextmanager
    def _inside(self, cwd: Path) -> Iterator[list[str]]:
        """Have this environment and directory in this process; the list gets what is written, by others as well."""
        said: list[str] = []
        place, environ, streams = Path.cwd(), dict(os.environ), (sys.stdout, sys.stderr)
        kept = [os.dup(number) for number in (1, 2)]
        with TemporaryFile("w+", encoding="utf-8") as out, TemporaryFile("w+", encoding="utf-8") as err:
            try:
                for number, stream in ((1, out), (2, err)):
                    os.dup2(stream.fileno(), number)
                sys.stdout, sys.stderr = out, err
                _set_environ(self.environ)
                os.chdir(cwd)
                yield said
            finally:
                os.chdir(place)
                _set_environ(environ)
                sys.stdout, sys.stderr = streams
                for number, former in enumerate(kept, 1):
                    os.dup2(former, number)
                    os.close(former)
                for stream in (out, err):
                    stream.flush()
                    stream.seek(0)
                    said.append(stream.read())

    def init(self, name: str, *conditions: str, missions: Sequence[str] = ("xmm",)) -> Path:
        """A small archive, where size proves nothing: one camera of each mission, and as `make_cheap` has it."""
        cameras = {"xmm": "xmm:M1", "nustar": "nustar:FPMA"}
        chosen = [word for mission in missions for word in ("--mission", mission, "--instrument", cameras[mission])]
        self.daxa("init", name, *chosen, *conditions)
        make_cheap(self.root / name)
        self.run("git", "commit", "--quiet", "--all", "--message", "Coarse pixels", cwd=self.root / name)
        return self.root / name

    def status(self, archive: Path) -> list[dict]:
        """Records of ``daxa status --json``."""
        return [json.loads(line) for line in self.daxa("status", "--json", cwd=archive).stdout.splitlines()]

    def repro(self, archive: Path, ok: bool = True) -> subprocess.CompletedProcess:
        """``dvc repro``, whose stages share what forks their workers, as those of ``daxa run`` do."""
        environ = dict(self.environ)
        with share(environ):
            return self.run("dvc", "repro", cwd=archive, ok=ok, **environ)

    def clean(self, archive: Path) -> bool:
        """Whether Git and DVC both see nothing changed."""
        git = self.run("git", "status", "--porcelain", cwd=archive).stdout
        dvc = json.loads(self.run("dvc", "status", "--json", cwd=archive).stdout or "{}")
        return not git and not dvc


def _set_environ(environ: Mapping[str, str]) -> None:
    for name in [name for name in os.environ if name not in environ]:
        del os.environ[name]
    os.environ.update(environ)


def make_cheap(archive: Path, missions: Sequence[str] = (), fields: int = 1) -> None:
    """Images of coarse pixels in one band, and false sources in extended light counted in so few simulated fields."""
    for path in sorted((archive / "params").glob("*.toml")):
        if missions and path.stem not in missions:
            continue
        text, pixels = re.subn(r'(?m)^pixel = ".*?"', f'pixel = "{PIXELS[path.stem]}"', path.read_text())
        text, bands = re.subn(r'(?m)^bands = \["(.*?)".*?\]', r'bands = ["\1"]', text)
        assert (pixels, bands) == (1, 1)
        path.write_text(few_realisations(text, fields))


def few_realisations(params: str, fields: int = 1) -> str:
    """The parameters with so many simulated fields, each of which takes as long as a search."""
    text, number = re.subn(r"(?m)^realisations = \d+", f"realisations = {fields}", params)
    assert number == 1
    return text


def contents(root: Path, *parts: str) -> dict[str, bytes]:
    """Every file below these directories of an archive: relative path to bytes."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for part in parts
        for path in sorted((root / part).rglob("*"))
        if path.is_file()
    }


def parsed_lock(archive: Path) -> dict:
    """``dvc.lock`` as values."""
    from ruamel.yaml import YAML

    return YAML(typ="safe").load((archive / "dvc.lock").read_text())
