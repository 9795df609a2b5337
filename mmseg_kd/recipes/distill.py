"""From a student's config to a distilled student, in one go."""

import argparse
import sys
from pathlib import Path

from mmengine.dist import barrier, is_main_process

from ..doctor.doctor import check_before_training
from ..engine.launch import finish, rank_of, start_processes
from ..engine.setup_terms import run_name
from ..engine.teacher_cache import Request, show_cache
from ..io.checkpoint import check_checkpoint
from ..io.configs import merge_options, read_config
from ..io.errors import ConfigError
from ..io.files import write_atomically
from ..io.progress import ProgressLine
from ..io.stop_signals import stop_signals
from ..models import read_class_map
from .distillation_config import TeacherChoice, can_label, distillation_config, student_classes
from .method_choice import choose_method
from .outcome import outcome_table
from .student_options import distillation_options, student_options
from .training import train, training_command, training_config


def distill(args: argparse.Namespace) -> None:
    """Write a config, check it, train it, export the student, and print what the distillation has brought.

    Args:
        args: Arguments of ``tools/distill.py``.

    Raises:
        ConfigError: If the arguments or the configs do not fit each other.
        FileNotFoundError: If a file is missing.
        SystemExit: With status 1, if the doctor finds that the training would fail.
    """
    if args.before:
        check_checkpoint(args.before)  # it is read after the training
    first = rank_of(args.launcher)[0] == 0
    class_map = read_class_map(args.classes) if args.classes else None
    teacher = TeacherChoice(args.teacher, args.checkpoint, class_map)
    student_config = read_config(args.student)
    options = student_options(args.cfg_options or {}, student_config)
    args.cfg_options = distillation_options(args.cfg_options or {}, student_config, args.unlabeled is not None)
    merge_options(student_config, options)
    teacher_config = read_config(teacher.name) if teacher.is_config else None
    without_labels = args.unlabeled is not None and not can_label(
        teacher, student_config, student_classes(student_config, args.student)
    )
    # DIST compares the classes of a pixel.
    choice = choose_method(args.method, student_config, teacher_config, without_labels and not teacher.knows_one_class)
    name = run_name(Path(args.student.rpartition('::')[2]).name, choice.terms)
    folder = Path(args.work_dir or args.cfg_options.get('work_dir') or f'work_dirs/{name}')
    # MMEngine writes the whole config to the folder under the same name.
    file = folder / 'config' / f'{name}.py'
    text = distillation_config(args.student, teacher, choice.terms, file.parent, args.unlabeled, options)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, text)  # every process writes the same text
    if first:
        print(f'{file}, with the terms of "{choice.terms}": {choice.reason}\n\n{text}')
    args.config, args.terms, args.work_dir = str(file), None, str(folder)
    config = training_config(args)
    if not args.resume:  # a run that has begun has passed
        check_before_training(config, args.views)
    if args.dry_run:
        if first:
            same = '' if args.views else f', or {training_command(args)}'  # tools/train.py stores no views
            print(f'\nnothing was trained (--dry-run); train with the same command without it{same}')
        return
    if args.views:
        start_processes(config)
        config.model.teacher.cache = str(folder / 'cache')
        with stop_signals('the same command makes the other shards'):
            show_cache(config, Request(config.model.teacher.cache, args.views, features='int8'))
    train(config)
    barrier()
    student = folder / 'student' / 'student.pth'
    if is_main_process():
        if not student.is_file():
            raise ConfigError(f'{student.parent} must hold the exported student, but no checkpoint was written')
        line = ProgressLine('validation images', 0, sys.stderr)
        table = outcome_table(config, student, args.before, lambda name, done, total: line.update(done, total))
        line.close('')
        write_atomically(folder / 'outcome.md', table + '\n')
        print(f'\n{table}\n\nstudent for plain MMSegmentation: {student.parent}')
    finish()
