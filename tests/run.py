#!/usr/bin/env python3
"""Run tests and sum up; the last line is 'N passed, N failed'.

    run.py [--unit PROGRAM…] [--mpi PROGRAM…] [--system [MODULE…]] [--fault]

Unit tests are CMocka programs; MPI tests run on 1, 2, 3, 4 and 8 ranks; system tests are unittest
modules tests/system/test_*.py; faults are the short campaign of tests/fault. Environment: BM_TOP, BM_BUILD, MPIRUN;
BM_PATIENCE, by which time limits are multiplied where programs are slow; BM_WRAPPER, a command that unit and MPI tests
run under.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(os.environ.get("BM_TOP", Path(__file__).resolve().parents[1]))
RANKS = (1, 2, 3, 4, 8)
TIME_LIMIT_S = 900 * float(os.environ.get("BM_PATIENCE", "1"))
WRAPPER = os.environ.get("BM_WRAPPER", "").split()


def run(command, name):
    """Run one program; gives (name, passed, failed, seconds, output)."""
    start = time.monotonic()
    try:
        done = subprocess.run(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=TIME_LIMIT_S, check=False)
        output, code = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as late:
        output, code = (late.stdout or b"").decode(errors="replace") + "\ntime limit\n", 1
    passed, failed = counts(output)
    if code != 0 and failed == 0:
        failed = 1
    if code == 0 and passed == 0:
        passed = 1
    return name, passed, failed, time.monotonic() - start, output


def counts(output):
    """Tests passed and failed, as CMocka and unittest say it."""
    passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", output)))
    failed = sum(map(int, re.findall(r"\[  FAILED  \] .*?(\d+) test", output)))
    ran = re.search(r"^Ran (\d+) tests? in", output, re.MULTILINE)
    if ran:
        failed = sum(map(int, re.findall(r"(?:failures|errors)=(\d+)", output)))
        passed = int(ran.group(1)) - failed
    return passed, failed


def jobs_of(arguments):
    """(command, name, wants the machine for itself)"""
    build = os.environ.get("BM_BUILD", "build")
    for program in arguments.unit or ():
        yield [*WRAPPER, program], os.path.relpath(program, build), False
    for program in arguments.mpi or ():
        for ranks in RANKS:
            command = [os.environ.get("MPIRUN", "mpirun"), "-n", str(ranks), *WRAPPER, program]
            yield command, f"{os.path.relpath(program, build)} on {ranks}", True
    if arguments.system is not None:
        for path in sorted((TOP / "tests" / "system").glob("test_*.py")):
            if not arguments.system or path.stem in arguments.system:
                yield [sys.executable, "-m", "unittest", "-v", str(path)], path.stem, True
    if arguments.fault:
        yield [sys.executable, str(TOP / "tests" / "fault" / "campaign.py")], "fault campaign", True


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--unit", nargs="*")
    parser.add_argument("--mpi", nargs="*")
    parser.add_argument("--system", nargs="*")
    parser.add_argument("--fault", action="store_true")
    jobs = list(jobs_of(parser.parse_args()))
    total_passed = total_failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        shared = [pool.submit(run, command, name) for command, name, alone in jobs if not alone]
        results = [future.result for future in shared]
        results += [lambda c=command, n=name: run(c, n) for command, name, alone in jobs if alone]
        for result in results:
            name, passed, failed, seconds, output = result()
            total_passed += passed
            total_failed += failed
            print(f"{'FAIL' if failed else 'ok':4} {name} ({passed} passed, {seconds:.1f} s)", flush=True)
            if failed:
                print(output, flush=True)
    print(f"{total_passed} passed, {total_failed} failed")
    return 1 if total_failed or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
