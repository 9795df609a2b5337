import pytest
import torch

from mmseg_kd.engine.publish import publish
from mmseg_kd.io.checkpoint import CheckpointError


def test_kernels_are_halved_and_vectors_keep_every_digit(tmp_path):
    state = {
        'student.w': torch.full((3, 3), 1 / 3),
        'student.bn.running_var': torch.tensor([1e9, 1e-9]),
        'other.w': torch.ones(1),
    }
    torch.save(dict(state_dict=state, optimizer={}, meta=dict(iter=7, seed=1)), tmp_path / 'a.pth')
    size = publish(tmp_path / 'a.pth', tmp_path / 'new' / 'b.pth')
    found = torch.load(tmp_path / 'new' / 'b.pth')
    assert size == (tmp_path / 'new' / 'b.pth').stat().st_size and found['meta'] == dict(iter=7)
    assert list(found['state_dict']) == ['w', 'bn.running_var']
    assert found['state_dict']['w'].dtype == torch.float16 and found['state_dict']['w'][0, 0] == pytest.approx(
        1 / 3, 1e-3
    )
    assert torch.equal(found['state_dict']['bn.running_var'], state['student.bn.running_var'])


def test_a_file_without_weights_is_refused(tmp_path):
    torch.save(dict(meta={}, state_dict={}), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='must hold the weights of a network'):
        publish(tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert not (tmp_path / 'b.pth').exists()
