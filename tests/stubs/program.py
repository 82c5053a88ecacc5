"""What every stand-in runs: arguments, environment, requested failures, work, and the words of its suite."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from daxa.backends.tools.reading import read_tool, tool_names
from daxa.backends.tools.tables import Tool
from tests.stubs.grammar import RefusedError, read_parfile, read_sas

TIME = "2026-11-30T09:30:00.000"
SAID = {
    "espfilt": " HISTOGRAM_METHOD: Return with no errors",
    "chandra_repro": "The data have been reprocessed.\nStart your analysis with the new products in",
    "nupipeline": "nupipeline_0.4.9: Exit with no errors - Mon Nov 30 09:30:00 UTC 2026",
    "nuscreen": "nuscreen_0.1.4: Exit with success.",
    "xrtpipeline": "xrtpipeline_0.13.7: Exit with no errors",
    "nicerl2": "Event files written",
    "batsurvey": "batsurvey: COMPLETE",
}
"""What tools say when they have succeeded, as real logs have it."""


@dataclass
class Run:
    """One call of a stand-in."""

    prefix: Path
    tool: Tool
    release: str
    values: dict[str, str] = field(default_factory=dict)
    request: dict = field(default_factory=dict)

    @property
    def failure(self) -> str:
        return self.request.get("failure", "")

    def say(self, text: str) -> None:
        prefix = f"{self.tool.name}:- " if self.tool.suite.name == "sas" else ""
        print(f"{prefix}{text}", flush=True)


def complain(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def error_line(run: Run, name: str, text: str, *, level: str = "error") -> None:
    """An error or a warning in the suite's own form."""
    tool = run.tool.name
    if run.tool.suite.name == "sas":
        complain(f"** {tool}: {level} ({name}), {text}")
    elif run.tool.suite.name == "esass":
        print(f"**{'STOP' if level == 'error' else 'WARNING'}** {tool}: {text}")
    elif run.tool.suite.name == "ciao":
        complain(f"# {tool} (CIAO {run.release}): ds{name}ERR -- {level.upper()}: {text}")
    else:
        complain(f"{tool}_1.0: {level.upper()} {text}")


def main(prefix: str, suite: str, release: str, name: str) -> int:
    """The exit status of a call."""
    if name not in tool_names(suite) or name == "sasversion":
        return tell_version(suite, release)
    run = Run(Path(prefix), read_tool(suite, name), release)
    asked = run.prefix / "requests" / name
    run.request = json.loads(asked.read_text()) if asked.exists() else {}
    if run.request.get("only", "") not in str(Path.cwd()):
        run.request = {}
    argv = sys.argv[1:]
    if suite == "sas" and argv[:1] == ["-v"]:
        print(f"{name} ({name}-1.0) [xmmsas_20211130_0941-{release}.0]")
        return 0
    if suite == "sas" and argv[:1] == ["-p"]:
        print("".join(f"{one} = {it.default}\n" for one, it in run.tool.at(release).items()), end="")
        return 0
    try:
        if suite == "sas":
            run.values, _ = read_sas(run.tool, release, argv)
        else:
            run.values = read_parfile(run.tool, release, argv, run.request.get("slowly", 0.0))
    except RefusedError as error:
        return refuse(run, str(error))
    return carry_out(run)


def refuse(run: Run, text: str) -> int:
    """Say that the arguments cannot be used, as the suite does."""
    suite = run.tool.suite.name
    if suite == "sas":
        error_line(run, "ParameterError", text)
        return 1
    if suite == "esass":
        print("**STOP** Error initializing PIL")
        return 0
    if suite == "ciao":
        tool = run.tool.name
        complain(
            f"# {tool} (11 June 2019): ERROR {text}" if "PFILES" in text else f"{text}\n# {tool} (CIAO): ERROR {text}"
        )
        return 1
    complain(f"ERROR: {text}")
    complain(f"Task {run.tool.name} 1.0 terminating with status 203")
    return 203


def tell_version(suite: str, release: str) -> int:
    """What the program that tells the release prints."""
    if suite == "sas":
        print(f"SAS release: {release}.0-a8f2c2afa-20250304\n\nSAS_DIR: {os.environ.get('SAS_DIR', '')}")
    elif suite == "ciao":
        print(f"The current environment is configured for:\n  CIAO        : CIAO {release}.0 Friday, December  2, 2016")
    else:
        print(f"HEASoft {release}")
    return 0


def carry_out(run: Run) -> int:
    """The work, with the words before and after it, and the failure that was asked for."""
    from tests.stubs.work import lack_of_environment, work

    suite = run.tool.suite
    if suite.ended:
        given = " ".join(
            f"{name}='{value}'" if not value or " " in value else f"{name}={value}"
            for name, value in run.values.items()
        )
        run.say(f"Executing (routine): {run.tool.name} {given}  -w 1 -V 4")
        run.say(f"{run.tool.name} ({run.tool.name}-1.0)  [xmmsas_20211130_0941-{run.release}.0] started:  {TIME}")
    if lack := lack_of_environment(run):
        error_line(run, lack[0], lack[1])
        return 1
    if run.failure == "hang":
        child = os.fork()  # Chains start others, which must not outlive them.
        (run.prefix / f"hangs.{os.getpid() if child else 'child'}").write_text(str(os.getpid()))
        time.sleep(600)
    if run.failure == "crash":
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGSEGV)
    if run.failure == "silent":
        return 1
    if run.failure in ("errorAndOne", "errorAndZero"):
        error_line(run, "noCounts", "All counts are zero!")
        return 1 if run.failure == "errorAndOne" else 0
    problem = work(run)
    if problem and problem[0] == "died":  # A script in Perl that ends itself.
        complain(f"ERROR: {problem[1]}")
        return 255
    if problem:
        error_line(run, *problem)
        return 0 if run.tool.chain else 1
    return finish(run)


def finish(run: Run) -> int:
    """What is said at the end."""
    tool, suite = run.tool.name, run.tool.suite
    if run.failure == "warning":
        error_line(run, "SomeWarning", "the error of the measurement is large: no error", level="warning")
    if run.failure == "manyLines":
        error_line(run, "IllegalIdentifier", "No match - best match was:\nPrimeFullWindow\nPrimePartialW2\nFastTiming")
    if run.failure == "nested" and suite.name == "sas":
        complain(f"** {tool}::arfgen: fatal error (zeroRenorm), nothing was found")
    elif run.failure == "nested" and suite.name == "esass":
        print("Fortran runtime error: End of record\n\nError termination. Backtrace:")
    elif run.failure == "nested" and suite.name == "heasoft":
        complain("nuscreen_0.1.4: ERROR no events")  # The pipeline ends well all the same.
    elif run.failure == "nested":
        complain(f"# {tool} (25 November 2024): ERROR An error occurred while running 'dmcopy':")
        complain("  # dmcopy (CIAO 4.17.0): dsREADERR -- ERROR: no")
    if run.failure == "endless":
        block = "x" * 99 + "\n"
        while True:
            print(block * 1000, end="", flush=True)
            time.sleep(0.01)
    if run.failure == "noEnd":
        return 0
    if suite.name == "esass":
        print(f" {tool}: DONE")
    elif tool in SAID:
        run.say(SAID[tool])
    if suite.ended:
        run.say(f"{tool} ({tool}-1.0)  [xmmsas_20211130_0941-{run.release}.0] ended:    {TIME}")
    return 0
