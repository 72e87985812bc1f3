#!/usr/bin/env python3
"""Look at the C files with clang-tidy, cppcheck and gcc's -fanalyzer; fail where one finds something that is not
waived below, or where a waiver has nothing to waive.

    analyse.py TOP [-I… -D…]

.clang-tidy says what clang-tidy looks for.
"""

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

FINDING = re.compile(r"^(\S+?):(\d+):\d+: (?:warning|fatal error|error|portability|performance|style): (.*)$")

# tool, file, part of the finding, why it is none
WAIVERS = (
    ("gcc", "src/flow/kernels_scale.h", r"shift by count .* precision of type",
     "takes the lanes of a vector for the bits of its type; each of the lanes has 32 or 64"),
    ("gcc", "src/model/lanes*.h", r"shift by count .* precision of type",
     "takes the lanes of a vector for the bits of its type; each of the lanes has 32 or 64"),
    ("gcc", "src/model/lanes.h", "uninitialized value ‘ratio’",
     "the loop is the one that fills it"),
    ("gcc", "src/model/pack_*.h", r"uninitialized value ‘[fghruv]\[",
     "filled by the loops over three axes or over the atoms of a constraint, which it does not follow"),
    ("gcc", "src/io/deck_overrides.c", "use of NULL ‘b’",
     "differ compares texts only where both are NULL or neither is"),
    ("gcc", "src/transport/debiased.c", r"uninitialized value ‘squares",
     "all four are filled by the loop above, which it follows for two rounds"),
    ("clang-tidy", "src/*", "'sscanf' used to convert",
     "widths keep integers within their range; json.c reads back what snprintf has just written"),
    ("clang-tidy", "src/io/file.c", "memcpy' is not null-terminated",
     "the content of a file, which has no such end"),
    ("clang-tidy", "src/flow/kernels_scale.h", "both sides of operator are equivalent",
     "x != x is true of NaN"),
    ("clang-tidy", "src/sample/molecular.c", "Division by zero",
     "a rung beyond the first is one of two or more"),
    ("clang-tidy", "src/transport/marginal.c", "Division by zero",
     "the size of a set, which units_of sees to be positive"),
    ("clang-tidy", "src/io/deck_source.c", "Dereference of null pointer (loaded from field 'at')",
     "the cursor starts at the text, which is there as long as its deck"),
    ("cppcheck", "src/model/lanes.h", "Uninitialized variable: ratio",
     "the loop is the one that fills it"),
    ("cppcheck", "src/model/pack_forces.h", "Array index out of bounds; 'b'",
     "lanes are counted in vectors, three to an array; it counts bytes"),
    ("cppcheck", "src/*", "incompatible binary data representation|not portable due to different binary",
     "rows of bytes are what files and shared memory are made of; bits of doubles are sorted as integers"),
)


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    return done.stdout.decode(errors="replace")


def commands(top, flags):
    """(tool, command) for each file; cppcheck takes them all at once."""
    files = sorted(path for path in (top / "src").rglob("*.c"))
    language = ["-std=gnu11", *flags]
    yield "cppcheck", ["cppcheck", "--enable=warning,performance,portability", "--std=c11", "--quiet",
                       "--suppress=missingIncludeSystem", "-U__cplusplus", "-Uc_plusplus",
                       "--template={file}:{line}:{column}: {severity}: {message}",
                       *(flag for flag in flags if flag.startswith("-I")), str(top / "src")]
    for path in files:
        yield "clang-tidy", ["clang-tidy", "--quiet", str(path), "--", *language]
        yield "gcc", ["gcc", *language, "-O1", "-fanalyzer", "-c", "-o", os.devnull, str(path)]


def findings_of(tool, text, top):
    """(tool, file, line, text) of each finding in files of this tree, once."""
    for line in text.splitlines():
        match = FINDING.match(line)
        if match and (path := Path(match.group(1)).resolve()).is_relative_to(top):
            yield tool, str(path.relative_to(top)), match.group(2), match.group(3)


def is_waived_by(finding, waiver):
    tool, path, _, text = finding
    return (tool == waiver[0] and Path(path).match(waiver[1].replace("src/*", "*")) and
            (waiver[2] in text or re.search(waiver[2], text) is not None))


def main():
    top, flags = Path(sys.argv[1]).resolve(), sys.argv[2:]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [(tool, pool.submit(run, command)) for tool, command in commands(top, flags)]
        found = {finding for tool, job in jobs for finding in findings_of(tool, job.result(), top)}
    left = [f for f in found if not any(is_waived_by(f, waiver) for waiver in WAIVERS)]
    idle = [w for w in WAIVERS if not any(is_waived_by(f, w) for f in found)]
    for tool, path, line, text in sorted(left):
        print(f"{path}:{line}: {tool}: {text}")
    for tool, path, text, _ in idle:
        print(f"build-aux/analyse.py: {tool} finds no '{text}' in {path} any more: take the waiver out")
    print(f"analyse: {len(found)} findings, {len(found) - len(left)} of them waived")
    return 1 if left or idle else 0


if __name__ == "__main__":
    sys.exit(main())
