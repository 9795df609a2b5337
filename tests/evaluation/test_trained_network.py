import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS

from mmseg_kd.evaluation.trained_network import trained_network
from mmseg_kd.io.checkpoint import CheckpointError
from mmseg_kd.testing.toys import toy_segmentor


@pytest.mark.parametrize('model', [toy_segmentor(4), dict(type='Distiller', student=toy_segmentor(4))])
def test_the_weights_of_the_segmentor_or_student_are_loaded_in_eval_mode(tmp_path, model):
    weights = MODELS.build(toy_segmentor(4)).state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'weights.pth')
    network = trained_network(Config(dict(model=model)), str(tmp_path / 'weights.pth'))
    assert not network.training
    assert all(torch.equal(value.cpu(), weights[name]) for name, value in network.state_dict().items())


def test_weights_of_another_network_are_refused(tmp_path):
    torch.save(dict(weight=torch.zeros(1)), tmp_path / 'weights.pth')
    with pytest.raises(CheckpointError, match='holds no weights that fit EncoderDecoder'):
        trained_network(Config(dict(model=toy_segmentor(4))), str(tmp_path / 'weights.pth'))
