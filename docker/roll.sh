#!/bin/sh
# Replaces the replicas of the profile postgres, one after the other, by ones of the image and settings of now: starts a
# new one beside the old ones, waits until it is ready, and stops an old one, which finishes its requests.
set -eu
export COMPOSE_PROFILES="${COMPOSE_PROFILES:-postgres}"
old=$(docker compose ps --quiet replica)
more=$(($(echo "$old" | wc -w) + 1))
for container in $old; do
    docker compose up --detach --wait --no-build --no-deps --no-recreate --scale "replica=$more" replica
    docker stop "$container"
    docker rm "$container"
done
