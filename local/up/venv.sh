#!/bin/sh
# Installs locked packages into a virtual environment: venv.sh FOLDER STAMP PIP-ARGUMENTS...
# With PROJECT=., the checkout itself follows, built by what is installed then and by nothing that pip would fetch for it.
# The stamp is written only after a complete installation; a failed one is reported in one line.
set -eu
folder=$1 stamp=$2
shift 2

fail() {
    echo "forgetless: $1" >&2
    exit 1
}

# A named interpreter or none; otherwise those of the tests come first. pyproject.toml requires the same version.
find_python() {
    for candidate in ${PYTHON:-python3.11 python3.13 python3.12 python3 python}; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
}

# In a moved checkout, scripts point to the old path: such an environment is made again.
in_place() {
    "$folder/bin/python" -m pip --version >/dev/null 2>&1 && head -n 2 "$folder/bin/pip" | grep -qF "$(pwd -P)/$folder/bin/python"
}

if ! in_place; then
    python=$(find_python)
    [ -n "$python" ] || [ -z "${PYTHON:-}" ] || fail "$PYTHON is no Python 3.11 or newer"
    [ -n "$python" ] || fail "Python 3.11 or newer is needed and was not found; install it, or name it: make PYTHON=/path/to/python3.11"
    echo "Creating $folder with $("$python" --version 2>&1)"
    "$python" -m venv --clear "$folder" >/dev/null 2>&1 || fail "'$python -m venv' failed; install Python's venv module (Debian, Ubuntu: apt install python3-venv)"
fi

echo "Installing into $folder (once; about a minute)"
rm -f "$folder"/.installed-*
log=$folder/install.log
# Python compiles what it loads when it first loads it; to compile everything is half of an installation's time.
install() {
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile "$@" >>"$log" 2>&1
}
: >"$log"
if ! { install "$@" && { [ -z "${PROJECT:-}" ] || install --no-deps --no-build-isolation --editable "$PROJECT"; }; }; then
    grep -v '^WARNING' "$log" | tail -n 3 >&2
    fail "installation failed; the whole log is $log"
fi
: >"$folder/$stamp"
