#!/usr/bin/env bash
# Restarts a training run for as long as a restart can help.
#
#     examples/keep_running.sh python -m trainer.task --config=configs/quickstart.py --workdir=/tmp/quickstart
#
# It restarts after exit codes 69 (another process of the run is gone), 75 (stopped, with the state saved) and 137
# (SIGKILL, as by the kernel when memory runs out). Any other code is final and becomes that of this script: 0 done, 2
# refused, 3 not finite, 74 could not be written. After SIGTERM, Ctrl-C or SIGHUP to this script, which it passes on to
# the run, there is no restart: the script ends with the run.
#
# It waits before a restart, twice as long each time, because the cause may last. After a run that lasted for a while
# the wait is short again. After several short runs in a row the script gives up, with the last exit code.
#
#     KEEP_RUNNING_WAIT=5        seconds before the first restart
#     KEEP_RUNNING_LONGEST=300   longest wait in seconds
#     KEEP_RUNNING_WELL=600      seconds after which a run does not count as short
#     KEEP_RUNNING_STARTS=10     restarts in a row after short runs; 0: no limit
set -u
set -m # The run gets a process group of its own: Ctrl-C reaches only this script, which passes it on once.

first=${KEEP_RUNNING_WAIT:-5}
longest=${KEEP_RUNNING_LONGEST:-300}
well=${KEEP_RUNNING_WELL:-600}
limit=${KEEP_RUNNING_STARTS:-10}

say() {
  echo "keep_running.sh: $*" >&2
}

if (($# == 0)); then
  say "there must be a command to run. Received: none"
  exit 2
fi
for number in "$first" "$longest" "$well" "$limit"; do
  if [[ ! $number =~ ^(0|[1-9][0-9]{0,8})$ ]]; then
    say "KEEP_RUNNING_WAIT, _LONGEST, _WELL and _STARTS must be whole numbers. Received: $number"
    exit 2
  fi
done

child=
pauses= # Process of the `sleep` between two runs.
stopping=
arrived= # Whether a signal came since this was last cleared, and ended a `wait`.

hand_on() {
  arrived=1
  stopping=1
  if [[ -n $child ]]; then
    kill -s "$1" "$child" 2>/dev/null
  fi
  if [[ -n $pauses ]]; then
    kill "$pauses" 2>/dev/null
  fi
}
trap 'hand_on TERM' TERM
trap 'hand_on INT' INT
trap 'hand_on HUP' HUP

# Waits for the end of $child, through any signals, and sets $code.
await() {
  local now
  code=0
  while
    arrived=
    wait "$child"
    now=$?
    ((now == 127)) || code=$now # 127: it had been waited for already when a signal came.
    [[ -n $arrived ]]
  do :; done
  child=
}

pause=$first
starts=0
while :; do
  began=$SECONDS
  "$@" &
  child=$!
  if [[ -n $stopping ]]; then # A signal came before there was a process to pass it to.
    kill -s TERM "$child" 2>/dev/null
  fi
  await
  lasted=$((SECONDS - began))
  case $code in
    69 | 75 | 137) ;;
    *)
      exit "$code"
      ;;
  esac
  if [[ -n $stopping ]]; then
    exit "$code"
  fi
  if ((lasted >= well)); then
    pause=$first
    starts=0
  fi
  if ((limit > 0 && starts >= limit)); then
    say "the run ended with $code after $lasted s. Given up after $starts new start(s) in a row."
    exit "$code"
  fi
  starts=$((starts + 1))
  say "the run ended with $code after $lasted s. New start $starts in $pause s."
  sleep "$pause" &
  pauses=$!
  if [[ -n $stopping ]]; then # A signal came before there was a `sleep` to end.
    kill "$pauses" 2>/dev/null
  fi
  wait "$pauses"
  pauses=
  if [[ -n $stopping ]]; then
    exit "$code"
  fi
  pause=$((pause * 2 > longest ? longest : pause * 2))
done
