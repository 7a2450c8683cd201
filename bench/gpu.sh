#!/usr/bin/env bash
# Measure the network, the service and training on a machine with one H100 or H200 that can fetch nothing.
#
#   bench/gpu.sh --prepare wheels        here: download every package for CUDA into parts of less than 48 MiB
#   bench/gpu.sh 1 --wheels wheels       there: the network alone, in ONNX Runtime and torch
#   bench/gpu.sh 2 --wheels wheels       there: golden self-test, service end to end, an epoch of each backbone
#   bench/gpu.sh --write                 here, with the results: the table in bench/GPU.md
#   bench/gpu.sh --rehearse              anywhere: everything once on the processor, at the smallest size
#
# Each part takes at most 5 minutes (SECONDS_EACH) and ends with status 75 if it is not finished: the same command goes on
# after the last finished row of $GPU_RESULTS/gpu.jsonl. Other networks: --artefact FILE, as often as wanted. Without
# --wheels, PYTHON names an interpreter that has everything.
set -euo pipefail
cd "$(dirname "$0")/.."

results=${GPU_RESULTS:-runs/gpu-bench}
python=${PYTHON:-.venv/bin/python}
part='' wheels='' options=()
usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}
while [ $# -gt 0 ]; do
  case $1 in
  1 | 2) part=$1 ;;
  --rehearse) part=rehearsal ;;
  --write) part=write ;;
  --prepare) part=prepare wheels=${2:?--prepare: expected a folder} && shift ;;
  --wheels) wheels=${2:?--wheels: expected a folder} && shift ;;
  --artefact) options+=(--artefact "${2:?--artefact: expected a file}") && shift ;;
  *) usage ;;
  esac
  shift
done
[ -n "$part" ] || usage

# Download the packages for a GPU and cut the large ones into parts NAME.whl.part-aa, -ab, ...
prepare() {
  mkdir -p "$wheels"
  "$python" -m pip download --only-binary :all: --dest "$wheels" -c constraints.txt '.[gpu,train,dev]' setuptools wheel
  local wheel
  for wheel in "$wheels"/*.whl; do
    if [ "$(stat -c %s "$wheel")" -gt $((48 << 20)) ]; then
      split --bytes 48M "$wheel" "$wheel.part-"
      rm "$wheel"
    fi
  done
}

# Join the parts of the wheels and install them into an environment of its own; done once.
install() {
  local whole=$results/wheels first
  python=$results/venv/bin/python
  [ -e "$results/venv/made" ] && return
  mkdir -p "$whole"
  for first in "$wheels"/*.part-aa; do
    [ -e "$first" ] && cat "${first%aa}"* >"$whole/$(basename "${first%.part-aa}")"
  done
  "${PYTHON:-python3}" -m venv --clear "$results/venv"
  "$python" -m pip --disable-pip-version-check --quiet install --no-index --find-links "$whole" --find-links "$wheels" \
    -c constraints.txt -e '.[gpu,train,dev]'
  rm -r "$whole"
  touch "$results/venv/made"
}

if [ "$part" = prepare ]; then
  prepare
  exit
fi
if [ -n "$wheels" ]; then install; fi
exec "$python" -m bench.gpu "$part" "$results" --seconds $((${SECONDS_EACH:-290} - SECONDS)) ${options[@]+"${options[@]}"}
