# Sourced by each make.sh, which says what it makes: the virtual environment they share, and clones of repositories.
#
# Everything is kept in the user's cache folder. Needs Python 3.11 or newer, and git for the clones; PYTHON names
# another interpreter than python3.

vectors=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/matryoshka-sae/vectors
venv=$cache/venv

fail() {
  echo "make.sh: $1" >&2
  exit 1
}

# install_requirements FILE: pip installs exactly what FILE lists.
install_requirements() {
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$1" ||
    fail "pip could not install $1: see its message above"
}

# make_venv: with the requirements that all share (about 4 GB: PyPI has no smaller torch for Linux). Made once, and
# again when they change.
make_venv() {
  local python=${PYTHON:-python3} installed=$venv/installed-requirements.txt
  if cmp --silent "$vectors/requirements.txt" "$installed"; then return; fi
  command -v "$python" > /dev/null || fail "$python not found: install Python 3.11 or newer, or set PYTHON"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "expected Python 3.11 or newer, got $("$python" --version 2>&1): set PYTHON to another interpreter"
  "$python" -c 'import venv, ensurepip' 2> /dev/null ||
    fail "$python has no venv or no pip module: install them (on Debian: apt-get install python3-venv python3-pip)"
  echo "make.sh: installing into $venv"
  rm -rf "$venv"
  mkdir -p "$cache"
  "$python" -m venv "$venv" || fail "could not make a virtual environment in $venv"
  install_requirements "$vectors/requirements.txt"
  # Written last, so that an interrupted installation is begun again.
  cp "$vectors/requirements.txt" "$installed"
}

# run_make FOLDER [ARGUMENT ...]: installs what FOLDER needs besides, if anything, and runs its make.py.
run_make() {
  local folder=$1 installed
  shift
  make_venv
  installed=$venv/installed-$(basename "$folder").txt
  if [ -f "$folder/requirements.txt" ] && ! cmp --silent "$folder/requirements.txt" "$installed"; then
    install_requirements "$folder/requirements.txt"
    cp "$folder/requirements.txt" "$installed"
  fi
  # -B: no __pycache__ in the repository.
  PYTHONPATH=$vectors exec "$venv/bin/python" -B "$folder/make.py" "$@"
}

# clone NAME URL COMMIT: prints the path of a clone that has COMMIT, made in the cache if there is none.
clone() {
  local repository=$cache/repositories/$1
  if ! git -C "$repository" cat-file -e "$3^{commit}" 2> /dev/null; then
    command -v git > /dev/null || fail "git not found: install it"
    rm -rf "$repository"
    mkdir -p "$cache/repositories"
    git clone --quiet --no-checkout "$2" "$repository" || fail "could not clone $2: see git's message above"
    git -C "$repository" cat-file -e "$3^{commit}" || fail "$2 has no commit $3"
  fi
  echo "$repository"
}
