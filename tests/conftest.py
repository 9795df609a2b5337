import os

os.environ.setdefault('OMP_NUM_THREADS', '1')  # subprocesses of tests share the cores with them

import pytest  # noqa: E402
import torch  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

import mmseg_kd  # noqa: E402, F401


@pytest.fixture(autouse=True)
def deterministic():
    torch.manual_seed(0)
    init_default_scope('mmseg')
