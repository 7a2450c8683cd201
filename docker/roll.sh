#!/bin/sh
# Replaces the replicas of the profile postgres, one after the other, by ones of the image and settings of now: starts a
# new one beside the old ones, waits until it is ready, and stops an old one, which finishes its requests. If a new one
# does not become ready, it is removed again, and the replicas that are left work on.
set -eu
export COMPOSE_PROFILES="${COMPOSE_PROFILES:-postgres}"

replicas() {
    docker compose ps --all --quiet replica | sort
}

old=$(replicas)
more=$(($(echo "$old" | wc -w) + 1))
for container in $old; do
    before=$(replicas)
    if ! docker compose up --detach --wait --no-build --no-deps --no-recreate --scale "replica=$more" replica; then
        for new in $(replicas); do
            case "$before" in
            *"$new"*) ;;
            *) docker rm --force "$new" ;;
            esac
        done
        echo "a new replica does not become ready: nothing more is replaced" >&2
        exit 1
    fi
    docker stop "$container"
    docker rm "$container"
done
