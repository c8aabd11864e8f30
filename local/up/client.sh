#!/bin/sh
# Makes the environment of one of mem0's clients: client.sh py-VERSION|npm-VERSION|schemathesis-VERSION HOME
set -eu
client=$1 home=$2
version=${client#*-}
folder=$home/$client
# A moved checkout gets new environments, because their scripts name the old path.
stamp=.installed-$(printf "%s %s" "$(pwd -P)" "$client" | cksum | cut -d" " -f1)

case $client in
py-*)
    [ -e "$folder/$stamp" ] || sh local/up/venv.sh "$folder" "$stamp" --require-hashes -r "locks/client-$client.txt"
    ;;
schemathesis-*)
    [ -e "$folder/$stamp" ] || sh local/up/venv.sh "$folder" "$stamp" --require-hashes -r "locks/client-$client.txt"
    ;;
npm-*)
    [ ! -e "$folder/$stamp" ] || exit 0
    command -v npm >/dev/null 2>&1 || {
        echo "forgetless: npm is needed for $client and was not found; install Node.js 20, or leave it out of CLIENTS" >&2
        exit 1
    }
    echo "Installing mem0ai@$version into $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    # Without scripts and peer dependencies: only mem0's in-process variant needs SQLite and the rest, not the client.
    (cd "$folder" && echo '{"private": true}' >package.json &&
        npm install --ignore-scripts --legacy-peer-deps --no-audit --no-fund --no-package-lock --loglevel=error "mem0ai@$version" >install.log 2>&1) || {
        tail -n 3 "$folder/install.log" >&2
        echo "forgetless: npm install failed; the whole log is $folder/install.log" >&2
        exit 1
    }
    : >"$folder/$stamp"
    ;;
*)
    echo "forgetless: $client is none of py-VERSION, npm-VERSION and schemathesis-VERSION" >&2
    exit 1
    ;;
esac
