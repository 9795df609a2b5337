"""Convert weights of torchvision's fcn_resnet50 to a checkpoint of configs/compact/fcn_r50_voc12.py."""

import argparse
import io
from pathlib import Path

from mmseg_kd.io.trust import add_trust_files
from mmseg_kd_startup import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('weights', type=Path, help='file downloaded by torchvision, such as fcn_resnet50_coco-*.pth')
    parser.add_argument('checkpoint', type=Path, help='file to write')
    add_trust_files(parser)
    parser.add_argument('--debug', action='store_true', help='show the traceback of every error')
    args = parser.parse_args()
    # These take seconds, which neither --help nor a wrong command line has to wait for.
    import torch

    from mmseg_kd.io.checkpoint import read_checkpoint
    from mmseg_kd.io.files import write_atomically
    from mmseg_kd.models.torchvision_fcn import convert_torchvision_fcn

    converted = convert_torchvision_fcn(read_checkpoint(str(args.weights)))
    args.checkpoint.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    torch.save(dict(meta={}, state_dict=converted), content)
    write_atomically(args.checkpoint, content.getvalue())
    print(f'written: {args.checkpoint}')


if __name__ == '__main__':
    run_tool(main)
