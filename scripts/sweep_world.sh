#!/usr/bin/env bash
# Methods x labels x seeds on the synthetic world, which needs no data and no weights, then the comparison.
# Usage: scripts/sweep_world.sh [SAVE_DIR]
set -euo pipefail
save_dir=${1:-saved_models/world}
cd "$(dirname "$0")/.."

methods="supervised,fixmatch,scrd"
labels="51,201,600"
seeds="1,2,3,4,5"

failed=0
python scripts/sweep.py --algorithms "$methods" --num_labels "$labels" --seeds "$seeds" --save_dir "$save_dir" || failed=$?
((failed <= 1)) || exit "$failed" # stopped, or a mistake: there is nothing new to compare
python scripts/compare.py "$save_dir" --baseline supervised --output "$save_dir/comparison"
exit "$failed"
