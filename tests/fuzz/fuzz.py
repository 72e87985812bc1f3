#!/usr/bin/env python3
"""Feed every reader: first all kept inputs, then what libFuzzer makes of them, the time shared by the targets.

    fuzz.py BUILD [--seconds N] [--target NAME…]

BUILD holds the program `fuzz`, what earlier runs found new (corpus/TARGET), and inputs on which a reader
failed (findings/). The last line is 'N passed, N failed': a target fails by a finding of its own; those inside
a library that the input was handed to are counted apart. Environment: BM_TOP.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(os.environ.get("BM_TOP", Path(__file__).resolve().parents[2]))
SEEDS = TOP / "tests" / "fuzz" / "corpus"
TARGETS = ("deck", "override", "prmtop", "rst7", "pdb", "json", "npy", "h5md", "state", "model",
           "training", "distance")
INPUT_LIMIT_S = 20
INPUT_BYTES = 1 << 16
FRAME = re.compile(r"^\s*#\d+ 0x[0-9a-f]+ +(?:in (.*?) )?\(?(/[^\s:+)]+)", re.MULTILINE)
OF_THE_RUNTIME = re.compile(r"^__(interceptor|asan|lsan|ubsan|sanitizer)|^([cm]|re)alloc$|^free$|^fuzzer::|/lib(c|m|pthread)\.so")
LIBRARY = re.compile(r"/lib[^/]*\.so")
EXECUTED = re.compile(r"stat::number_of_executed_units: (\d+)")
ARTIFACT = re.compile(r"Test unit written to (\S+)")
# A request for more memory than there is comes back as such, as without sanitizers.
ASAN = "detect_leaks=1:allocator_may_return_null=1:handle_abort=1:quarantine_size_mb=16"


def environment(target):
    suppressions = TOP / "tests" / "leaks.txt"
    return {**os.environ, "BM_TOP": str(TOP), "BM_FUZZ_TARGET": target, "ASAN_OPTIONS": ASAN,
            "LSAN_OPTIONS": f"suppressions={suppressions}:print_suppressions=0",
            "UBSAN_OPTIONS": "print_stacktrace=1"}


def run(program, target, arguments):
    """Run libFuzzer; gives exit code, inputs executed, text."""
    options = [f"-timeout={INPUT_LIMIT_S}", f"-max_len={INPUT_BYTES}", "-rss_limit_mb=3000",
               "-malloc_limit_mb=0", "-print_final_stats=1"]
    done = subprocess.run([str(program), *options, *map(str, arguments)], env=environment(target),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    text = done.stdout.decode(errors="replace")
    return done.returncode, sum(map(int, EXECUTED.findall(text))), text


def library_of(text):
    """The library in which it happened; None where that is the program itself."""
    report = text[text.find("ERROR:"):] if "ERROR:" in text else text
    for function, path in FRAME.findall(report):
        if not OF_THE_RUNTIME.search(function) and not OF_THE_RUNTIME.search(path):
            return Path(path).name if LIBRARY.search(path) else None
    return None


def replay(program, target):
    """Kept inputs, one by one, so that each has its own verdict."""
    failed = []
    files = sorted((SEEDS / target).glob("*"))
    code, executed, text = run(program, target, ["-runs=1", *files])
    if code != 0:
        for path in files:
            code, _, text = run(program, target, ["-runs=1", path])
            if code != 0 and library_of(text) is None:
                failed.append((path, text))
    return len(files), executed, failed


def search(program, build, target, seconds):
    """New inputs for some seconds; gives inputs executed, findings, counts of those in libraries."""
    corpus, findings = build / "corpus" / target, build / "findings"
    corpus.mkdir(parents=True, exist_ok=True)
    findings.mkdir(exist_ok=True)
    end, executed, failed, elsewhere = time.monotonic() + seconds, 0, [], {}
    while (left := int(end - time.monotonic())) > 0 and not failed:
        code, count, text = run(program, target, [
            f"-max_total_time={left}", f"-artifact_prefix={findings}/{target}-", corpus,
            SEEDS / target])
        executed += count
        if code != 0:
            library = library_of(text)
            artifact = ARTIFACT.search(text)
            if library is None:
                failed.append((artifact.group(1) if artifact else "no input", text))
            else:
                elsewhere[library] = elsewhere.get(library, 0) + 1
    return executed, failed, elsewhere


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--target", nargs="*", choices=TARGETS, default=TARGETS)
    arguments = parser.parse_args()
    program = arguments.build / "fuzz"
    failures = 0
    for target in arguments.target:
        kept, _, failed = replay(program, target)
        executed, found, elsewhere = 0, [], {}
        if not failed:
            executed, found, elsewhere = search(program, arguments.build, target,
                                                arguments.seconds / len(arguments.target))
        failed += found
        failures += bool(failed)
        inside = "".join(f", {count} in {name}" for name, count in sorted(elsewhere.items()))
        print(f"{'FAIL' if failed else 'ok':4} {target}: {kept} kept inputs, {executed} new ones{inside}",
              flush=True)
        for path, text in failed:
            print(f"{path}:\n{text[-6000:]}", flush=True)
    print(f"{len(arguments.target) - failures} passed, {failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
