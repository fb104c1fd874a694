#!/usr/bin/env bash
# Starts a training run again for as long as starting it again helps.
#
#     examples/keep_running.sh python -m trainer.task --config=configs/quickstart.py --workdir=/tmp/quickstart
#
# Again after 69 (another process of the run is gone), 75 (stopped, with the state saved) and 137 (SIGKILL, as by the
# kernel when memory runs out). Any other code is final, and this script's own: 0 done, 2 refused, 3 not finite, 74
# could not be written. What is told to end, by SIGTERM, Ctrl-C or SIGHUP to this script, is not started again: the
# signal is handed on, and the script ends when the run has.
#
# It waits before it starts again, twice as long each time, because what was wrong may last. A run that went well for a
# while begins with the short wait once more; one that does not, several times in a row, is given up with its last code.
#
#     KEEP_RUNNING_WAIT=5        seconds before the first new start
#     KEEP_RUNNING_LONGEST=300   seconds that no wait is longer than
#     KEEP_RUNNING_WELL=600      seconds after which a run is said to have gone well
#     KEEP_RUNNING_STARTS=10     new starts in a row of runs that did not go well; 0: no limit
set -u
set -m # The run gets a group of its own: a terminal's Ctrl-C comes here alone and is handed on, once.

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
pauses= # The `sleep` between two runs.
stopping=
arrived= # Whether a signal came since this was last emptied: then it is a signal that ended a `wait`.

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

# Waits for $child to end, whatever signals come meanwhile, and sets $code.
await() {
  local now
  code=0
  while
    arrived=
    wait "$child"
    now=$?
    ((now == 127)) || code=$now # 127: it was waited for already, and a signal came just then.
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
  if [[ -n $stopping ]]; then # A signal came before there was a process to hand it to.
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
