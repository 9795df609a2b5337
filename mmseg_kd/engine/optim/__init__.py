from .bfloat16_optim_wrapper import BFloat16OptimWrapper
from .distill_optim_wrapper_constructor import DistillOptimWrapperConstructor
from .joint_optim_wrapper import JointOptimWrapper

__all__ = ['BFloat16OptimWrapper', 'DistillOptimWrapperConstructor', 'JointOptimWrapper']
