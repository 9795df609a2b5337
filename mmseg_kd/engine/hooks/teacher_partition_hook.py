from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.registry import HOOKS

from ..partition_runs import check_teacher_partitions


@HOOKS.register_module()
class TeacherPartitionHook(Hook):
    """Refuse teachers before training if they were trained on another partition of the labels than the student.

    Such a teacher may have seen labels that are hidden from the student, which makes results incomparable. The
    teacher's partition is read from the config in its checkpoint; a checkpoint without a config is not checked.

    Raises:
        ValueError: If the partitions differ; the message names the teacher's key and both partitions.
    """

    def before_train(self, runner: Runner) -> None:
        check_teacher_partitions(runner.cfg)
