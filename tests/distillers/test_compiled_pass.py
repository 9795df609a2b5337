import shutil

import pytest
import torch
from mmseg.registry import MODELS
from torch import nn

from mmseg_kd.distillers import FrozenTeacher, compiled_pass
from mmseg_kd.distillers.batch_norm_folding import output_error
from mmseg_kd.distillers.compiled_pass import CompiledPass, replayed
from mmseg_kd.distillers.inference import forward_inference
from mmseg_kd.distillers.teacher import in_precision
from mmseg_kd.testing.toys import toy_segmentor

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
READ = ['inputs', 'backbone[0]', 'backbone.layer2.0.bn1', 'decode_head.conv_seg.weight', 'backbone.layer3']


def recorded(graph, device):
    return graph


@pytest.fixture
def network():
    torch.manual_seed(0)
    return MODELS.build(toy_segmentor(4)).requires_grad_(False).eval()


@pytest.fixture
def said(monkeypatch):
    said = []
    monkeypatch.setattr(compiled_pass, 'print_log', lambda text, *args: said.append(text))
    return said


@torch.no_grad()
def test_a_graph_gives_the_values_of_the_network_and_runs_no_layer_behind_the_deepest(network, said):
    graphs, runs = [], []

    def compiler(graph, device):
        graphs.append(device)
        return lambda images: runs.append(device) or graph(images)

    read = CompiledPass(network, compiler=compiler)
    for images in (IMAGES, IMAGES + 1):
        expected = forward_inference(network, images, READ)
        found = read(images, READ)
        assert found.keys() == expected.keys() and output_error(expected, found) < 1e-6
    assert graphs == ['cpu'] and len(runs) == 3 and not said  # the first values are compared with the network's
    head = []
    network.decode_head.register_forward_hook(lambda *_: head.append(1))
    read(IMAGES, READ)
    assert not head
    # Each precision has a graph of its own.
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert read(IMAGES, ['logits'])['logits'].dtype == torch.bfloat16
    assert graphs == ['cpu', 'cpu']


@pytest.mark.parametrize(
    'dtype, kept, refused', [(None, 1.0005, 1.01), ('bfloat16', 1.05, 1.3), ('float16', 1.05, 1.3)]
)
@torch.no_grad()
def test_a_graph_may_differ_by_the_precision_alone(network, said, dtype, kept, refused):
    for factor, told in ((kept, 0), (refused, 1)):
        read = CompiledPass(
            network, compiler=lambda graph, device: lambda images: {k: factor * v for k, v in graph(images).items()}
        )
        with in_precision(getattr(torch, dtype) if dtype else None, 'cpu'):
            read(IMAGES, ['logits'])
        assert len(said) == told, (factor, said)


@pytest.mark.slow
@torch.no_grad()
def test_what_cannot_be_compiled_runs_as_it_is(network, said, monkeypatch):
    class Reader(nn.Module):
        def forward(self, maps):
            return maps * (maps.max().item() > 0)

    expected = forward_inference(network, IMAGES, ['logits'])
    monkeypatch.setattr(compiled_pass, 'MOST_GRAPHS', 1)
    read = CompiledPass(network, 'model.teacher.compile', compiler=recorded)
    for images in (IMAGES[:1], IMAGES, IMAGES):
        found = read(images, ['logits'])
    assert torch.equal(found['logits'], expected['logits'])
    assert said == [
        'model.teacher.compile: the teacher runs uncompiled for this input; images of (2, 3, 32, 32) would need a graph '
        'beyond the 1 allowed'
    ]
    CompiledPass(network, compiler=lambda graph, device: lambda images: dict(logits=2 * graph(images)['logits']))(
        IMAGES, ['logits']
    )
    assert said[1].endswith('; an output would change by 1 of its largest value')
    network.backbone.maxpool = Reader()
    CompiledPass(network, compiler=recorded)(IMAGES, ['logits'])
    assert 'trac' in said[2]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='torch.compile needs a compiler')
@pytest.mark.parametrize('dtype', [None, 'bfloat16'])
def test_a_compiled_teacher_answers_as_it_did(dtype, said):
    plain, compiled = (FrozenTeacher(model=toy_segmentor(4), dtype=dtype, compile=x) for x in (False, True))
    compiled.module.load_state_dict(plain.module.state_dict())
    for images in (IMAGES, IMAGES + 1):
        expected, found = (teacher.read(images, ['logits', 'backbone[1]']) for teacher in (plain, compiled))
        assert output_error(expected, found) < (1e-5 if dtype is None else 0.03)
        assert {v.dtype for v in found.values()} == {v.dtype for v in expected.values()}
    assert not said and None not in compiled._compiled._graphs.values()
    # The graph has weights of its own: they were folded, cast and packed.
    compiled.module.decode_head.conv_seg.weight.data.zero_()
    assert torch.equal(compiled.read(images, ['logits', 'backbone[1]'])['logits'], found['logits'])
    # Terms keep the values for their backward pass.
    student = torch.zeros_like(found['logits'], requires_grad=True)
    torch.nn.functional.kl_div(student.log_softmax(1), found['logits'].softmax(1)).backward()
    assert student.grad.abs().sum() > 0


def test_a_replayed_graph_gives_copies(monkeypatch):
    memory, runs = torch.zeros(2), []

    def compiled(graph, **options):
        assert options == dict(dynamic=False, mode='reduce-overhead')

        def replay(images):
            memory.copy_(graph(images))
            runs.append(1)
            return dict(logits=memory, features=(memory, 3))

        return replay

    monkeypatch.setattr(compiled_pass.torch, 'compile', compiled)
    read = replayed(lambda images: images * 2, 'cuda')
    first, second = read(torch.tensor([1.0, 2.0])), read(torch.tensor([3.0, 4.0]))
    assert first['logits'].tolist() == first['features'][0].tolist() == [2, 4] and first['features'][1] == 3
    assert second['logits'].tolist() == [6, 8] and len(runs) == 3 + 1  # warm-up, recording and replay, then replays


def test_cuda_graphs_need_a_compiled_teacher():
    with pytest.raises(ValueError, match='model.teacher.cuda_graphs needs a compiled teacher; add compile=True'):
        FrozenTeacher(model=toy_segmentor(), cuda_graphs=True)
