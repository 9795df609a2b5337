import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_kd.distillers import PathError, Taps
from mmseg_kd.testing.toys import toy_segmentor


@pytest.fixture
def model():
    return MODELS.build(toy_segmentor(4)).eval()


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 32)


def test_reads_modules_items_parameters_logits_prelogits_and_inputs(model, images):
    paths = [
        'backbone.layer3',
        'backbone[2]',
        'backbone[-1]',
        'decode_head.bottleneck',
        'decode_head.conv_seg.weight',
        'prelogits',
        'logits',
        'inputs',
        'decode_head',
    ]
    with Taps(model, paths, images) as values:
        output = model(images, mode='tensor')
    features = model.backbone(images)
    assert torch.equal(values['backbone.layer3'], features[2])
    assert torch.equal(values['backbone[2]'], features[2])
    assert torch.equal(values['backbone[-1]'], features[3])
    assert values['decode_head.conv_seg.weight'] is model.decode_head.conv_seg.weight
    assert torch.equal(values['prelogits'], values['decode_head.bottleneck'])  # dropout is off in eval
    assert torch.equal(values['logits'], output) and torch.equal(values['decode_head'], output)
    assert values['inputs'] is images


def test_reads_the_head_although_its_loss_calls_forward_directly(model, images):
    with Taps(model, ['logits']) as values:
        model.decode_head.predict(model.extract_feat(images), [dict(img_shape=(32, 32))], None)
    assert values['logits'].shape == (2, 4, 4, 4)


def test_prelogits_are_read_behind_the_dropout(model, images):
    model.train()
    with Taps(model, ['prelogits', 'decode_head.bottleneck']) as values:
        model(images, mode='tensor')
    dropped = values['prelogits'] == 0
    assert dropped.any()
    assert torch.allclose(values['prelogits'][~dropped], values['decode_head.bottleneck'][~dropped] / 0.9)


def test_leaves_no_trace_and_holds_nothing(model, images):
    before = [set(module.__dict__) for module in model.modules()]
    with Taps(model, ['logits', 'backbone[0]', 'backbone.layer1']):
        assert 'forward' in model.backbone.__dict__
        model(images, mode='tensor')
    assert [set(module.__dict__) for module in model.modules()] == before


def test_leaves_no_trace_when_the_pass_fails(model):
    with pytest.raises(RuntimeError), Taps(model, ['logits']):
        model(torch.randn(2, 5, 32, 32), mode='tensor')
    assert 'forward' not in model.decode_head.__dict__


def test_restores_a_forward_that_was_replaced_before(model, images):
    original = model.backbone.forward
    model.backbone.forward = replaced = lambda x: original(x)
    with Taps(model, ['backbone[0]']):
        model(images, mode='tensor')
    assert model.backbone.forward is replaced


def test_stops_as_soon_as_everything_is_read(model, images):
    calls = []
    model.backbone.layer2.register_forward_hook(lambda *_: calls.append('layer2'))
    with Taps(model, ['backbone.layer1'], stop_early=True) as values:
        model(images, mode='tensor')
    assert values['backbone.layer1'].shape[1] == 4 and calls == []


def test_a_module_that_runs_twice_is_read_at_its_first_run():

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU()

        def forward(self, x):
            return self.act(self.act(x) + 1)

    model = Twice()
    with Taps(model, ['act']) as values:
        model(torch.zeros(1))
    assert values['act'] == 0


@pytest.mark.parametrize(
    'path, closest',
    [('backbone.layer33', 'backbone.layer3'), ('decode_head.botleneck', 'bottleneck'), ('logit', 'logits')],
)
def test_a_wrong_path_is_refused_with_the_closest_names(model, path, closest):
    with pytest.raises(PathError, match='names no module or parameter') as error:
        Taps(model, [path])
    assert closest in str(error.value)


@pytest.mark.parametrize(
    'path, message',
    [
        ('backbone[7]', r'item 7, but the module holds 4 items, \[0\] to \[3\]'),
        ('backbone[low]', 'item low, but the module holds 4 items'),
        ('backbone.layer1[0]', 'item 0, but the module is one Tensor; leave the index out'),
        ('backbone[1][0]', 'item 0, but item 1 is one Tensor; leave the index out'),
        ('auxiliary_head.conv_seg', 'did not run'),
    ],
)
def test_what_cannot_be_read_says_why(model, images, path, message):
    with pytest.raises(PathError, match=message), Taps(model, [path]):
        model(images, mode='tensor')


def test_a_head_with_extra_outputs_is_read_at_its_first(model, images):
    forward = model.decode_head.forward
    model.decode_head.forward = lambda x: (forward(x), 'extra')
    with Taps(model, ['logits']) as values:
        model(images, mode='tensor')
    assert values['logits'].shape[1] == 4


class Nested(nn.Module):
    """Returns what DPT's backbones do, pairs of a map and a class token, and a dict of maps."""

    def forward(self, x):
        return [(x, x[:, :, 0, 0]), (x + 1, x[:, :, 0, 0] + 1)], dict(low=x + 2, high=(x + 3, x + 4))


@pytest.mark.parametrize('path, more', [('net[0][-1][0]', 1), ('net[1][low]', 2), ("net[1]['high'][1]", 4)])
def test_reads_an_item_of_an_item_and_an_entry_of_a_dict(path, more):
    model = nn.ModuleDict(dict(net=Nested()))
    x = torch.randn(1, 2, 3, 3)
    with Taps(model, [path]) as values:
        model.net(x)
    assert torch.equal(values[path], x + more)


def test_an_entry_that_a_dict_lacks_is_refused_with_those_that_it_has():
    model = nn.ModuleDict(dict(net=Nested()))
    with (
        pytest.raises(PathError, match='asks for item mid, but item 1 holds "high", "low"'),
        Taps(model, ['net[1][mid]']),
    ):
        model.net(torch.randn(1, 2, 3, 3))


@pytest.mark.parametrize('path', ['backbone[0', 'backbone[]', 'backbone[0]layer1', 'decode_head.conv_seg.weight[0]'])
def test_a_malformed_index_is_refused(model, path):
    with pytest.raises(PathError, match='names no module or parameter'):
        Taps(model, [path])
