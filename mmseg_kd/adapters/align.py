import torch.nn.functional as F
from torch import Tensor


def align(teacher: Tensor, student: Tensor) -> Tensor:
    """Resize the teacher's map to the student's grid, bilinearly (``align_corners=False``).

    The student is never resized: its map is the one that will be deployed. Anything but two maps (N, C, H, W) is
    returned unchanged.

    Example:
        >>> import torch
        >>> from mmseg_kd.adapters import align
        >>> align(torch.zeros(1, 8, 4, 4), student=torch.zeros(1, 2, 16, 16)).shape
        torch.Size([1, 8, 16, 16])
    """
    if teacher.dim() != 4 or student.dim() != 4 or teacher.shape[2:] == student.shape[2:]:
        return teacher
    return F.interpolate(teacher, size=student.shape[2:], mode='bilinear', align_corners=False)
