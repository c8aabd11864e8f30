#!/bin/sh
# Runs the three compose files as one project: compose.sh up | build | down | sizes | digests
#   INFRASTRUCTURE=lite (default: Milvus Lite) or standalone
#   MONITORING=1 starts Prometheus and Grafana too
# digests writes images.env, which names the base images by digest; whenever it is there, it is used.
set -eu
cd "$(dirname "$0")"
case "${INFRASTRUCTURE:-lite}" in
    lite) infrastructure=infrastructure-lite.yaml ;;
    # Milvus itself compacts there; nothing is asked of a supervisor.
    standalone) infrastructure=infrastructure.yaml FORGETLESS_MILVUS_CONTROL=; export FORGETLESS_MILVUS_CONTROL ;;
    *) echo "forgetless: INFRASTRUCTURE must be lite or standalone, not $INFRASTRUCTURE" >&2; exit 2 ;;
esac
monitoring=
if [ "${MONITORING:-}" = 1 ]; then
    monitoring=monitoring.yaml
    FORGETLESS_METRICS=prometheus && export FORGETLESS_METRICS
fi
state=${FORGETLESS_STATE:-../../.forgetless}
key=$state/compose_api_key

# What is in the environment already is taken before what images.env says.
if [ -f images.env ]; then
    while IFS='=' read -r name image; do
        case "$name" in
            PYTHON_IMAGE | NGINX_IMAGE | ETCD_IMAGE | MINIO_IMAGE | MILVUS_IMAGE | PROMETHEUS_IMAGE | GRAFANA_IMAGE)
                eval ": \"\${$name:=\$image}\"" && export "${name?}" ;;
        esac
    done <images.env
fi

docker info >/dev/null 2>&1 || { echo "forgetless: no Docker engine answers" >&2; exit 1; }

compose() {
    docker compose --project-name "${COMPOSE_PROJECT_NAME:-forgetless}" \
        --file "$infrastructure" --file models.yaml --file app.yaml ${monitoring:+--file "$monitoring"} "$@"
}

# Some wrappers of docker compose lose its exit code, so the state of the engine counts.
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

said_by() {
    docker logs --since "$(docker inspect --format '{{.State.StartedAt}}' "$1")" "$1" 2>&1
}

# Shows what a service has repaired since it started.
tell_notes_of() {
    said_by "$(compose ps --all --quiet "$1")" | sed -n "s/^note: /$1: /p"
}

# Waits until the check of ledger and index has ended; if it failed, shows its output.
stores_must_fit() {
    container=$(compose ps --all --quiet stores)
    code=$(docker wait "$container")
    tell_notes_of stores
    [ "$code" = 0 ] || { said_by "$container" | tail -n 1 >&2; exit 1; }
}

ports_must_differ() {
    doubled=$(printf '%s\n' "${FORGETLESS_PORT:-3000}" "${EMBEDDER_PORT:-7997}" "${MILVUS_PORT:-19530}" | sort | uniq -d)
    [ -z "$doubled" ] || {
        echo "forgetless: FORGETLESS_PORT, EMBEDDER_PORT and MILVUS_PORT must differ; $doubled is given twice" >&2
        exit 2
    }
}

case "${1:-}" in
    up)
        ports_must_differ
        if [ -z "${FORGETLESS_API_KEY:-}" ]; then
            mkdir -p "$state"
            [ -s "$key" ] || (umask 077 && printf 'fgl_%s\n' "$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')" >"$key")
            FORGETLESS_API_KEY=$(cat "$key") && export FORGETLESS_API_KEY
            echo "The key lies in $key"
        fi
        compose build --quiet
        # Starts them in order, each when the parts that it needs are healthy.
        compose up --detach --wait milvus
        must_be_healthy milvus
        tell_notes_of milvus
        compose up --detach --wait embedder balancer
        must_be_healthy embedder balancer
        compose up --detach stores
        stores_must_fit
        compose up --detach --wait app worker
        must_be_healthy app worker
        if [ -n "$monitoring" ]; then
            compose up --detach --wait prometheus grafana
            must_be_healthy prometheus grafana
            echo "Grafana is ready: http://127.0.0.1:${GRAFANA_PORT:-3001}"
        fi
        echo "Forgetless is ready: http://127.0.0.1:${FORGETLESS_PORT:-3000}"
        ;;
    build)
        FORGETLESS_API_KEY=none && export FORGETLESS_API_KEY
        compose build --quiet
        ;;
    down)
        monitoring=monitoring.yaml
        FORGETLESS_API_KEY=${FORGETLESS_API_KEY:-none} compose down --timeout 40
        ;;
    digests)
        # Of the images that are here; `docker pull` gets the present ones of their tags first.
        sed -n 's/.*\${\([A-Z]*_IMAGE\):-\([^}]*\)}.*/\1 \2/p' ./*.yaml | sort -u | while read -r name image; do
            digest=$(docker image inspect --format '{{if .RepoDigests}}{{index .RepoDigests 0}}{{end}}' "$image" 2>/dev/null) || digest=
            if [ -n "$digest" ]; then echo "$name=$digest"; else echo "forgetless: $image has no digest here: docker pull $image" >&2; fi
        done >images.env.new
        mv images.env.new images.env
        cat images.env
        ;;
    sizes)
        docker images --format '{{.Repository}} {{.Size}}' | grep '^forgetless-'
        ;;
    *)
        echo "usage: compose.sh up | build | down | sizes | digests" >&2
        exit 2
        ;;
esac
