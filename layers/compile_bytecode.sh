#!/bin/sh
# Compiles a layer's Python files for Lambda's interpreter: /opt is read-only there, and without bytecode a cold start
# costs three times. Looks for python3.13 on PATH, among pyenv's versions, then in Docker; FORGETLESS_PYTHON313 goes
# before them. Usage: compile_bytecode.sh FOLDER
set -eu
folder=$1
version=3.13

is_right() { "$1" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" >/dev/null 2>&1; }

# Hashes that are never checked: the files' times do not survive the zip. /opt is where Lambda unpacks layers.
arguments="-m compileall -q --invalidation-mode unchecked-hash"
for candidate in "${FORGETLESS_PYTHON313:-}" python$version "${PYENV_ROOT:-$HOME/.pyenv}"/versions/$version.*/bin/python$version; do
    if [ -n "$candidate" ] && is_right "$candidate"; then
        # shellcheck disable=SC2086 # the arguments are words
        "$candidate" $arguments -s "$folder" -p /opt "$folder/python"
        echo "bytecode compiled by $candidate" >&2
        exit 0
    fi
done
if command -v docker >/dev/null 2>&1 && docker info >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    docker run --rm --network none --user "$(id -u):$(id -g)" -v "$folder:/opt" python:$version-slim \
        python $arguments -s /opt -p /opt /opt/python
    echo "bytecode compiled in Docker" >&2
    exit 0
fi
echo "no python$version on PATH, among pyenv's versions or in Docker: cold starts will cost three times" >&2
