#!/usr/bin/env bash
# Puts the certificates of an array of slurm-array.sh together, once all its tasks have ended, however they did:
#
#     sbatch --dependency="afterany:$job" slurm-merge.sh "conformance-$job"
#
# Writes certificate.json and junit.xml into that folder. Exits 0 if all laws hold, 1 if one failed, 2 if a shard is
# missing, and says which. MATRYOSHKA_COMMAND is as in slurm-array.sh.

#SBATCH --job-name=matryoshka-merge
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=1
#SBATCH --mem=1G
#SBATCH --requeue
#SBATCH --open-mode=append

set -euo pipefail

refuse() {
  printf 'slurm-merge.sh: %s\n' "$1" >&2
  exit 2
}

(($# == 1)) && [[ -n $1 ]] || refuse 'expected the folder of the certificates, such as conformance-12'
folder=$1
# No name begins with a dash, as options do.
[[ $folder == /* ]] || folder=./$folder

program=${MATRYOSHKA_COMMAND:-}
if [[ -z $program ]]; then
  program=matryoshka
  [[ ! -x node_modules/.bin/matryoshka ]] || program=node_modules/.bin/matryoshka
fi
[[ -n $(type -P -- "$program") ]] || refuse "MATRYOSHKA_COMMAND: $program: no program; npm install matryoshka-sae, or name it"

shopt -s nullglob
certificates=("$folder"/shard-*-of-*/certificate.json)
((${#certificates[@]} > 0)) || refuse "$folder: no certificate of a shard in it: the tasks' logs say why"
# Of an earlier merge: it must not outlive one that fails.
rm -f -- "$folder/certificate.json" "$folder/junit.xml"
exec "$program" merge --json="$folder/certificate.json" --junit="$folder/junit.xml" "${certificates[@]}"
