import os
import subprocess
import sys
from pathlib import Path

import pytest
from cached_distillation import cache, files, write_config

TOOL = Path(__file__).resolve().parents[2] / 'tools' / 'cache_teacher.py'


def run(folder, *command, **environment):
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        capture_output=True,
        text=True,
        env=dict(os.environ, OMP_NUM_THREADS='1', **environment),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.mark.slow
def test_two_connected_processes_make_the_cache_that_one_makes(tmp_path):
    config = write_config(tmp_path)
    config.dump(tmp_path / 'distilled.py')
    whole = cache(config, tmp_path / 'whole', shard_bytes=700)
    options = ['distilled.py', '--views', '2', '--shard-size', '0.0007', '--out']
    launched = ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2', TOOL, *options, 'ranks']
    said = run(tmp_path, *launched, '--launcher', 'pytorch')
    assert "train with: model.teacher=dict(cache='ranks')" in said
    assert files(tmp_path / 'ranks') == files(whole)

    # Tasks of a SLURM array with steps, of which the second comes first.
    numbers = dict(SLURM_ARRAY_TASK_MIN='10', SLURM_ARRAY_TASK_STEP='5', SLURM_ARRAY_TASK_COUNT='2')
    said = run(tmp_path, TOOL, *options, 'array', SLURM_ARRAY_TASK_ID='15', **numbers)
    assert '3 shards are still missing: other processes make them' in said
    run(tmp_path, TOOL, *options, 'array', SLURM_ARRAY_TASK_ID='10', **numbers)
    assert files(tmp_path / 'array') == files(whole)
