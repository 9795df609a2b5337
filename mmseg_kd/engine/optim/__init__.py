from .distill_optim_wrapper_constructor import DistillOptimWrapperConstructor
from .joint_optim_wrapper import JointOptimWrapper

__all__ = ['DistillOptimWrapperConstructor', 'JointOptimWrapper']
