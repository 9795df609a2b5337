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
    paths = ['backbone.layer3', 'backbone[2]', 'backbone[-1]', 'decode_head.bottleneck', 'decode_head.conv_seg.weight',
             'prelogits', 'logits', 'inputs', 'decode_head']
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


@pytest.mark.parametrize('path, closest', [('backbone.layer33', 'backbone.layer3'), ('decode_head.botleneck', 'bottleneck'),
                                           ('logit', 'logits')])
def test_a_wrong_path_is_refused_with_the_closest_names(model, path, closest):
    with pytest.raises(PathError, match='names no module or parameter') as error:
        Taps(model, [path])
    assert closest in str(error.value)


@pytest.mark.parametrize('path, message', [('backbone[7]', 'asks for item 7, but the module returns 4'),
                                           ('backbone.layer1[0]', 'leave the index out'),
                                           ('auxiliary_head.conv_seg', 'did not run')])
def test_what_cannot_be_read_says_why(model, images, path, message):
    with pytest.raises(PathError, match=message), Taps(model, [path]):
        model(images, mode='tensor')


def test_a_head_with_extra_outputs_is_read_at_its_first(model, images):
    forward = model.decode_head.forward
    model.decode_head.forward = lambda x: (forward(x), 'extra')
    with Taps(model, ['logits']) as values:
        model(images, mode='tensor')
    assert values['logits'].shape[1] == 4
