#!/bin/sh
# The three compose files as one project: compose.sh up | build | down | sizes
#   INFRASTRUCTURE=lite (default: Milvus Lite) or standalone
set -eu
cd "$(dirname "$0")"
case "${INFRASTRUCTURE:-lite}" in
    lite) infrastructure=infrastructure-lite.yaml ;;
    standalone) infrastructure=infrastructure.yaml ;;
    *) echo "forgetless: INFRASTRUCTURE must be lite or standalone, not $INFRASTRUCTURE" >&2; exit 2 ;;
esac
state=${FORGETLESS_STATE:-../../.forgetless}
key=$state/compose_api_key

docker info >/dev/null 2>&1 || { echo "forgetless: no Docker engine answers" >&2; exit 1; }

compose() {
    docker compose --project-name "${COMPOSE_PROJECT_NAME:-forgetless}" \
        --file "$infrastructure" --file models.yaml --file app.yaml "$@"
}

# Some wrappers of docker compose lose its exit code: what counts is what the engine says.
must_be_healthy() {
    for service in "$@"; do
        containers=$(compose ps --quiet "$service")
        [ -n "$containers" ] || { echo "forgetless: $service did not start" >&2; exit 1; }
        for container in $containers; do
            state=$(docker inspect --format '{{with .State.Health}}{{.Status}}{{else}}{{.State.Status}}{{end}}' "$container")
            case "$state" in
                healthy | running) ;;
                *) echo "forgetless: $service is $state; see docker logs $container" >&2; exit 1 ;;
            esac
        done
    done
}

case "${1:-}" in
    up)
        if [ -z "${FORGETLESS_API_KEY:-}" ]; then
            mkdir -p "$state"
            [ -s "$key" ] || (umask 077 && printf 'fgl_%s\n' "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >"$key")
            FORGETLESS_API_KEY=$(cat "$key") && export FORGETLESS_API_KEY
            echo "The key lies in $key"
        fi
        compose build --quiet
        # In order, each when what it needs is healthy.
        compose up --detach --wait milvus
        must_be_healthy milvus
        compose up --detach --wait embedder balancer
        must_be_healthy embedder balancer
        compose up --detach --wait app sweep
        must_be_healthy app sweep
        echo "Forgetless is ready: http://127.0.0.1:${FORGETLESS_PORT:-3000}"
        ;;
    build)
        FORGETLESS_API_KEY=none && export FORGETLESS_API_KEY
        compose build --quiet
        ;;
    down)
        FORGETLESS_API_KEY=${FORGETLESS_API_KEY:-none} compose down --timeout 40
        ;;
    sizes)
        docker images --format '{{.Repository}} {{.Size}}' | grep '^forgetless-'
        ;;
    *)
        echo "usage: compose.sh up | build | down | sizes" >&2
        exit 2
        ;;
esac
