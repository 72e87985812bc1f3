#!/bin/bash
# What the jobs of this folder have in common: run a deck, save when asked to, queue the job again, make the report.
#   run-deck.sh DECK OUT [more of `boltzmap run`…]
# The environment variables are those of two-particle.sbatch.
set -uo pipefail

say() {
  echo "== $(date '+%F %T') $*"
}

# Early, for a signal that nobody awaits ends this script. USR1 comes to the script alone, so it is passed on; TERM has
# come to the ranks as well.
ranks=
asked=
trap 'say "asked to save and stop"; asked=yes; [ -z "$ranks" ] || kill -USR1 "$ranks" 2>/dev/null' USR1
trap 'say "told to leave"' TERM

refuse() {
  echo "$1" >&2
  exit 64
}

[ -n "${SLURM_JOB_ID:-}" ] || refuse "part of a SLURM job: sbatch jobs/two-particle.sbatch"
BOLTZMAP=${BOLTZMAP:-build/boltzmap}
DECK=${DECK:-$1}
OUT=${OUT:-$2}
REQUEUES=${REQUEUES:-100}
shift 2
# --kill-on-bad-exit: when a rank dies, the others do not wait for it until the time limit.
read -r -a launch <<<"${LAUNCH:-srun --mpi=pmix --kill-on-bad-exit=1}"
[ -e "$DECK" ] || [[ $DECK == /* ]] || DECK=$(dirname "$0")/../$DECK # beside this folder in an installed tree, too
[[ $REQUEUES =~ ^[0-9]+$ ]] || refuse "REQUEUES is '$REQUEUES': a whole number is wanted"
command -v "$BOLTZMAP" >/dev/null || BOLTZMAP=boltzmap
command -v "$BOLTZMAP" >/dev/null ||
  refuse "no program: run make first, submit from the top of the source tree, or set BOLTZMAP"
export OPENBLAS_NUM_THREADS=1 # one thread a rank

job=$SLURM_JOB_ID
restarts=${SLURM_RESTART_COUNT:-0}
if [ -n "${SLURM_ARRAY_TASK_ID:-}" ]; then
  job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID # the number of one task stands for the whole array
  OUT=$OUT-seed$SLURM_ARRAY_TASK_ID
  set -- --set "run.seed=$SLURM_ARRAY_TASK_ID" "$@"
fi
arguments=("$@")
# For the program, which saves before it. SLURM sets it since version 23.02; a job without a limit has no such time.
if ends=$(squeue --noheader --jobs="$job" --format=%e); then
  unset SLURM_JOB_END_TIME
  if [[ $ends == [0-9]* ]]; then
    SLURM_JOB_END_TIME=$(date --date="$ends" +%s)
    export SLURM_JOB_END_TIME
  fi
fi

give_up() {
  say "queued again $restarts times, and REQUEUES=$REQUEUES: that is all; what is saved stays, submit again to go on"
  exit 75
}

# Left to itself, a job that leaves in time is over, so it has to ask for its next turn.
queue_again() {
  local now
  now=$(scontrol --oneliner show job "$job")
  if [[ $now =~ \ Restarts=([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -gt "$restarts" ]; then
    say "preempted; SLURM has queued the job again"
  elif [[ $now == *" JobState=COMPLETING Reason=None "* ]]; then
    # On its way out, and not for its time: a person has cancelled it, and so it stays.
    say "cancelled: submit again to go on"
  elif [ "$restarts" -ge "$REQUEUES" ]; then
    give_up
  else
    say "the job is queued again"
    # Ends this script, too.
    scontrol requeue "$job" || say "cannot be queued again: submit again to go on"
  fi
}

# What there is to go on from, and what the program has said; by sizes and times of the files' own host, whose clock may
# be another one.
saved() {
  find "$OUT" -mindepth 2 \( -name 'checkpoint-*' -o -name '*.json' \) -printf '%p %s %T@\n' 2>/dev/null | sort
}
said() {
  stat --format='%s %Y' "$OUT/log.txt" 2>/dev/null
}

# The first that has what a report needs.
find_python() {
  local python
  for python in python3 /usr/bin/python3; do
    [ -n "${PYTHON:-}" ] || ! "$python" -c 'import numpy, scipy, h5py, matplotlib' 2>/dev/null || PYTHON=$python
  done
  PYTHON=${PYTHON:-python3}
}

make_report() {
  local report
  report=$(dirname "$0")/../postprocess/report.py
  if [ ! -e "$report" ] || [ "$OUT/report.html" -nt "$OUT/results.json" ]; then
    return 0
  fi
  find_python
  "$PYTHON" "$report" "$OUT" && return
  local code=$?
  echo "the run is finished; for its report: $PYTHON $report $OUT" >&2
  return $code
}

# Gives the exit code in `status`. bash runs a trap only between commands, so the ranks are started in the background and
# waited for.
run_ranks() {
  "${launch[@]}" "$BOLTZMAP" run "$DECK" --out "$OUT" "${arguments[@]}" &
  ranks=$!
  [ -z "$asked" ] || kill -USR1 "$ranks" 2>/dev/null # it came before there was anybody to pass it on to
  wait "$ranks"
  while kill -0 "$ranks" 2>/dev/null; do # a signal ended the wait, not the program
    wait "$ranks"
  done
  wait "$ranks" # bash remembers how a process ended
  status=$?
}

[ "$restarts" -le "$REQUEUES" ] || give_up
say "job $job, start $((restarts + 1)), ${SLURM_NTASKS:-1} ranks, results in $OUT"

if [ "$restarts" -gt 0 ] && [ -e "$OUT/stop" ]; then
  say "asked to stop by the file $OUT/stop while it waited: submit again to go on"
  exit 75
fi

saved_before=$(saved)
said_before=$(said)
run_ranks
if [ "$status" -eq 0 ] && [ "$(said)" = "$said_before" ]; then
  # srun ends like this, too, where it cannot start the ranks, as on a node on which a lost step of the same number has
  # left its folder. The next step has another number.
  say "${launch[0]} has ended without an error, but the program has not run: once more"
  run_ranks
  if [ "$status" -eq 0 ] && [ "$(said)" = "$said_before" ]; then
    say "the program has not run: ${launch[0]} does not start it"
    exit 70
  fi
fi

case $status in
  0)
    trap '' USR1 # for the report is nearly there
    make_report
    status=$?
    ;;
  75)
    say "saved and stopped"
    if [ -e "$OUT/stop" ]; then
      say "by the file $OUT/stop: submit again to go on"
    else
      queue_again
    fi
    ;;
  138 | 143)
    say "stopped by a signal (exit code $status) before the program listened to it"
    queue_again
    ;;
  70 | 74 | 137)
    # The machine failed: MPI (70), a disk (74), or ranks were killed (137), by a lack of memory, by somebody or by
    # failing hardware. (A node that is lost altogether ends the job, and SLURM queues it again without being
    # asked.) Another try is worth its time as long as each gets further than the one before; what ends the run at the
    # same place each time does not come by the second time. Bad input (64, 65) and a crash of the program itself are
    # for a person to look at.
    what="the run failed with exit code $status"
    [ "$status" -ne 137 ] || what="ranks were killed"
    if [ "$(saved)" != "$saved_before" ]; then
      say "$what; what was saved before is good"
      queue_again
    else
      say "$what, with nothing saved since the start: not tried again"
    fi
    ;;
esac
exit "$status"
