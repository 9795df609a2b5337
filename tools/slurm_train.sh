#!/usr/bin/env bash
# Usage: slurm_train.sh PARTITION JOB_NAME CONFIG [options of train.py]; set GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS as needed.
# train_dataloader.batch_size is per process. A config with 8 images per step, on the 4 GPUs set below:
#     slurm_train.sh PARTITION JOB_NAME CONFIG --cfg-options train_dataloader.batch_size=2
set -euo pipefail
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
GPUS=${GPUS:-4}
GPUS_PER_NODE=${GPUS_PER_NODE:-4}
CPUS_PER_TASK=${CPUS_PER_TASK:-5}
SRUN_ARGS=${SRUN_ARGS:-}

PYTHONPATH="$(dirname "$0")/..:${PYTHONPATH:-}" \
srun -p "$PARTITION" --job-name="$JOB_NAME" \
    --gres=gpu:"$GPUS_PER_NODE" --ntasks="$GPUS" --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="$CPUS_PER_TASK" --kill-on-bad-exit=1 $SRUN_ARGS \
    ${PYTHON:-python} -u "$(dirname "$0")/train.py" "$CONFIG" --launcher slurm "${@:4}"
