import torch.nn.functional as F
from torch import Tensor


def align(teacher: Tensor, student: Tensor) -> Tensor:
    """Resize the teacher's map to the student's grid, bilinearly (``align_corners=False``).

    The student is never resized: what it computes is what it will be deployed with. Anything but two maps (N, C, H, W)
    is returned as it is.
    """
    if teacher.dim() != 4 or student.dim() != 4 or teacher.shape[2:] == student.shape[2:]:
        return teacher
    return F.interpolate(teacher, size=student.shape[2:], mode='bilinear', align_corners=False)
