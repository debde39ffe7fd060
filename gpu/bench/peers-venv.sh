#!/usr/bin/env bash
# Prints the Python that has the peers: ./peers-venv.sh VECTORS
#
# VECTORS is the folder conformance/vectors, whose venv.sh makes the virtual environment, in the user's cache folder.
# What pip and venv say goes to standard error.
set -euo pipefail

source "$1/venv.sh"
{
  make_venv
  for peer in dictionary-learning saelens; do
    wanted=$vectors/$peer/requirements.txt
    installed=$venv/installed-$peer.txt
    if ! cmp --silent "$wanted" "$installed"; then
      install_requirements "$wanted"
      cp "$wanted" "$installed"
    fi
  done
} >&2
echo "$venv/bin/python"
