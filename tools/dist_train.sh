#!/usr/bin/env bash
# Usage: dist_train.sh CONFIG GPUS [options of train.py]; GPUS is the number of processes on this machine, with or without GPUs.
# train_dataloader.batch_size is per process. A config with 8 images per step, on 8 processes:
#     dist_train.sh CONFIG 8 --cfg-options train_dataloader.batch_size=1
# Several machines: set NNODES, NODE_RANK and MASTER_ADDR.
set -euo pipefail
CONFIG=$1
GPUS=$2
NNODES=${NNODES:-1}
NODE_RANK=${NODE_RANK:-0}
PORT=${PORT:-29500}
MASTER_ADDR=${MASTER_ADDR:-127.0.0.1}

PYTHONPATH="$(dirname "$0")/..:${PYTHONPATH:-}" \
${PYTHON:-python} "$(dirname "$0")/torchrun.py" \
    --nnodes="$NNODES" --node_rank="$NODE_RANK" --nproc_per_node="$GPUS" \
    --master_addr="$MASTER_ADDR" --master_port="$PORT" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
