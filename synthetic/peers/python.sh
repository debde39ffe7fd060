#!/usr/bin/env bash
# Runs a script of this folder with the published code it compares with: ./python.sh SCRIPT.py [ARGUMENT ...]
#
# The virtual environment is that of the golden vectors (conformance/vectors/venv.sh: Python 3.11 or newer, about 4 GB in
# the user's cache folder), with what requirements.txt adds. For nabeshima_runs.py the repository is cloned there too,
# unless NABESHIMA_REPO names an existing clone.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../../conformance/vectors/venv.sh"

script=${1:?usage: python.sh SCRIPT.py [ARGUMENT ...]}
shift
[ -f "$here/$script" ] || fail "no $script in $here"

# What pip and venv say goes to standard error: a script's output may be data.
{
  make_venv
  for list in "$vectors/saelens/requirements.txt" "$here/requirements.txt"; do
    installed=$venv/installed-$(basename "$(dirname "$list")").txt
    if cmp --silent "$list" "$installed"; then continue; fi
    install_requirements "$list"
    cp "$list" "$installed"
  done
} >&2

commit=7b80f5fe36598f43f3181c5466a0365c7ce07807
if [ "$script" = nabeshima_runs.py ]; then
  repository=${NABESHIMA_REPO:-$(clone nabeshima https://github.com/noanabeshima/matryoshka-saes "$commit")}
  set -- --repository "$repository" --commit "$commit" "$@"
fi

# -B: no __pycache__ in the repository.
PYTHONPATH=$vectors:$vectors/saelens exec "$venv/bin/python" -B "$here/$script" "$@"
