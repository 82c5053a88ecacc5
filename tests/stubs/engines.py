"""Stand-ins for docker and apptainer: they refuse options that they do not know, give a program nothing but the
environment and the directories that it was given, and map its arguments from inside to outside.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

LAUNCHER = (
    "#!{python}\nimport sys\nsys.path.insert(0, {root!r})\nfrom tests.stubs.engines import main\nmain({place!r})\n"
)
IDENTITY = "sha256:" + "5a" * 32
FLAGS = {"--rm", "--init", "--cleanenv", "--containall"}
OPTIONS = {
    "--name",
    "--network",
    "--user",
    "--workdir",
    "--mount",
    "--env",
    "--entrypoint",
    "--home",
    "--pwd",
    "--bind",
}


def install_engine(place: Path, name: str, environ: dict[str, str], sees: list[str]) -> None:
    """`name` in ``place/bin``, with one image that has these variables and sees these directories of its own."""
    (place / "bin").mkdir(parents=True, exist_ok=True)
    (place / "image.json").write_text(json.dumps({"environ": environ, "sees": sees}))
    path = place / "bin" / name
    path.write_text(
        LAUNCHER.format(python=sys.executable, root=str(Path(__file__).resolve().parents[2]), place=str(place))
    )
    path.chmod(0o755)


def main(place: str) -> None:
    """One call of an engine."""
    name, argv = Path(sys.argv[0]).name, sys.argv[1:]
    with (Path(place) / "calls").open("a") as calls:
        calls.write(json.dumps([name, *argv]) + "\n")
    if argv[:2] == ["image", "inspect"]:
        if argv[2] != "lab/suite:1":
            sys.exit(f"Error: No such image: {argv[2]}")
        print(json.dumps([{"Id": IDENTITY}]))
    elif argv[:1] == [{"docker": "run", "apptainer": "exec"}[name]]:
        given, rest = read_options(argv[1:])
        image = json.loads((Path(place) / "image.json").read_text())
        (of_docker if name == "docker" else of_apptainer)(Path(place), given, rest, image)
    elif argv[:1] != ["rm"]:
        sys.exit(f"unknown command {argv[:1]}")


def read_options(rest: list[str]) -> tuple[dict[str, list[str]], list[str]]:
    """Options to their values, and what comes after them."""
    given: dict[str, list[str]] = {}
    while rest[0].startswith("-"):
        if rest[0] in FLAGS:
            rest = rest[1:]
        elif rest[0] in OPTIONS:
            given.setdefault(rest[0], []).append(rest[1])
            rest = rest[2:]
        else:
            sys.exit(f"unknown flag: {rest[0]}")
    return given, rest


def of_docker(place: Path, given: dict[str, list[str]], rest: list[str], image: dict) -> None:
    """``docker run``: variables and directories are options."""
    mounts = [dict(part.partition("=")[::2] for part in value.split(",")) for value in given["--mount"]]
    environ = image["environ"] | dict(value.partition("=")[::2] for value in given.get("--env", ()))
    if rest[0] != IDENTITY:
        sys.exit(f"Unable to find image {rest[0]}")
    mapped = {one["target"]: one["source"] for one in mounts}
    become([*given["--entrypoint"], *rest[1:]], given["--workdir"][0], mapped, environ, image)


def of_apptainer(place: Path, given: dict[str, list[str]], rest: list[str], image: dict) -> None:
    """``apptainer exec``: variables come by the environment, but for HOME."""
    if "APPTAINERENV_HOME" in os.environ or os.environ.get("APPTAINER_NO_EVAL") != "1":
        sys.exit("HOME must not be set so, and values must not be evaluated")
    if rest[0] != str(place / "image.sif"):
        sys.exit(f"could not open image {rest[0]}")
    mapped = {value.split(":")[1]: value.split(":")[0] for one in ("--bind", "--home") for value in given[one]}
    prefix = "APPTAINERENV_"
    inside = {key.removeprefix(prefix): value for key, value in os.environ.items() if key.startswith(prefix)}
    home = {"HOME": given["--home"][0].split(":")[1]}
    become(rest[1:], given["--pwd"][0], mapped, image["environ"] | inside | home, image)


def become(words: list[str], cwd: str, mapped: dict[str, str], environ: dict[str, str], image: dict) -> None:
    """Run the program, if all that its arguments name can be seen inside."""
    for source in mapped.values():
        if not Path(source).exists():
            sys.exit(f"invalid mount: {source} does not exist")
    places = (*mapped, *image["sees"], "/bin", "/usr/bin")
    for word in words:
        path = word.partition("=")[2] or word
        if path.startswith("/") and not any(path == one or path.startswith(f"{one}/") for one in places):
            sys.exit(f"{path}: No such file or directory in the container")
    for target in sorted(mapped, key=len, reverse=True):
        words = [word.replace(target, mapped[target]) for word in words]
    os.chdir(mapped[cwd])
    os.execvpe(words[0], words, environ)  # noqa: S606 - a stand-in that becomes the program
