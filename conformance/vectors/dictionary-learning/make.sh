#!/usr/bin/env bash
# Makes the golden vectors again: ./make.sh
#
# Installs requirements.txt into a virtual environment under the user's cache folder (about 4 GB: PyPI has no smaller
# torch for Linux; made once, and again when requirements.txt changes), then runs make.py, which rewrites the
# *.safetensors and manifest.json beside it. Needs Python 3.11 or newer; PYTHON names another interpreter than python3.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
venv=${XDG_CACHE_HOME:-$HOME/.cache}/matryoshka-sae/vectors/venv
installed=$venv/installed-requirements.txt

fail() {
  echo "make.sh: $1" >&2
  exit 1
}

if ! cmp --silent "$here/requirements.txt" "$installed"; then
  command -v "$python" > /dev/null || fail "$python not found: install Python 3.11 or newer, or set PYTHON"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "expected Python 3.11 or newer, got $("$python" --version 2>&1): set PYTHON to another interpreter"
  "$python" -c 'import venv, ensurepip' 2> /dev/null ||
    fail "$python has no venv or no pip module: install them (on Debian: apt-get install python3-venv python3-pip)"
  echo "make.sh: installing into $venv"
  rm -rf "$venv"
  mkdir -p "$(dirname "$venv")"
  "$python" -m venv "$venv" || fail "could not make a virtual environment in $venv"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$here/requirements.txt" ||
    fail "pip could not install requirements.txt: see its message above"
  # Written last, so that an interrupted installation is begun again.
  cp "$here/requirements.txt" "$installed"
fi

# -B: no __pycache__ in the repository.
exec "$venv/bin/python" -B "$here/make.py"
