#!/bin/sh
# Fetches the scripts that the documentation's pages load from the site itself: docs_scripts.sh FOLDER STAMP MERMAID WORKER
# Diagrams need Mermaid, and searching in pages that are opened as files needs a worker; the theme would load both from
# the network. MERMAID and WORKER are npm packages with their versions.
set -eu
folder=$1 stamp=$2 mermaid=$3 worker=$4

command -v npm >/dev/null 2>&1 || {
    echo "forgetless: npm is needed to fetch $mermaid and $worker for make docs, and was not found; install Node.js 20" >&2
    exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# fetch PACKAGE FILE TARGET
fetch() {
    mkdir "$work/one"
    (cd "$work/one" && npm pack --silent "$1" >/dev/null) || {
        echo "forgetless: npm could not fetch $1" >&2
        exit 1
    }
    tar -xzf "$work"/one/*.tgz -C "$work/one"
    cp "$work/one/package/$2" "$folder/$3"
    rm -rf "$work/one"
}

rm -rf "$folder"
mkdir -p "$folder"
fetch "$mermaid" dist/mermaid.tiny.js mermaid.js
fetch "$worker" shim/index.js iframe-worker.js
: >"$folder/$stamp"
