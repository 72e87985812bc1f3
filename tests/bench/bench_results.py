"""What the benches share: local virtual environments for peers, facts about the machine, tables, and
sections of a Markdown file (RESULTS.md), each of which its own bench replaces."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

CORES = sorted(os.sched_getaffinity(0))


def environment_of(folder, name, packages):
    """The Python of a virtual environment, made if need be; None where that is impossible."""
    folder = folder / name.lower().replace(" ", "-")
    python = folder / "bin" / "python"
    check = "from importlib.metadata import version\n" + "".join(
        "assert version('{}') == '{}'\n".format(*package.split("==")) for package in packages)
    if python.exists() and subprocess.run([python, "-c", check], check=False,
                                          stderr=subprocess.DEVNULL).returncode == 0:
        return python
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", "--system-site-packages", folder],
                       check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                        "--only-binary", ":all:", *packages], check=True)
    except (OSError, subprocess.CalledProcessError):
        print(f"cannot install {' and '.join(packages)}: no comparison with it", file=sys.stderr)
        return None
    return python


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (f"{model[1] if model else platform.machine()}, {len(CORES)} cores, {memory:.0f} GiB; "
            f"load {os.getloadavg()[0]:.1f} before")


def table_of(head, rows, names=2):
    """A Markdown table whose first `names` columns are words, the others numbers."""
    width = [max(map(len, column)) for column in zip(head, *rows)]

    def line(cells):
        return "| " + " | ".join(cell.ljust(w) if i < names else cell.rjust(w)
                                 for i, (cell, w) in enumerate(zip(cells, width))) + " |"
    rule = "|" + "|".join("-" * (w + 2) if i < names else "-" * (w + 1) + ":"
                          for i, w in enumerate(width)) + "|"
    return "\n".join([line(head), rule, *map(line, rows)])


def write_section(path, heading, text):
    """Put the section, heading and text, into the file, in the place of an older one."""
    old = path.read_text() if path.exists() else "# Results of the benches\n"
    new = f"{heading}\n\n{text.strip()}\n"
    section = re.compile(re.escape(heading) + r"\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    if section.search(old):
        path.write_text(section.sub(lambda _: new + "\n", old).rstrip() + "\n")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{old.rstrip()}\n\n{new}")
