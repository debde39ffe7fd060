#!/usr/bin/env bash
# Makes the golden vectors again: ./make.sh
#
# Installs ../requirements.txt and requirements.txt into a virtual environment under the user's cache folder, then runs
# make.py, which rewrites the *.safetensors and manifest.json beside it. See ../venv.sh for what it needs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../venv.sh"
run_make "$here"
