#!/usr/bin/env bash
# One run of the conformance suite as a Slurm array: each task runs one shard and writes its certificate, and
# slurm-merge.sh puts the certificates together. Verdict and digest are those of the same run on one machine.
#
#     export MATRYOSHKA_SEED=7 MATRYOSHKA_KERNEL='python3 my_kernels.py'
#     job=$(sbatch --parsable --array=1-7 slurm-array.sh)
#     sbatch --dependency="afterany:$job" slurm-merge.sh "conformance-$job"
#
# What comes after the script's name narrows the run: --only, --dtype, --time-limit, --skips and --xfails of
# `matryoshka conformance --help`. All else is a variable, in the environment that sbatch is called in:
#
#   MATRYOSHKA_SEED      needed, and one for all tasks: parts drawn from different seeds are no run
#   MATRYOSHKA_KERNEL    command that starts your kernels, run by a shell in the folder where sbatch was called
#   MATRYOSHKA_BACKEND   instead of it, a backend of the port by its name (default wasm): not auto
#   MATRYOSHKA_RUNS      generated cases a law (default 200)
#   MATRYOSHKA_OUT       folder of the certificates, seen by all nodes (default conformance-<number of the array job>)
#   MATRYOSHKA_SHARDS    only to run some shards again: how many there are. The array then names those to run:
#                        MATRYOSHKA_SHARDS=7 MATRYOSHKA_OUT=conformance-12 sbatch --array=3,5 slurm-array.sh
#   MATRYOSHKA_RESTARTS  how often a task whose process is killed is put back into the queue (default 3)
#   MATRYOSHKA_COMMAND   the program (default: node_modules/.bin/matryoshka here, else matryoshka on the PATH)
#
# A task exits 0 when its certificate is there, be it green or red: the verdict is the merge's. 2 is wrong usage; with
# anything else the shard has no certificate, and the merge says so.
#
# Shards can be merged when they ran on the same device: on a mixed cluster choose nodes of one kind, with --constraint.

#SBATCH --job-name=matryoshka
#SBATCH --array=1-7
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
# The suite takes 0.3 GiB; your kernels come on top.
#SBATCH --mem=2G
# A node that fails or is taken away puts its tasks back into the queue.
#SBATCH --requeue
# A task that starts again adds to its log.
#SBATCH --open-mode=append
##SBATCH --time=01:00:00
##SBATCH --gres=gpu:1

set -euo pipefail

refuse() {
  printf 'slurm-array.sh: %s\n' "$1" >&2
  exit 2
}

# whole NAME VALUE LEAST: refuses a value that is no whole number, or too small. Nothing else gets into arithmetic.
whole() {
  if ! [[ $2 =~ ^(0|[1-9][0-9]{0,8}|[1-9][0-9]{9})$ ]] || (($2 < $3)); then
    refuse "$1: expected a whole number >= $3, got \"$2\""
  fi
}

# Settings ------------------------------------------------------------------------------------------------------------

seed=${MATRYOSHKA_SEED:-}
[[ -n $seed ]] || refuse 'MATRYOSHKA_SEED: missing; set one for all tasks, such as MATRYOSHKA_SEED=7'
whole MATRYOSHKA_SEED "$seed" 0
runs=${MATRYOSHKA_RUNS:-200}
whole MATRYOSHKA_RUNS "$runs" 1
restarts=${MATRYOSHKA_RESTARTS:-3}
whole MATRYOSHKA_RESTARTS "$restarts" 0

if [[ -n ${MATRYOSHKA_KERNEL:-} ]]; then
  [[ -z ${MATRYOSHKA_BACKEND:-} ]] || refuse 'MATRYOSHKA_KERNEL, MATRYOSHKA_BACKEND: expected one of them, got both'
  options=(--kernel="$MATRYOSHKA_KERNEL")
else
  options=(--backend="${MATRYOSHKA_BACKEND:=wasm}")
  [[ $MATRYOSHKA_BACKEND != auto ]] || refuse 'MATRYOSHKA_BACKEND: auto may take another backend on another node; name one'
fi

while (($# > 0)); do
  case $1 in
    --only | --dtype | --time-limit | --skips | --xfails)
      (($# > 1)) || refuse "$1: expected a value after it"
      options+=("$1=$2")
      shift 2
      ;;
    --only=* | --dtype=* | --time-limit=* | --skips=* | --xfails=*)
      options+=("$1")
      shift
      ;;
    *) refuse "$1: expected --only, --dtype, --time-limit, --skips or --xfails; variables set the rest" ;;
  esac
done

# Which shard ---------------------------------------------------------------------------------------------------------

[[ -n ${SLURM_ARRAY_TASK_ID:-} ]] || refuse 'no task of an array: submit it with sbatch --array=1-7'
for name in SLURM_ARRAY_JOB_ID SLURM_ARRAY_TASK_ID SLURM_ARRAY_TASK_COUNT SLURM_ARRAY_TASK_MIN SLURM_ARRAY_TASK_MAX; do
  whole "$name" "${!name:-}" 0
done
part=$SLURM_ARRAY_TASK_ID
if [[ -n ${MATRYOSHKA_SHARDS:-} ]]; then
  parts=$MATRYOSHKA_SHARDS
  whole MATRYOSHKA_SHARDS "$parts" 1
else
  parts=$SLURM_ARRAY_TASK_COUNT
  # A gap, or a 0, would be a shard that no task runs.
  if ((SLURM_ARRAY_TASK_MIN != 1 || SLURM_ARRAY_TASK_MAX != parts)); then
    refuse "--array: expected 1-n, got $parts tasks from $SLURM_ARRAY_TASK_MIN to $SLURM_ARRAY_TASK_MAX; to run some shards again, set MATRYOSHKA_SHARDS"
  fi
fi
((part >= 1 && part <= parts)) || refuse "--array: expected tasks of 1 to $parts, got $part"

out=${MATRYOSHKA_OUT:-conformance-$SLURM_ARRAY_JOB_ID}
# A folder for each shard: processes on different nodes may have the same number, which temporary files are told apart by.
folder=$out/shard-$part-of-$parts
certificate=$folder/certificate.json
owner=$folder/array-job

program=${MATRYOSHKA_COMMAND:-}
if [[ -z $program ]]; then
  program=matryoshka
  [[ ! -x node_modules/.bin/matryoshka ]] || program=node_modules/.bin/matryoshka
fi
[[ -n $(type -P -- "$program") ]] || refuse "MATRYOSHKA_COMMAND: $program: no program; npm install matryoshka-sae, or name it"

# Run it --------------------------------------------------------------------------------------------------------------

mkdir -p -- "$folder" || refuse "MATRYOSHKA_OUT: $out: cannot be made or written"
if [[ -e $owner && $(< "$owner") != "$SLURM_ARRAY_JOB_ID" ]]; then
  # Another run's. Taken for this one's, a shard that never starts would pass with what an older kernel did.
  [[ -n ${MATRYOSHKA_SHARDS:-} ]] || refuse "MATRYOSHKA_OUT: $out holds the shards of array job $(< "$owner"): choose another folder"
  rm -f -- "$certificate"
fi
# A certificate is written beside its place and put there in one step: it is whole, or it is not there.
if [[ -f $certificate ]]; then
  printf 'shard %d of %d: has its certificate already, %s\n' "$part" "$parts" "$certificate"
  exit 0
fi
printf '%s\n' "$SLURM_ARRAY_JOB_ID" > "$owner"

status=0
"$program" conformance "${options[@]}" --runs="$runs" --seed="$seed" --shard="$part/$parts" \
  --json="$certificate" || status=$?

if [[ -f $certificate ]]; then
  case $status in
    0) printf 'shard %d of %d: pass\n' "$part" "$parts" ;;
    *) printf 'shard %d of %d: FAIL; %s says what\n' "$part" "$parts" "$certificate" ;;
  esac
  exit 0
fi

printf 'shard %d of %d: ended with status %d and without a certificate\n' "$part" "$parts" "$status" >&2
# Killed, for want of memory for example. Not by Slurm, which sends SIGTERM (143) first and knows what it wants.
if ((status > 128 && status != 143)) && ((${SLURM_RESTART_COUNT:-0} < restarts)); then
  printf 'shard %d of %d: back into the queue\n' "$part" "$parts" >&2
  # Slurm ends this script while it puts the task back.
  if scontrol requeue "$SLURM_JOB_ID"; then sleep 60; fi
fi
((status != 0)) || status=1
exit "$status"
