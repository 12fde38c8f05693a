#!/usr/bin/env bash
# As sweep_mvsa.sh, with all weights of the encoders trained: for a GPU. Edit the lists to your question.
# Usage: scripts/sweep_unfrozen.sh MVSA_SINGLE IMAGE_WEIGHTS TEXT_WEIGHTS [SAVE_DIR]
set -euo pipefail
posts=${1:?folder of MVSA-Single} image_weights=${2-} text_weights=${3-} save_dir=${4:-saved_models/mvsa-unfrozen}
cd "$(dirname "$0")/.."

methods="supervised,fixmatch,scrd"
labels="51,201,600"
seeds="1,2,3"

failed=0
python scripts/sweep.py --algorithms "$methods" --num_labels "$labels" --seeds "$seeds" --save_dir "$save_dir" -- \
    --train_data_dir "$posts" --dataset mvsa_single --image_weights "$image_weights" --text_weights "$text_weights" \
    --epoch 10 --num_train_iter 100 || failed=$?
((failed <= 1)) || exit "$failed" # stopped, or a mistake: there is nothing new to compare
python scripts/compare.py "$save_dir" --baseline supervised --output "$save_dir/comparison"
exit "$failed"
