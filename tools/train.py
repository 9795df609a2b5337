"""Train a segmentor, with or without distillation."""

import argparse

from mmengine.runner import Runner
from mmseg.registry import RUNNERS

from mmseg_kd.doctor.doctor import check_before_training
from mmseg_kd.engine.hooks import ResumeCheckHook
from mmseg_kd.engine.launch import (
    add_arguments,
    check_runner,
    check_settings,
    enable_amp,
    finish,
    load_config,
    prepare_launch,
    set_resume,
)
from mmseg_kd_startup import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    parser.add_argument('--resume', action='store_true', help='resume from the latest checkpoint in the work directory')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision')
    parser.add_argument('--check', action='store_true', help='run tools/doctor.py first; stop if training would fail')
    args = parser.parse_args()

    cfg = load_config(args)
    set_resume(cfg, args)
    if args.amp:
        enable_amp(cfg)
    prepare_launch(cfg)
    if args.check:
        check_before_training(cfg)
    check_settings(cfg)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    runner.register_hook(ResumeCheckHook())
    check_runner(runner)
    runner.train()
    finish()


if __name__ == '__main__':
    run_tool(main, 'the same command with --resume continues from the last checkpoint')
