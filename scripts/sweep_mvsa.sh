#!/usr/bin/env bash
# Methods x labels x seeds on MVSA-Single with frozen encoders, then the comparison. Edit the lists to your question.
# Usage: scripts/sweep_mvsa.sh MVSA_SINGLE IMAGE_WEIGHTS TEXT_WEIGHTS [SAVE_DIR]
#   MVSA_SINGLE     the published folder (data/, labelResultAll.txt), or a store that scripts/ingest.py made of it
#   IMAGE_WEIGHTS   safetensors file of an image net, or "" for timm's pretrained ones
#   TEXT_WEIGHTS    folder of a text net, or "" for the hub's
# What is done is left out and what was interrupted goes on, so the same line may be run again at any time.
set -euo pipefail
posts=${1:?folder of MVSA-Single} image_weights=${2-} text_weights=${3-} save_dir=${4:-saved_models/mvsa}
cd "$(dirname "$0")/.."

methods="supervised,fixmatch,scrd"
labels="51,201,600"
seeds="1,2,3,4,5"

failed=0
python scripts/sweep.py --algorithms "$methods" --num_labels "$labels" --seeds "$seeds" --save_dir "$save_dir" -- \
    --train_data_dir "$posts" --image_weights "$image_weights" --text_weights "$text_weights" \
    --freeze image,text --feature_dim 256 --epoch 4 --num_train_iter 100 || failed=$?
((failed <= 1)) || exit "$failed" # stopped, or a mistake: there is nothing new to compare
python scripts/compare.py "$save_dir" --baseline "supervised frozen" --output "$save_dir/comparison"
exit "$failed"
