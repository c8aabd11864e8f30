#!/bin/sh
# Makes the environment of a client: client.sh NAME-VERSION HOME
# A client of Python has a lock file, locks/client-NAME-VERSION.txt; a name with npm- is a package of npm.
set -eu
client=$1 home=$2
version=${client##*-} name=${client%-*}
folder=$home/$client
# A moved checkout gets new environments, because their scripts name the old path.
stamp=.installed-$(printf "%s %s" "$(pwd -P)" "$client" | cksum | cut -d" " -f1)

if [ -e "locks/client-$client.txt" ]; then
    [ -e "$folder/$stamp" ] || sh local/up/venv.sh "$folder" "$stamp" --require-hashes -r "locks/client-$client.txt"
    exit 0
fi

case $name in
npm) package=mem0ai ;;
npm-mcp-client | npm-mcp-sdk) package=@modelcontextprotocol/${name#npm-mcp-} ;;
npm-mcp-remote) package=mcp-remote ;;
*)
    echo "forgetless: $client is unknown: there is no locks/client-$client.txt, and it is no package of npm that local/up/client.sh knows" >&2
    exit 1
    ;;
esac

[ ! -e "$folder/$stamp" ] || exit 0
command -v npm >/dev/null 2>&1 || {
    echo "forgetless: npm is needed for $client and was not found; install Node.js 20, or leave it out of CLIENTS" >&2
    exit 1
}
echo "Installing $package@$version into $folder"
rm -rf "$folder"
mkdir -p "$folder"
# Without scripts and peer dependencies: only mem0's in-process variant needs SQLite and the rest, not the client.
(cd "$folder" && echo '{"private": true}' >package.json &&
    npm install --ignore-scripts --legacy-peer-deps --no-audit --no-fund --no-package-lock --loglevel=error "$package@$version" >install.log 2>&1) || {
    tail -n 3 "$folder/install.log" >&2
    echo "forgetless: npm install failed; the whole log is $folder/install.log" >&2
    exit 1
}
: >"$folder/$stamp"
