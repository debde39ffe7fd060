#!/usr/bin/env bash
# Makes the golden vectors again: ./make.sh
#
# Installs ../requirements.txt and requirements.txt into a virtual environment under the user's cache folder, then runs
# make.py, which rewrites the *.safetensors and manifest.json beside it. Needs Python 3.11 or newer; PYTHON names another
# interpreter than python3.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source "$here/../venv.sh"
run_make "$here"
