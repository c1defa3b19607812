"""A real shell that runs what a page shows, and asks the test for each command, with the words as the shell made them."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

Answer = Callable[[list[str]], tuple[int, str]]
"""Takes a command's words; gives its exit code and what it prints."""

DEADLINE_S = 120

_STAND_IN = """\
#!{python} -ISE
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as line:
    line.connect({address!r})
    line.sendall(json.dumps(sys.argv).encode())
    line.shutdown(socket.SHUT_WR)
    code, text = json.load(line.makefile(encoding="utf-8"))
os.write(1, text.encode())
sys.exit(code)
"""


@dataclass(frozen=True, slots=True)
class Ran:
    """What is left of a block: its output, and the environment at its end."""

    output: str
    environment: Mapping[str, str]


def run(
    script: str, answer: Answer, commands: Iterable[str], environment: Mapping[str, str]
) -> Ran:
    """Run the script in a folder of its own; it ends at its first command that fails, and at a name that nothing sets.

    :param commands: what it may call besides the shell's own words; all else is not found.
    :param environment: all that it finds set.
    """
    folder = Path(tempfile.mkdtemp(prefix="we360-sh-"))  # short: a socket's path is bounded
    address = str(folder / "line")
    try:
        for command in commands:
            stand_in = folder / ("work" if "/" in command else "bin") / command
            stand_in.parent.mkdir(parents=True, exist_ok=True)
            stand_in.write_text(_STAND_IN.format(python=sys.executable, address=address))
            stand_in.chmod(0o755)
        (folder / "work" / "dags").mkdir(
            parents=True, exist_ok=True
        )  # pages put files into a Dags folder
        with socket.socket(socket.AF_UNIX) as line:
            line.bind(address)
            line.listen()
            return _run(script, answer, folder, line, environment)
    finally:
        shutil.rmtree(folder)


def _run(
    script: str, answer: Answer, folder: Path, line: socket.socket, environment: Mapping[str, str]
) -> Ran:
    shell, env = shutil.which("bash"), shutil.which("env")
    assert shell, "no bash here"
    whole = f"set -eu\n{script}\n{env} -0 > {folder}/environment\n"
    settings = {**environment, "PATH": str(folder / "bin"), "HOME": str(folder)}
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(
            [shell, "-c", whole], cwd=folder / "work", env=settings, stdout=output, stderr=output
        )
        line.settimeout(0.05)
        before = Path.cwd()
        os.chdir(folder / "work")
        try:
            while process.poll() is None:
                _answer_one(line, answer)
        finally:
            os.chdir(before)
            process.kill()
        output.seek(0)
        told = output.read()
    assert process.returncode == 0, f"{told}\n(exit code {process.returncode})\n{script}"
    left = (folder / "environment").read_text().split("\0")
    return Ran(told, dict(pair.split("=", 1) for pair in left if pair))


def _answer_one(line: socket.socket, answer: Answer) -> None:
    try:
        caller, _ = line.accept()
    except TimeoutError:
        return
    with caller:
        caller.settimeout(DEADLINE_S)
        words = json.loads(caller.makefile(encoding="utf-8").read())
        words[0] = Path(words[0]).name
        caller.sendall(json.dumps(answer(words)).encode())
