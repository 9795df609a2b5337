import copy

import mmcv
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import ExponentialMovingAverage
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS as ALL_MODELS
from mmengine.runner import load_checkpoint
from mmseg.apis import inference_model, init_model
from mmseg.registry import MODELS

from mmseg_kd.distillers import CheckpointError, Distiller, PathError
from mmseg_kd.testing.toys import toy_batch, toy_segmentor

PI = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
HINT = dict(student='decode_head.bottleneck', teacher='decode_head.bottleneck', loss=dict(type='HintLoss'))


def build(student=None, teacher=None, **terms):
    return MODELS.build(
        dict(
            type='Distiller',
            student=student or toy_segmentor(4),
            teacher=teacher or dict(model=toy_segmentor(8)),
            terms=terms or dict(loss_pi=PI, loss_hint=HINT),
        )
    )


def optimizer(model, lr=0.01):
    return OptimWrapper(torch.optim.SGD(model.parameters(), lr, momentum=0.9))


def step(model, optim=None, **batch):
    """One training step; its log as numbers."""
    log = model.train_step(toy_batch(**batch), optim or optimizer(model))
    return {name: float(value) for name, value in log.items()}


def backward(model, **batch):
    losses = model(**model.data_preprocessor(toy_batch(**batch), True), mode='loss')
    model.parse_losses(losses)[0].backward()
    return losses


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'teacher.pth'
    torch.save(dict(state_dict=MODELS.build(toy_segmentor(8)).state_dict()), path)
    return str(path)


def test_the_loss_is_the_students_own_plus_the_weighted_terms():
    model = build(loss_a=PI, loss_b=dict(PI, weight=0.5))
    losses = step(model)
    assert losses['loss_b'] == pytest.approx(0.5 * losses['loss_a'])
    parts = [value for name, value in losses.items() if 'loss' in name and name != 'loss']
    assert losses['loss'] == pytest.approx(sum(parts)) and len(parts) == 4


def test_the_students_own_losses_are_those_it_has_without_a_teacher():
    model = build()
    model.student.decode_head.dropout = model.student.auxiliary_head.dropout = None
    data = model.data_preprocessor(toy_batch(), True)
    alone, distilled = model.student(**data, mode='loss'), model(**data, mode='loss')
    assert all(torch.allclose(distilled[name], value) for name, value in alone.items())


def test_the_teacher_is_frozen_for_good(checkpoint):
    model = build(teacher=dict(model=toy_segmentor(8), checkpoint=checkpoint))
    batch, optim = toy_batch(), optimizer(model)
    model.train()
    model.train_step(batch, optim)
    teacher = model.teachers['']
    before = copy.deepcopy(teacher.module.state_dict())
    images = model.data_preprocessor(toy_batch(), True)['inputs']
    first = teacher.read(images, ['logits', 'prelogits'])
    for _ in range(20):
        model.train()
        model.train_step(toy_batch(), optim)
    second = teacher.read(images, ['logits', 'prelogits'])
    assert all(torch.equal(first[path], second[path]) for path in first)  # no dropout, no BatchNorm update
    assert all(torch.equal(before[key], value) for key, value in teacher.module.state_dict().items())
    assert not any(m.training for m in teacher.module.modules())
    assert not any(p.requires_grad or p.grad is not None for p in teacher.module.parameters())


def test_nothing_of_the_teacher_is_in_the_model(checkpoint):
    model = build(teacher=dict(model=toy_segmentor(8), checkpoint=checkpoint))
    optim = optimizer(model)
    model.train_step(toy_batch(), optim)
    module = model.teachers[''].module
    foreign = {id(t) for t in [*module.parameters(), *module.buffers()]}
    average = ExponentialMovingAverage(model)
    for owner in (model, average, copy.deepcopy(model)):
        assert not foreign & {id(t) for t in [*owner.parameters(), *owner.buffers()]}
        assert not any(
            isinstance(m, type(module)) and m is not owner.student for m in owner.modules() if owner is model
        )
    assert not foreign & {id(p) for group in optim.param_groups for p in group['params']}
    assert {key.split('.')[0] for key in model.state_dict()} == {'student', 'terms'}
    size = sum(p.numel() for p in model.student.parameters()) + sum(p.numel() for p in model.terms.parameters())
    assert sum(p.numel() for p in model.parameters()) == size


def test_a_distiller_tests_and_copies_without_its_teachers_files():
    model = build(teacher=dict(config='nowhere.py', checkpoint='nowhere.pth')).eval()
    data = model.data_preprocessor(dict(inputs=toy_batch()['inputs'], data_samples=toy_batch()['data_samples']), False)
    predicted = model(**data, mode='predict')
    assert predicted[0].pred_sem_seg.data.shape == (1, 32, 32)
    copy.deepcopy(model)
    with pytest.raises(FileNotFoundError, match='model.teacher.config: no such config: nowhere.py'):
        model.train_step(toy_batch(), optimizer(model))


def test_a_missing_checkpoint_matters_at_the_first_training_step_only():
    model = build(teacher=dict(model=toy_segmentor(8), checkpoint='nowhere.pth'))
    model.eval()(model.data_preprocessor(toy_batch(), False)['inputs'])
    with pytest.raises(CheckpointError, match='model.teacher.checkpoint: no such checkpoint: nowhere.pth'):
        model.train_step(toy_batch(), optimizer(model))


def count_calls(model, names):
    calls = dict.fromkeys(names, 0)
    for name in names:

        def count(*_, name=name):
            calls[name] += 1

        module = model.get_submodule(name)
        original = module.forward
        module.forward = lambda *a, _f=original, _c=count, **k: (_c(), _f(*a, **k))[1]
    return calls


def test_the_teacher_runs_only_as_deep_as_the_terms_read():
    term = dict(student='backbone[1]', teacher='backbone.layer2', loss=dict(type='AttentionTransferLoss'))
    model = build(loss_at=term)
    teacher = count_calls(
        model.teachers[''].module, ['backbone', 'backbone.layer2', 'backbone.layer3', 'decode_head', 'auxiliary_head']
    )
    model.train_step(toy_batch(), optimizer(model))
    assert teacher == {'backbone': 1, 'backbone.layer2': 1, 'backbone.layer3': 0, 'decode_head': 0, 'auxiliary_head': 0}


def test_every_network_runs_once_whatever_the_number_of_terms():
    model = build(loss_a=PI, loss_b=dict(PI, weight=2.0), loss_hint=HINT)
    teacher = count_calls(model.teachers[''].module, ['backbone', 'decode_head', 'auxiliary_head'])
    student = count_calls(model.student, ['backbone', 'decode_head', 'auxiliary_head'])
    model.train_step(toy_batch(), optimizer(model))
    assert teacher == {'backbone': 1, 'decode_head': 1, 'auxiliary_head': 0}
    assert student == {'backbone': 1, 'decode_head': 1, 'auxiliary_head': 1}


def test_auxiliary_heads_of_the_teacher_run_if_a_term_reads_them():
    path = 'auxiliary_head.conv_seg'
    model = build(loss_aux=dict(PI, student=path, teacher=path))
    teacher = count_calls(model.teachers[''].module, ['backbone', 'decode_head', 'auxiliary_head'])
    model.train_step(toy_batch(), optimizer(model))
    assert teacher == {'backbone': 1, 'decode_head': 0, 'auxiliary_head': 1}


def test_no_wrapper_is_left_and_nothing_is_held_after_the_step():
    model = build()
    model.train_step(toy_batch(), optimizer(model))
    before = [set(m.__dict__) for m in model.modules()]
    assert not any('forward' in m.__dict__ for m in model.modules())
    assert not any('forward' in m.__dict__ for m in model.teachers[''].module.modules())
    model.train_step(toy_batch(), optimizer(model))
    assert [set(m.__dict__) for m in model.modules()] == before


def test_a_term_of_weight_zero_costs_no_teacher():
    model = build(teacher=dict(model=toy_segmentor(8), checkpoint='nowhere.pth'), loss_hint=dict(HINT, weight=0.0))
    assert backward(model)['loss_hint'] == 0
    assert all(p.grad is not None for p in model.terms.parameters())  # DDP waits for all


def test_a_deep_copy_distils_as_the_original_does():
    model = build()
    model.student.decode_head.dropout = model.student.auxiliary_head.dropout = None
    other = copy.deepcopy(model)
    assert step(model) == pytest.approx(step(other))


def test_gradients_accumulate():
    model = build()
    optim = OptimWrapper(torch.optim.SGD(model.parameters(), 0.01), accumulative_counts=2)
    optim.initialize_count_status(model, 0, 4)
    weight = model.student.decode_head.conv_seg.weight
    before = weight.detach().clone()
    step(model, optim)
    assert torch.equal(before, weight)
    step(model, optim)
    assert not torch.equal(before, weight)


def test_bfloat16_autocast_gives_nearly_the_same_losses():
    model = build(loss_pi=PI, loss_hint=HINT)
    model.student.decode_head.dropout = model.student.auxiliary_head.dropout = None
    full = backward(model)
    with torch.autocast('cpu', torch.bfloat16):
        half = backward(model)
    for name in ('loss_pi', 'loss_hint'):
        assert half[name].dtype == torch.float32 and float(half[name]) == pytest.approx(float(full[name]), rel=0.1)


def shallow(channels):
    """A segmentor of one stage, which is traced in a quarter of the time."""
    model = toy_segmentor(channels, auxiliary=False)
    model.backbone.update(num_stages=1, out_indices=(0,), strides=(1,), dilations=(1,))
    model.decode_head.update(in_index=0, in_channels=channels)
    return model


@pytest.mark.parametrize('whole', [True, False])
def test_torch_compile_gives_the_same_losses(whole):
    torch._dynamo.reset()
    model = build(shallow(4), dict(model=shallow(8)))
    model.student.decode_head.dropout = None
    plain = copy.deepcopy(model)
    if whole:
        model.forward = torch.compile(model.forward, backend='eager')
    else:
        model.student.compile(backend='eager')
    first, second = (optimizer(m) for m in (model, plain))
    for seed in range(2):
        assert step(model, first, seed=seed) == pytest.approx(step(plain, second, seed=seed), rel=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_the_teacher_follows_to_the_device():
    model = build().cuda()
    model.train_step(toy_batch(), optimizer(model))
    assert next(model.teachers[''].module.parameters()).is_cuda


def test_the_teacher_follows_the_images():
    model = build()
    teacher = model.teachers['']
    assert teacher.read(torch.zeros(1, 3, 32, 32), ['logits'])['logits'].device.type == 'cpu'
    read = teacher.read(torch.zeros(1, 3, 32, 32, device='meta'), ['logits'])
    assert read['logits'].device.type == 'meta'


def pair(name):
    from mmseg_kd.io.configs import model_config

    model = model_config(f'mmseg::{name}')
    model.pop('pretrained', None)
    model.backbone.pop('init_cfg', None)
    model.data_preprocessor.size = (64, 64)
    return model


R18 = 'pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py'
R101 = 'pspnet/pspnet_r101-d8_4xb2-80k_cityscapes-512x1024.py'
SEGFORMER = 'segformer/segformer_mit-b0_8xb1-160k_cityscapes-1024x1024.py'
SWIN = 'swin/swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512.py'
MOBILENET = 'mobilenet_v2/mobilenet-v2-d8_pspnet_4xb4-160k_ade20k-512x512.py'


@pytest.mark.parametrize('teacher, student', [(R101, R18), (SEGFORMER, R18), (R18, SEGFORMER), (SWIN, MOBILENET)])
def test_any_pair_trains_without_counting_a_channel(teacher, student):
    features = dict(student='backbone[-1]', teacher='backbone[-1]')
    model = build(
        student=pair(student),
        teacher=dict(model=pair(teacher)),
        loss_pi=PI,
        loss_hint=dict(features, loss=dict(type='HintLoss')),
        loss_pre=dict(student='prelogits', teacher='prelogits', loss=dict(type='CWDLoss')),
        loss_ifv=dict(features, loss=dict(type='IFVDLoss')),
    )
    losses = backward(model, size=64)
    assert all(torch.isfinite(value).all() for value in losses.values())
    assert losses['loss_hint'] > 0 and losses['loss_pi'] > 0
    assert all(p.grad is not None for p in model.terms.parameters())


def test_the_adapter_brings_the_student_to_the_teachers_channels():
    model = build()
    (adapter,) = model.terms['loss_hint'].adapters
    assert (adapter.in_channels, adapter.out_channels) == (8, 16)
    assert not list(model.terms['loss_pi'].parameters())


@pytest.mark.parametrize(
    'key, config, error, message',
    [
        (
            'student',
            dict(PI, student='backbone.layer9'),
            PathError,
            r'model.terms.loss_x.student: "backbone.layer9" names no',
        ),
        (
            'teacher',
            dict(PI, teacher='decode_head.bottlenek'),
            PathError,
            r'model.terms.loss_x.teacher: .*decode_head.bottleneck',
        ),
        (
            'tuple',
            dict(HINT, student='backbone'),
            PathError,
            r'model.terms.loss_x.student: "backbone" must be a tensor.*\[0\]',
        ),
        (
            'shape',
            dict(HINT, student='decode_head.conv_seg.weight'),
            ValueError,
            r'model.terms.loss_x: no common shape',
        ),
        (
            'name',
            dict(PI, loss=dict(type='PixelWiseKDLoss'), wieght=1),
            ValueError,
            'model.terms.loss_x.wieght: Term has no argument wieght; did you mean weight?',
        ),
        ('weight', dict(PI, weight='0.1'), ValueError, 'model.terms.loss_x.weight must be a number'),
    ],
)
def test_a_wrong_term_is_one_line_that_names_its_key(key, config, error, message):
    with pytest.raises(error, match=message) as raised:
        build(loss_x=config)
    assert '\n' not in str(raised.value)


def test_different_classes_are_refused():
    with pytest.raises(ValueError, match='loss_pi: .*the student has 4 and the teacher 7; set num_classes'):
        build(teacher=dict(model=toy_segmentor(8, num_classes=7)))


@pytest.mark.parametrize('name, message', [('pi', 'call it loss_pi'), ('decode.loss_ce', 'must not contain a dot')])
def test_names_of_terms_are_checked(name, message):
    with pytest.raises(ValueError, match=message):
        build(**{name: PI})


def test_a_name_that_the_student_logs_is_refused():
    student = toy_segmentor(4)
    model = build(student=student, loss_ce=PI)
    forward = model.student.forward
    model.student.forward = lambda *a, **k: {**forward(*a, **k), 'loss_ce': torch.zeros(())}
    with pytest.raises(ValueError, match='model.terms.loss_ce: the student already logs "loss_ce"'):
        model.train_step(toy_batch(), optimizer(model))


def test_labels_outside_the_classes_are_refused_in_the_first_step():
    model = build()
    with pytest.raises(
        ValueError, match=r'labels must lie in 0\.\.3 or be 255 \(ignored\), but the first batch holds 0\.\.8'
    ):
        model.train_step(toy_batch(num_classes=9), optimizer(model))
    # The number of classes is no class.
    batch = toy_batch()
    batch['data_samples'][0].gt_sem_seg.data[0, 0, 0] = 4
    with pytest.raises(ValueError, match=r'the first batch holds 0\.\.4'):
        model.train_step(batch, optimizer(model))


def test_the_state_holds_what_a_network_omits_and_nothing_twice():
    model = build()
    omitted, renamed = 'backbone.stem.0.weight', 'decode_head.conv_seg.bias'

    def other_names(module, state, prefix, _):
        del state[f'{prefix}{omitted}']
        state[f'{prefix}bias_of_old'] = state.pop(f'{prefix}{renamed}')

    before = model.state_dict()
    model.student._register_state_dict_hook(other_names)
    for prefix in ('', 'module.'):
        state = model.state_dict(prefix=prefix)
        names = {f'{prefix}{name}' for name in before} - {f'{prefix}student.{renamed}'}
        assert state.keys() == names | {f'{prefix}student.bias_of_old'}
        assert torch.equal(state[f'{prefix}student.{omitted}'], before[f'student.{omitted}'])


@pytest.mark.parametrize('ignored', [0, 100])
@pytest.mark.parametrize('cascade', [False, True])
def test_what_the_head_ignores_is_255_to_the_terms(ignored, cascade):
    def network(ignore_index):
        student = toy_segmentor(4)
        student.decode_head.ignore_index = student.auxiliary_head.ignore_index = ignore_index
        if cascade:
            first = dict(student.auxiliary_head, ignore_index=255 if ignore_index == 255 else 7)
            student.update(
                type='CascadeEncoderDecoder',
                num_stages=2,
                decode_head=[
                    first,
                    dict(
                        type='OCRHead',
                        in_channels=32,
                        in_index=3,
                        channels=8,
                        ocr_channels=8,
                        num_classes=4,
                        ignore_index=ignore_index,
                        norm_cfg=dict(type='BN'),
                    ),
                ],
            )
            del student.auxiliary_head
        torch.manual_seed(0)
        ifvd = dict(student='logits', teacher='logits', loss=dict(type='IFVDLoss'))
        return build(student=student, loss_ifvd=ifvd, loss_dkd=dict(ifvd, loss=dict(type='DKDLoss')))

    plain, other = network(255), network(ignored)
    other.teachers = plain.teachers
    data = plain.data_preprocessor(toy_batch(), True)
    if ignored == 0:
        for sample in data['data_samples']:
            labels = sample.gt_sem_seg.data
            labels[labels == 0] = 255
    renamed = copy.deepcopy(data)
    for sample in renamed['data_samples']:
        labels = sample.gt_sem_seg.data
        labels[labels == 255] = ignored
    assert torch.equal(other._labels(renamed['data_samples']), plain._labels(data['data_samples']))
    for model in (plain, other):
        model.student.eval()  # without dropout
    expected = plain(**data, mode='loss')
    if cascade:
        other.student.decode_head[0].ignore_index = ignored  # or its own loss would refuse the labels
    got = other(**renamed, mode='loss')
    for name in ('loss_ifvd', 'loss_dkd'):
        assert expected[name] > 0 and torch.equal(got[name], expected[name])


def test_a_label_that_the_own_loss_does_not_ignore_is_refused_also_if_it_is_255():
    student = toy_segmentor(4)
    student.decode_head.ignore_index = 100
    model = build(student=student, loss_pi=PI)
    with pytest.raises(ValueError, match=r'be 100 \(ignored\), but the first batch holds 0\.\.255; .*seg_pad_val'):
        model(**model.data_preprocessor(toy_batch(), True), mode='loss')


def of_channels(channels, width=4, mean=127.5):
    model = toy_segmentor(width, mean=[mean], std=[64.0], bgr_to_rgb=False)
    model.backbone.in_channels = channels
    return model


@pytest.mark.parametrize('channels', [1, 4])
@pytest.mark.parametrize('padding', [dict(size=(32, 32)), dict(size_divisor=24), dict(size_divisor=1)])
def test_images_of_one_and_of_four_channels_are_distilled_by_whatever_reads_them(channels, padding):
    student, teacher = of_channels(channels), of_channels(channels, 8, mean=100.0)
    for network in (student, teacher):
        del network.data_preprocessor['size']
        network.data_preprocessor.update(padding)
    holistic = dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss'))
    model = build(
        student=student,
        teacher=dict(model=teacher),
        loss_pi=PI,
        loss_ho=holistic,
        loss_ifvd=dict(PI, loss=dict(type='IFVDLoss')),
    )
    assert model.terms['loss_ho'].loss.critic.in_channels == 4 + channels
    batch = toy_batch()
    batch['inputs'] = [torch.randint(0, 256, (channels, 32, 32), dtype=torch.uint8) for _ in range(2)]
    data = model.data_preprocessor(batch, True)
    assert data['inputs'].shape == (2, channels, *([48, 48] if padding == dict(size_divisor=24) else [32, 32]))
    losses = model(**data, mode='loss')
    assert all(torch.isfinite(losses[name]) for name in ('loss_pi', 'loss_ho', 'loss_ifvd')) and losses['loss_pi'] > 0
    read = model.teachers[''].read(data['inputs'], ['inputs'], model.data_preprocessor)['inputs']
    assert torch.allclose(read, data['inputs'] + (127.5 - 100) / 64, atol=1e-5)


def test_a_teacher_of_other_images_is_refused():
    with pytest.raises(
        ValueError, match='those of model.teacher have 3 channels and those of model.student 1; take a teacher'
    ):
        build(student=of_channels(1), teacher=dict(model=toy_segmentor(8)), loss_pi=PI)


def test_the_first_word_of_a_path_names_one_of_several_teachers():
    teacher = dict(model=toy_segmentor(8))
    model = build(teacher=dict(deep=teacher, wide=teacher), loss_pi=dict(PI, teacher='deep.logits'))
    paths = ['deep.logits', 'wide.decode_head.conv_seg', 'deep.backbone[3]']
    assert model._split(paths) == dict(deep=['logits', 'backbone[3]'], wide=['decode_head.conv_seg'])


def test_a_distiller_needs_terms():
    with pytest.raises(ValueError, match='model.terms is empty'):
        MODELS.build(dict(type='Distiller', student=toy_segmentor(4), teacher=dict(model=toy_segmentor(8)), terms={}))


def test_a_preprocessor_that_the_runner_hands_over_serves_a_student_without_one():
    student = toy_segmentor(4)
    preprocessor = student.pop('data_preprocessor')
    model = MODELS.build(
        dict(
            type='Distiller',
            student=student,
            teacher=dict(model=toy_segmentor(8)),
            terms=dict(loss_pi=PI),
            data_preprocessor=preprocessor,
        )
    )
    assert torch.isfinite(model.train_step(toy_batch(), optimizer(model))['loss'])


def test_it_is_registered_where_mmsegmentation_looks():
    assert MODELS.get('Distiller') is Distiller and ALL_MODELS.get('mmseg.Distiller') is Distiller


def test_the_checkpoint_of_a_plain_student_is_loaded_as_the_students_outside_a_runner_too(tmp_path):
    weights = MODELS.build(toy_segmentor(4)).state_dict()
    torch.save(dict(state_dict=weights, meta={}), tmp_path / 'plain.pth')
    model = build(loss_pi=PI)
    load_checkpoint(model, str(tmp_path / 'plain.pth'))
    assert all(torch.equal(value, weights[name]) for name, value in model.student.state_dict().items())
    torch.save({'encoder.weight': torch.ones(1)}, tmp_path / 'other.pth')
    with pytest.raises(CheckpointError, match='holds no weights that fit Distiller: its weights begin with encoder'):
        load_checkpoint(model, str(tmp_path / 'other.pth'))


def test_a_mean_teacher_begins_with_both_networks_at_the_weights_of_a_plain_student():
    weights = MODELS.build(toy_segmentor(4)).state_dict()
    model = MODELS.build(dict(type='MeanTeacher', student=toy_segmentor(4), terms=dict(loss_pi=PI)))
    model.load_state_dict(weights)
    for network in (model.student, model.teacher):
        assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize('kind', ['Distiller', 'CrossPseudoSupervision', 'MeanTeacher'])
@pytest.mark.parametrize('exported', [False, True])
def test_init_model_gives_the_student_with_the_weights_of_either_checkpoint(kind, exported, tmp_path):
    student, pi = toy_segmentor(4), dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
    model = dict(type=kind, student=student, terms=dict(loss_pi=pi))
    if kind == 'Distiller':
        model['teacher'] = dict(config='gone.py', checkpoint='gone.pth')  # inference needs no teacher
    trained = MODELS.build(dict(model, teacher=dict(model=toy_segmentor(8))) if kind == 'Distiller' else model)
    for parameter in trained.student.parameters():
        torch.nn.init.normal_(parameter)
    weights = (trained.student if exported else trained).state_dict()
    torch.save(dict(state_dict=weights, meta=dict(dataset_meta=dict(classes=list('abcd')))), tmp_path / 'x.pth')
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    config = Config(dict(model=model, default_scope='mmseg', test_pipeline=pipeline))
    network = init_model(config, str(tmp_path / 'x.pth'), device='cpu')
    assert type(network).__name__ == 'EncoderDecoder' and network.dataset_meta == dict(classes=list('abcd'))
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in trained.student.state_dict().items())
    mmcv.imwrite(np.full((24, 40, 3), 100, np.uint8), str(tmp_path / 'x.png'))
    found = inference_model(network, str(tmp_path / 'x.png'))
    assert found.pred_sem_seg.shape == (24, 40) and found.seg_logits.shape == (24, 40)


def test_init_model_without_a_checkpoint_keeps_the_preprocessor_of_the_config():
    student = toy_segmentor(4)
    preprocessor = student.pop('data_preprocessor')
    model = dict(type='Distiller', student=student, teacher=dict(), terms=dict(), data_preprocessor=preprocessor)
    network = init_model(Config(dict(model=model)), device='cpu')
    assert network.data_preprocessor.mean.flatten().tolist() == pytest.approx(preprocessor.mean)


def test_a_train_cfg_is_refused():
    with pytest.raises(TypeError, match='train_cfg'):
        MODELS.build(dict(type='Distiller', student=toy_segmentor(4), teacher=dict(), terms=dict(), train_cfg=dict()))


def test_a_critic_that_comes_first_rests_when_its_term_begins():
    weight = dict(type='DelayedWeight', weight=1.0, begin=5)
    term = dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='IDDPositionLoss'), weight=weight)
    model = MODELS.build(
        dict(
            type='Distiller',
            student=toy_segmentor(4),
            teacher=dict(model=toy_segmentor(4)),
            terms=dict(loss_pos=term, loss_pi=dict(student='logits', teacher='logits', loss=dict(type='CWDLoss'))),
        )
    )
    model.move_terms(4, 10)
    assert model.resting_parameters() == []
    model.move_terms(5, 10)
    critic = list(model.terms['loss_pos'].critic.parameters())
    assert critic and list(map(id, model.resting_parameters())) == list(map(id, critic))
