import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_kd.distillers import FrozenTeacher, PathError
from mmseg_kd.distillers.batch_norm_folding import fold_batch_norms, output_error
from mmseg_kd.distillers.inference import forward_inference
from mmseg_kd.testing.toys import toy_segmentor

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def trained(module):
    """Statistics and gains as after a training; those of a new network are all zeros and ones."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.normal_(0, 0.3), norm.running_var.uniform_(0.5, 2)
            nn.init.uniform_(norm.weight, -1, 1), nn.init.normal_(norm.bias, 0, 0.3)
    return module.requires_grad_(False).eval()


def norms(module):
    return [name for name, child in module.named_modules() if isinstance(child, nn.BatchNorm2d)]


@pytest.fixture
def network():
    torch.manual_seed(0)
    return trained(MODELS.build(toy_segmentor(4)))


READ = [
    'logits',
    'backbone.layer1.0.bn1',
    'backbone.layer2.0.conv1',
    'backbone.layer3.0.conv1.weight',
    'backbone.layer4.0.bn1.bias',
    'backbone[1]',
]


def test_every_value_stays_the_same_and_read_layers_keep_their_norms(network):
    expected = forward_inference(network, IMAGES, READ)
    expected = {path: value.clone() for path, value in expected.items()}
    every = norms(network.backbone) + norms(network.decode_head)
    folded = fold_batch_norms(network, lambda: forward_inference(network, IMAGES, READ))
    kept = {'backbone.layer2.0.bn1', 'backbone.layer3.0.bn1', 'backbone.layer4.0.bn1'}
    # Auxiliary heads do not run. Every other batch norm follows a convolution.
    assert len(folded) == len(every) - len(kept) and not kept & set(folded)
    assert kept <= set(norms(network))
    assert output_error(expected, forward_inference(network, IMAGES, READ)) < 1e-5


class Shared(nn.Module):
    """A convolution whose output is read twice: by the batch norm and by the sum."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)

    def forward(self, images):
        maps = self.conv(images)
        return maps + self.norm(maps)


class Between(Shared):
    """A layer in place between convolution and batch norm."""

    def forward(self, images):
        return self.norm(self.relu(self.conv(images)))


class Twice(Shared):
    """A convolution with two batch norms."""

    def forward(self, images):
        return self.norm(self.conv(images)) + self.norm(self.conv(2 * images))


@pytest.mark.parametrize('kind', [Shared, Between, Twice])
def test_what_cannot_be_folded_is_left(kind, monkeypatch):
    said = []
    monkeypatch.setattr('mmseg_kd.distillers.batch_norm_folding.print_log', lambda text, *args: said.append(text))
    torch.manual_seed(0)
    network = trained(kind())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert fold_batch_norms(network, lambda: dict(output=network(IMAGES)), 'model.teacher.fold_batch_norm') == []
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert len(said) == (kind is Shared)
    assert not said or said[0].startswith('model.teacher.fold_batch_norm: batch norms are not folded, because an ')


def test_a_teacher_folds_once_for_the_paths_of_its_terms(monkeypatch):
    monkeypatch.setattr('mmseg_kd.distillers.teacher.print_log', lambda *args: None)
    teacher = FrozenTeacher(model=toy_segmentor(4), fold_batch_norm=True)
    torch.manual_seed(0)
    trained(teacher.module)
    expected = forward_inference(teacher.module, IMAGES, ['logits', 'backbone.layer1.0.conv1'])
    expected = {path: value.clone() for path, value in expected.items()}
    teacher.check(['logits', 'backbone.layer1.0.conv1'])  # a distiller does this
    before, state = len(norms(teacher.module)), torch.get_rng_state()
    for path in ('logits', 'backbone.layer1.0.conv1'):
        assert output_error({path: expected[path]}, teacher.read(IMAGES, [path])) < 1e-5
    assert len(norms(teacher.module)) < before and torch.equal(torch.get_rng_state(), state)
    with pytest.raises(PathError, match='folded for backbone.layer1.0.conv1, logits, but "backbone.layer1" is read'):
        teacher.read(IMAGES, ['backbone.layer1'])


def test_a_norm_without_a_scale_of_its_own_is_folded():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, affine=False)).eval()
    network[1].running_mean.normal_()
    network[1].running_var.uniform_(0.5, 2.0)
    images = torch.randn(2, 3, 4, 4)
    expected = network(images)
    with torch.no_grad():
        assert fold_batch_norms(network, lambda: dict(last=network(images))) == ['1']
    assert isinstance(network[1], nn.Identity)
    torch.testing.assert_close(network(images), expected)
