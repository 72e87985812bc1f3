#!/bin/bash
# What all jobs of this folder do: run a deck, save when asked to, queue the job again, make the report.
# Environment: DECK and OUT, set by the job; BOLTZMAP, LAUNCH and PYTHON as said there.
set -uo pipefail

if [ -z "${SLURM_JOB_ID:-}" ]; then
  echo "part of a SLURM job: sbatch jobs/two-particle.sbatch" >&2
  exit 64
fi

BOLTZMAP=${BOLTZMAP:-build/boltzmap}
DECK=${DECK:?run-deck.sh: which deck?}
OUT=${OUT:?run-deck.sh: which folder?}
PYTHON=${PYTHON:-python3}
# --kill-on-bad-exit: when a rank dies, the others do not wait for it until the time limit.
read -r -a launch <<<"${LAUNCH:-srun --mpi=pmix --kill-on-bad-exit=1}"

command -v "$BOLTZMAP" >/dev/null || BOLTZMAP=boltzmap
if ! command -v "$BOLTZMAP" >/dev/null; then
  echo "no program: run make first, submit from the top of the source tree, or set BOLTZMAP" >&2
  exit 64
fi
export OPENBLAS_NUM_THREADS=1 # one thread a rank

echo "== $(date '+%F %T') job $SLURM_JOB_ID, start ${SLURM_RESTART_COUNT:-0}, ${SLURM_NTASKS:-1} ranks"

# bash runs a trap only between commands, so the ranks are started in the background and waited for.
# USR1 asks them to save and stop; srun and mpirun pass it on at once, and neither kills on it.
# shellcheck disable=SC2317 # called by trap
ask_to_stop() {
  echo "== $(date '+%F %T') asked to save and stop"
  kill -USR1 "$ranks" 2>/dev/null
}
ranks=
trap 'ask_to_stop' USR1 TERM
"${launch[@]}" "$BOLTZMAP" run "$DECK" --out "$OUT" &
ranks=$!
wait "$ranks"
status=$?
while kill -0 "$ranks" 2>/dev/null; do # a signal ended the wait, not the program
  wait "$ranks"
  status=$?
done

case $status in
  0)
    trap - USR1 TERM
    report=$(dirname "$DECK")/../postprocess/report.py
    if [ -e "$report" ]; then
      "$PYTHON" "$report" "$OUT" || {
        status=$?
        echo "the run is finished; for its report: $PYTHON $report $OUT" >&2
      }
    fi
    ;;
  75)
    # scancel, too, asks the ranks to stop, and what a person has cancelled stays cancelled: a job
    # on its way out that is not over its time.
    if [ "$(squeue --noheader --jobs="$SLURM_JOB_ID" --format='%T %r')" = "COMPLETING None" ]; then
      echo "== $(date '+%F %T') saved; cancelled: submit again to go on"
    else
      echo "== $(date '+%F %T') saved; the job is queued again"
      # Ends this script. Left to itself, a job that ends in time is not queued again.
      scontrol requeue "$SLURM_JOB_ID"
    fi
    ;;
esac
exit "$status"
