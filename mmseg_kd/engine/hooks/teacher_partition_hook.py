from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ..partition_runs import check_teacher_partitions


@HOOKS.register_module()
class TeacherPartitionHook(Hook):
    """Before training: refuse teachers that were trained on another part of the labels than the student gets.

    Such a teacher may have seen labels that the student must not know, and its results would belong to no row of a
    table. What a teacher was trained on stands in its checkpoint; a checkpoint without its config is not judged.

    Raises:
        ValueError: before training, naming the teacher's key and both partitions.
    """

    def before_train(self, runner: Runner) -> None:
        check_teacher_partitions(runner.cfg)
