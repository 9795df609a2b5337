"""Test a segmentor; of a distilled one, the student."""
import argparse

from mmengine.runner import Runner

from mmseg_kd.io.checkpoint import read_checkpoint
from mmseg_kd.io.configs import outer_preprocessor
from mmseg_kd.engine.launch import add_arguments, finish, load_config, prepare_launch


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', help='folder for the predicted label maps')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument('--show-dir', help='folder for painted images')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds that --show waits for each image')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    args = parser.parse_args()

    cfg = load_config(args)
    read_checkpoint(args.checkpoint)  # refuses what is missing or would run code
    cfg.load_from = args.checkpoint
    if args.show or args.show_dir:
        cfg.default_hooks.visualization.update(draw=True, show=args.show, wait_time=args.wait_time)
        if args.show_dir:
            cfg.visualizer.save_dir = args.show_dir
    if args.tta:
        cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
        # MMEngine's Runner would hand a preprocessor at the top level to the TTA wrapper, which has no use for it.
        preprocessor = outer_preprocessor(cfg)
        own = {} if preprocessor is None else dict(data_preprocessor=preprocessor)
        cfg.model = dict(cfg.tta_model, module=dict(cfg.model, **own))
    if args.out:
        cfg.test_evaluator.update(output_dir=args.out, keep_results=True)
    prepare_launch(cfg)
    Runner.from_cfg(cfg).test()
    finish()


if __name__ == '__main__':
    main()
