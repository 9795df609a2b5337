"""Let torchvision's Python part import beside a torch that its compiled part does not fit.

mmpretrain imports torchvision, and registries may hold only a CUDA build of it. Its import then stops at two operators
that the compiled part should have declared. Declaring their schemas is enough for the models and transforms that are
used here. This edits the torchvision of the environment that ``make`` builds, and nothing if it imports as it is.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

DECLARATIONS = """
import torch as _torch
_declared = _torch.library.Library('torchvision', 'DEF')
_declared.define('nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
_declared.define('qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor')
"""

if subprocess.run([sys.executable, '-c', 'import torchvision'], capture_output=True).returncode:
    extension = Path(importlib.util.find_spec('torchvision').submodule_search_locations[0], 'extension.py')
    extension.write_text(extension.read_text() + DECLARATIONS)
    subprocess.run([sys.executable, '-c', 'import torchvision'], check=True)
