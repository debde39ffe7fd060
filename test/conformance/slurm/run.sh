#!/usr/bin/env bash
# The suite as a Slurm array, on a real Slurm: test/conformance/slurm/run.sh [a folder to keep the tasks' logs in]
#
# Starts a Slurm of one node in a temporary folder, on ports of its own, beside whatever else runs here. Submits
# conformance/jobs/slurm-array.sh as 7 tasks, takes one away half-way with `scontrol requeue`, kills the process of another
# with SIGKILL, lets slurm-merge.sh wait for all, and compares its certificate with that of the same run in one piece.
# All is ended and removed, whatever happens.
#
# Needs Debian (or Ubuntu) and root; installs slurm-wlm and munge if they are not there. Exits 0 if all is as it should be,
# 1 if not, 77 if it cannot run here.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
keep=${1:-}
tasks=7
seed=7
backend=cpu
requeued=2 # the tasks that are disturbed
killed=5
only=(--only encode --only decode --only gradients --only auxk)
export MATRYOSHKA_RUNS=${MATRYOSHKA_RUNS:-400} # enough to be killed half-way
patience=180 # seconds, for anything that is waited for

elapsed() { awk -v from="$started" -v to="$EPOCHREALTIME" 'BEGIN { print to - from }'; }
say() { printf '%5.1f s  %s\n' "$(elapsed)" "$1"; }
skip() {
  printf 'skipped: %s\n' "$1"
  exit 77
}
fail() {
  say "FAIL: $1"
  exit 1
}
started=$EPOCHREALTIME

# Can it run here? ----------------------------------------------------------------------------------------------------

[[ $(id -u) == 0 ]] || skip 'expected root, to start the daemons of Slurm'
command -v apt-get > /dev/null || skip 'expected Debian or Ubuntu (no apt-get here)'
PATH=$PATH:/usr/sbin:/sbin # of daemons, where su does not give it
installed() {
  local program
  for program in munged slurmctld slurmd sbatch scontrol; do command -v "$program" > /dev/null || return 1; done
}
if ! installed; then
  say 'installing slurm-wlm and munge'
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update -qq && apt-get install -y -qq --no-install-recommends slurm-wlm munge; } > /dev/null 2>&1 ||
    skip 'apt-get could not install slurm-wlm and munge'
fi

# A Slurm of one node -------------------------------------------------------------------------------------------------

work=$(mktemp -d "${TMPDIR:-/tmp}/matryoshka-slurm-XXXXXX")
daemons=() # process ids
stop() {
  local status=$? pid
  trap - EXIT
  scancel --full --signal=KILL --user=root > /dev/null 2>&1 || true
  scancel --user=root > /dev/null 2>&1 || true
  for _ in {1..50}; do
    [[ -n $(squeue --noheader 2> /dev/null) ]] || break
    sleep 0.1
  done
  scontrol shutdown > /dev/null 2>&1 || true
  for _ in {1..100}; do
    alive "${daemons[@]:1}" || break # munged is the first, and nobody tells it
    sleep 0.1
  done
  for pid in "${daemons[@]}"; do kill "$pid" 2> /dev/null || true; done
  sleep 0.3
  for pid in "${daemons[@]}"; do kill -KILL "$pid" 2> /dev/null || true; done
  wait
  if [[ -n $keep ]] && mkdir -p "$keep"; then cp "$user"/log-* "$slurm"/*.log "$keep" 2> /dev/null || true; fi
  rm -rf "$work"
  say 'Slurm is shut down and its folder removed'
  exit "$status"
}
alive() {
  local pid
  for pid in "$@"; do if kill -0 "$pid" 2> /dev/null; then return 0; fi; done
  return 1
}
slurm=$work/slurm
# The user's folder has a name that a careless script falls over.
user="$work/it's \$(touch pwned); a folder"
mkdir -m 700 "$slurm"
mkdir "$user" "$slurm/state" "$slurm/spool"
trap stop EXIT
trap 'exit 1' INT TERM HUP

# No variable of a Slurm that this shell may be a job of.
for name in $(compgen -v SLURM || true) $(compgen -v SBATCH || true); do unset "$name"; done
read -r port1 port2 < <(node -e '
  const { createServer } = require("node:net");
  const servers = [0, 0].map((port) => createServer().listen(port, "127.0.0.1"));
  setTimeout(() => { console.log(...servers.map((s) => s.address().port)); servers.map((s) => s.close()); }, 50);')
export SLURM_CONF=$slurm/slurm.conf
cat > "$SLURM_CONF" << CONF
ClusterName=conformance
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$port1
SlurmdPort=$port2
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# A task that is put back starts again once its old credential has run out: 120 s, where nothing is said.
AuthInfo=socket=$slurm/munge.socket,cred_expire=5
StateSaveLocation=$slurm/state
SlurmdSpoolDir=$slurm/spool
SlurmctldPidFile=$slurm/slurmctld.pid
SlurmdPidFile=$slurm/slurmd.pid
SlurmctldLogFile=$slurm/slurmctld.log
SlurmdLogFile=$slurm/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
MailProg=/bin/true
KillWait=5
SchedulerParameters=sched_interval=1,bf_interval=1
ReturnToService=2
SlurmdParameters=config_overrides
NodeName=here NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 CPUs=2 RealMemory=16384
PartitionName=all Nodes=ALL Default=YES State=UP
CONF
head -c 1024 /dev/urandom > "$slurm/munge.key"
chmod 400 "$slurm/munge.key"

start() {
  "$@" > /dev/null 2> "$slurm/$(basename "$1").err.log" &
  daemons+=("$!")
}
start munged --foreground --force --key-file="$slurm/munge.key" --socket="$slurm/munge.socket" \
  --pid-file="$slurm/munge.pid" --log-file="$slurm/munged.log" --seed-file="$slurm/munge.seed"
# until_true WHAT COMMAND…: waits until the command succeeds.
until_true() {
  local what=$1 end=$((SECONDS + patience))
  shift
  until "$@"; do
    ((SECONDS < end)) || fail "waited ${patience} s, in vain, until $what"
    sleep 0.1
  done
}
until_true 'munged answers' test -S "$slurm/munge.socket"
start slurmctld -D -c
start slurmd -D
idle() { [[ $(sinfo --noheader --format=%T 2> /dev/null) == idle ]]; }
until_true 'the node is idle' idle
say "$(sinfo --version): one node of 2 CPUs"

# The array -----------------------------------------------------------------------------------------------------------

# The command from this checkout, as an installation would put it on the PATH.
cat > "$work/matryoshka" << COMMAND
#!/bin/sh
exec $(printf %q "$(type -P node)") --import $(printf %q "file://$root/node_modules/tsx/dist/loader.mjs") $(printf %q "$root/cli.ts") "\$@"
COMMAND
chmod +x "$work/matryoshka"
cd "$user"
export MATRYOSHKA_COMMAND=$work/matryoshka MATRYOSHKA_BACKEND=$backend
unset MATRYOSHKA_KERNEL MATRYOSHKA_OUT MATRYOSHKA_SHARDS MATRYOSHKA_RESTARTS MATRYOSHKA_SEED

job=$(sbatch --parsable --array="1-$tasks" --output='log-%a.txt' --export="ALL,MATRYOSHKA_SEED=$seed" \
  "$root/conformance/jobs/slurm-array.sh" "${only[@]}")
out=$user/conformance-$job
merge=$(sbatch --parsable --dependency="afterany:$job" --output=log-merge.txt \
  "$root/conformance/jobs/slurm-merge.sh" "conformance-$job")
say "array $job: $tasks tasks; merge $merge waits for them"

certificate() { printf '%s/shard-%d-of-%d/certificate.json' "$out" "$1" "$tasks"; }
# about JOB FIELD: what Slurm says of a job or task.
about() { scontrol --oneliner show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }
half_way() { grep -q '^✓' "log-$1.txt" 2> /dev/null; }
none_yet() { [[ ! -e $(certificate "$1") ]] || fail "task $1 was done before it could be disturbed: raise MATRYOSHKA_RUNS"; }
restarted() { [[ $(about "${job}_$1" Restarts) == 1 ]]; }

until_true "task $requeued is half-way" half_way "$requeued"
scontrol requeue "${job}_$requeued"
none_yet "$requeued"
say "task $requeued: taken away half-way with scontrol requeue, after: $(grep -m 1 '^✓' "log-$requeued.txt" | cut -c 1-60)…"

until_true "task $killed is half-way" half_way "$killed"
# The process of the suite, below the task's script.
suite=$(pgrep -f "cli.ts conformance .*--shard=$killed/$tasks .*conformance-$job/")
kill -KILL "$suite"
none_yet "$killed"
say "task $killed: its process $suite killed half-way with SIGKILL"

for task in "$requeued" "$killed"; do
  until_true "task $task is back in the queue" restarted "$task"
  say "task $task: back in the queue ($(about "${job}_$task" JobState), reason $(about "${job}_$task" Reason))"
done

ended() { [[ $(about "$1" JobState) =~ ^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY|DEADLINE) ]]; }
until_true 'the merge has ended' ended "$merge"

# What came of it -----------------------------------------------------------------------------------------------------

for ((task = 1; task <= tasks; task++)); do
  until_true "task $task has ended" ended "${job}_$task"
  state=$(about "${job}_$task" JobState)
  starts=$(($(about "${job}_$task" Restarts) + 1))
  say "task $task: $state after $starts start(s): $(tail -n 1 "log-$task.txt")"
  [[ $state == COMPLETED ]] || fail "task $task: expected COMPLETED, got $state: $(tail -n 5 "log-$task.txt")"
  expected=1
  if ((task == requeued || task == killed)); then expected=2; fi
  ((starts == expected)) || fail "task $task: expected $expected start(s), got $starts"
  (($(grep -c "shard $task of $tasks$" "log-$task.txt") == expected)) || fail "task $task: expected $expected runs in its log"
done
say "merge: $(about "$merge" JobState): $(tail -n 1 log-merge.txt)"
[[ $(about "$merge" JobState) == COMPLETED ]] || fail "the merge: $(cat log-merge.txt)"

# A finished task that is put back ends at once, and leaves its certificate as it is.
before=$(stat --format='%i %Y' "$(certificate 1)")
scontrol requeue "${job}_1"
until_true 'task 1 is back in the queue' restarted 1
until_true 'task 1 has ended again' ended "${job}_1"
[[ $(tail -n 1 log-1.txt) == 'shard 1 of 7: has its certificate already,'* ]] || fail "task 1, again: $(tail -n 1 log-1.txt)"
[[ $(stat --format='%i %Y' "$(certificate 1)") == "$before" ]] || fail 'task 1, again: its certificate was written anew'
say "task 1, put back when it was done: $(tail -n 1 log-1.txt | cut -d , -f 1)"

"$work/matryoshka" conformance "${only[@]}" --backend="$backend" --runs="$MATRYOSHKA_RUNS" --seed="$seed" \
  --json=whole.json > whole.txt || fail "the run in one piece: $(tail -n 5 whole.txt)"
digest() { node -p 'JSON.parse(fs.readFileSync(process.argv[1])).digest' "$1"; }
whole=$(digest whole.json)
merged=$(digest "$out/certificate.json")
say "in one piece: $(tail -n 1 whole.txt)"
say "digest, merged:       $merged"
say "digest, in one piece: $whole"
[[ $merged == "$whole" ]] || fail 'the digests differ'
[[ -z $(find "$work" -name 'pwned*') ]] || fail 'a name of a folder was run as a command'
[[ -z $(find "$out" -name '*.tmp-*') ]] || fail "left behind: $(find "$out" -name '*.tmp-*')"
say 'PASS: two tasks died half-way, and the certificate is that of the undisturbed run'
