import subprocess
import sys
import textwrap

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.apis import inference_model, init_model
from mmseg.models import EncoderDecoder
from mmseg.registry import MODELS, TRANSFORMS

from mmseg_kd.distillers import CheckpointError
from mmseg_kd.engine import export_student
from mmseg_kd.engine.export import student_config
from mmseg_kd.testing.toys import toy_runner, toy_segmentor
from mmseg_kd.testing.trees import write_camvid_tree

PI = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))

PLAIN = textwrap.dedent("""
    import json, runpy, sys
    from pathlib import Path
    import yapf.yapflib.yapf_api
    # Neither is needed, and both take seconds.
    sys.modules['transformers'] = None
    yapf.yapflib.yapf_api.FormatCode = lambda text, **_: (text, False)
    import mmseg
    config, weights, work_dir, image = sys.argv[1:]
    tool = str(Path(mmseg.__file__).parent / '.mim' / 'tools' / 'test.py')
    sys.argv = [tool, config, weights, '--work-dir', work_dir, '--show-dir', f'{work_dir}/painted', '--out', f'{work_dir}/maps']
    runpy.run_path(tool, run_name='__main__')
    metrics = json.loads(next(Path(work_dir).glob('*/[0-9]*.json')).read_text())
    assert [len(list(Path(work_dir, name).rglob('*.png'))) for name in ('painted', 'maps')] == [2, 2]
    assert not any(name.split('.')[0] == 'mmseg_kd' for name in sys.modules)
    from mmseg.apis import inference_model, init_model
    answer = inference_model(init_model(config, weights, device='cpu'), image)
    assert answer.pred_sem_seg.shape == answer.ori_shape
    print('mIoU', metrics['mIoU'])
""")


@pytest.fixture
def camvid_config(tmp_path):
    write_camvid_tree(tmp_path / 'camvid')
    root = str(tmp_path / 'camvid')
    pipeline = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
    train = [*pipeline[:2], dict(type='RandomCrop', crop_size=(32, 32)), pipeline[2]]
    loader = dict(batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
    data = dict(
        type='CamVidDataset', data_root=root, data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val')
    )
    test = dict(loader, dataset=dict(data, pipeline=pipeline))
    return Config(
        dict(
            model=dict(
                type='Distiller',
                student=toy_segmentor(4, num_classes=11),
                teacher=dict(model=toy_segmentor(8, num_classes=11)),
                terms=dict(loss_pi=PI),
            ),
            default_scope='mmseg',
            custom_imports=dict(imports=['mmseg_kd'], allow_failed_imports=False),
            work_dir=str(tmp_path / 'work'),
            log_level='WARNING',
            train_dataloader=dict(loader, batch_size=2, dataset=dict(data, pipeline=train)),
            val_dataloader=test,
            test_dataloader=test,
            val_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            test_evaluator=dict(type='IoUMetric', iou_metrics=['mIoU']),
            val_cfg=dict(type='ValLoop'),
            test_cfg=dict(type='TestLoop'),
            train_cfg=dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05)),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=2, by_epoch=False, save_best='mIoU')),
            custom_hooks=[dict(type='ExportStudentHook')],
        )
    )


def test_plain_mmsegmentation_tests_the_exported_student_to_the_same_miou_and_infers_with_it(camvid_config, tmp_path):
    runner = Runner.from_cfg(camvid_config)
    runner.train()
    (best,) = (tmp_path / 'work').glob('best_mIoU_iter_*.pth')
    camvid_config.load_from, camvid_config.experiment_name = str(best), 'export_check'
    expected = Runner.from_cfg(camvid_config).test()['mIoU']
    folder = tmp_path / 'work' / 'student'
    assert sorted(p.name for p in folder.iterdir()) == ['config.py', 'student.pth']
    assert 'mmseg_kd' not in (folder / 'config.py').read_text()
    image = next((tmp_path / 'camvid' / 'img_dir' / 'val').iterdir())
    plain = subprocess.run(
        [
            sys.executable,
            '-W',
            'ignore',
            '-c',
            PLAIN,
            *map(str, (folder / 'config.py', folder / 'student.pth', tmp_path / 'plain', image)),
        ],
        capture_output=True,
        text=True,
    )
    assert plain.returncode == 0, plain.stderr[-2000:]
    assert float(plain.stdout.split('mIoU')[-1]) == pytest.approx(expected, abs=1e-6)


def test_the_exported_weights_are_the_students_alone_and_load_safely(tmp_path):
    model = dict(
        type='Distiller',
        student=toy_segmentor(4),
        teacher=dict(model=toy_segmentor(8)),
        terms=dict(loss_hint=dict(student='backbone[3]', teacher='backbone[3]', loss=dict(type='HintLoss'))),
    )
    runner = toy_runner(model, tmp_path, max_iters=1)
    runner.train()
    export_student(runner.cfg, tmp_path / 'iter_1.pth', tmp_path / 'out')
    saved = torch.load(tmp_path / 'out' / 'student.pth', weights_only=True)
    assert saved['state_dict'].keys() == runner.model.student.state_dict().keys()
    assert saved['meta']['dataset_meta']['classes'] == ('class 0', 'class 1', 'class 2', 'class 3')


def test_the_best_weights_of_a_moving_average_are_exported(tmp_path):
    model = dict(
        type='Distiller', student=toy_segmentor(4), teacher=dict(model=toy_segmentor(8)), terms=dict(loss_pi=PI)
    )
    runner = toy_runner(
        model, tmp_path, max_iters=2, custom_hooks=[dict(type='EMAHook', momentum=0.5), dict(type='ExportStudentHook')]
    )
    runner.train()
    checkpoint = torch.load(tmp_path / 'iter_2.pth', weights_only=False)
    assert not any('teacher' in key for key in [*checkpoint['state_dict'], *checkpoint['ema_state_dict']])
    exported = torch.load(tmp_path / 'student' / 'student.pth', weights_only=True)['state_dict']
    key = 'decode_head.conv_seg.weight'
    assert torch.equal(exported[key], checkpoint['state_dict'][f'student.{key}'])
    assert not torch.equal(exported[key], runner.model.student.state_dict()[key])


def test_a_preprocessor_beside_the_model_goes_along():
    config = Config(dict(model=dict(student=dict(type='EncoderDecoder')), data_preprocessor=dict(type='P')))
    assert student_config(config).model.data_preprocessor.type == 'P'


def test_a_backbone_of_timm_downloads_nothing_when_the_exported_student_is_built():
    backbone = dict(type='TIMMBackbone', model_name='resnet18', pretrained=True)
    config = Config(dict(model=dict(student=dict(type='EncoderDecoder', backbone=backbone))))
    assert student_config(config).model.backbone == dict(backbone, pretrained=False)
    assert config.model.student.backbone.pretrained is True
    del config.model.student.backbone.pretrained  # timm's own default is True
    assert student_config(config).model.backbone.pretrained is False


def test_imports_that_the_student_needs_stay():
    config = Config(
        dict(
            model=dict(student=dict(type='EncoderDecoder')),
            custom_imports=dict(imports=['mmpretrain.models', 'mmseg_kd']),
        )
    )
    assert student_config(config).custom_imports.imports == ['mmpretrain.models']


def test_a_data_set_that_is_more_than_names_and_defaults_stays_and_brings_its_import():
    def exported(dataset, **more):
        config = Config(
            dict(
                model=dict(student=dict(type='EncoderDecoder')),
                test_dataloader=dict(dataset=dataset),
                custom_imports=dict(imports=['mmseg_kd']),
                **more,
            )
        )
        result = student_config(config)
        return result.test_dataloader.dataset, result.get('custom_imports')

    plain, imports = exported(dict(type='CamVidDataset', data_prefix=dict(img_path='i'), metainfo=dict(town='X')))
    assert (
        plain.type == 'BaseSegDataset'
        and plain.metainfo.classes[0] == 'Sky'
        and plain.metainfo.town == 'X'
        and not imports
    )
    wrapped = Config(
        dict(
            model=dict(student=dict(type='EncoderDecoder')),
            test_dataloader=dict(
                dataset=dict(
                    type='ConcatDataset',
                    datasets=[dict(type='RepeatDataset', times=2, dataset=dict(plain, pipeline=['load']))],
                )
            ),
        )
    )
    assert student_config(wrapped).test_pipeline == ['load']
    # Labels are numbered anew, from the classes that the data set knows.
    few = dict(type='CamVidDataset', data_root='r', metainfo=dict(classes=('Sky', 'Road')))
    kept, imports = exported(dict(type='RepeatDataset', times=2, dataset=few))
    assert kept.dataset == few and imports == dict(imports=['mmseg_kd'])
    panoptic = dict(
        type='CocoPanopticSemDataset',
        data_root='r',
        ann_file='a.json',
        pipeline=[dict(type='LoadPanopticSemAnnotations')],
    )
    assert exported(panoptic) == (panoptic, dict(imports=['mmseg_kd']))


def test_what_paints_for_the_stock_tool_goes_along():
    config = student_config(Config(dict(model=dict(student=dict(type='EncoderDecoder')))))
    assert config.default_hooks == dict(visualization=dict(type='SegVisualizationHook'))
    assert config.visualizer.vis_backends == [dict(type='LocalVisBackend')]
    own = dict(
        model=dict(student=dict(type='EncoderDecoder')),
        visualizer=dict(type='V', name='v'),
        default_hooks=dict(visualization=dict(type='P', interval=3), checkpoint=dict(type='CheckpointHook')),
    )
    config = student_config(Config(own))
    assert config.default_hooks == dict(visualization=dict(type='P', interval=3)) and config.visualizer.type == 'V'


def test_a_checkpoint_without_a_student_is_refused_and_nothing_is_written(tmp_path):
    torch.save(dict(state_dict={}), tmp_path / 'c.pth')
    with pytest.raises(ValueError, match='must be a checkpoint of a Distiller'):
        export_student(Config(dict(model=dict(student={}))), tmp_path / 'c.pth', tmp_path / 'out')
    with pytest.raises(CheckpointError, match='no such checkpoint'):
        export_student(Config(dict(model=dict(student={}))), tmp_path / 'none.pth', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


NEW_STYLE = """
from mmengine.config import read_base
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.hooks import CheckpointHook
from mmengine.runner import IterBasedTrainLoop, TestLoop, ValLoop
from mmseg_kd.datasets import CamVidDataset
{imports}
from mmseg.evaluation import IoUMetric
from torch.optim import SGD
from mmseg_kd.distillers import Distiller
from mmseg_kd.losses import PixelWiseKDLoss

with read_base():
    from .parts import *

model = dict(
    type=Distiller, student=student, teacher=dict(config='teacher.py'),
    terms=dict(loss_pi=dict(student='logits', teacher='logits', loss=dict(type=PixelWiseKDLoss))))
train_dataloader = dict(batch_size=2, num_workers=0, sampler=dict(type=InfiniteSampler), dataset=dict(
    type=CamVidDataset, data_root='camvid', data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
    pipeline=[dict(type=LoadImageFromFile), dict(type=LoadAnnotations), dict(type=RandomCrop, crop_size=(32, 32)),
              dict(type=PackSegInputs)]))
test_dataloader = dict(batch_size=1, num_workers=0, sampler=dict(type=DefaultSampler, shuffle=False), dataset=dict(
    type=CamVidDataset, data_root='camvid', data_prefix=dict(img_path='img_dir/val', seg_map_path='ann_dir/val'),
    pipeline=[dict(type=LoadImageFromFile), dict(type=LoadAnnotations), dict(type=PackSegInputs)]))
test_evaluator = dict(type=IoUMetric)
test_cfg = dict(type=TestLoop)
train_cfg = dict(type=IterBasedTrainLoop, max_iters=1)
optim_wrapper = dict(optimizer=dict(type=SGD, lr=0.05))
default_hooks = dict(checkpoint=dict(type=CheckpointHook, by_epoch=False))
default_scope = 'mmseg'
log_level = 'WARNING'
"""
CLASSES = ('EncoderDecoder', 'FCNHead', 'PSPHead', 'ResNetV1c', 'SegDataPreProcessor', 'CrossEntropyLoss')


@pytest.fixture
def new_style(tmp_path, monkeypatch):
    """A config whose types are classes, beside its data and its teacher."""
    write_camvid_tree(tmp_path / 'camvid')
    student = repr(toy_segmentor(4, num_classes=11).to_dict()).replace("'BN'", 'BatchNorm2d')
    for name in CLASSES:
        student = student.replace(f"'{name}'", name)
    imports = [f'from {MODELS.get(name).__module__} import {name}' for name in CLASSES]
    (tmp_path / 'parts.py').write_text(
        '\n'.join([*imports, 'from torch.nn import BatchNorm2d', f'student = {student}'])
    )
    (tmp_path / 'teacher.py').write_text(f'model = {toy_segmentor(8, num_classes=11).to_dict()!r}')
    (tmp_path / 'new.py').write_text(
        NEW_STYLE.format(
            imports='\n'.join(
                f'from {TRANSFORMS.get(name).__module__} import {name}'
                for name in ('LoadImageFromFile', 'LoadAnnotations', 'RandomCrop', 'PackSegInputs')
            )
        )
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path / 'new.py'


def test_a_config_of_the_new_style_trains_and_its_export_holds_names_alone(new_style, tmp_path):
    config = Config.fromfile(new_style)
    config.work_dir = str(tmp_path / 'work')
    assert isinstance(config.model.type, type)
    Runner.from_cfg(config).train()
    folder = tmp_path / 'work' / 'student'
    text = (folder / 'config.py').read_text()
    assert 'mmseg_kd' not in text and '<' not in text
    exported = Config.fromfile(folder / 'config.py')
    assert [exported.model.type, exported.model.backbone.type, exported.model.backbone.norm_cfg.type] == [
        'EncoderDecoder',
        'ResNetV1c',
        'BN',
    ]
    assert [step.type for step in exported.test_pipeline] == ['LoadImageFromFile', 'LoadAnnotations', 'PackSegInputs']
    model = init_model(exported, str(folder / 'student.pth'), device='cpu')
    saved = torch.load(folder / 'student.pth', weights_only=True)['state_dict']
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    image = next((tmp_path / 'camvid' / 'img_dir' / 'val').iterdir())
    assert inference_model(model, str(image)).pred_sem_seg.shape[-2:] == inference_model(model, str(image)).ori_shape


def test_classes_of_other_packages_keep_their_full_names():
    config = Config(dict(model=dict(student=dict(type=EncoderDecoder, backbone=dict(type=OwnBackbone)))))
    model = student_config(config).model
    assert model.type == 'EncoderDecoder' and model.backbone.type == f'{OwnBackbone.__module__}.OwnBackbone'


class OwnBackbone(torch.nn.Module):
    """In no registry."""


def test_a_student_of_ours_brings_the_import_that_it_needs():
    config = Config(dict(model=dict(type='mmseg_kd.Distiller', student=dict(type='CompactEncoder'))))
    assert student_config(config).custom_imports.imports == ['mmseg_kd']


@MODELS.register_module()
class AdaptersOnly(torch.nn.Module):
    """As LoRA does it: a backbone that saves what it trains, and takes all that came before out of the state_dict."""

    def __init__(self, backbone):
        super().__init__()
        self.module = MODELS.build(backbone)
        self._register_state_dict_hook(self._keep_adapters)

    @staticmethod
    def _keep_adapters(module, state, prefix, metadata):
        for key in [key for key in state if 'layer4' not in key]:
            del state[key]

    def forward(self, images):
        return self.module(images)


def test_a_student_that_saves_a_part_of_itself_is_exported_whole(tmp_path):
    student = toy_segmentor(4)
    student.backbone = dict(type='AdaptersOnly', backbone=student.backbone)
    model = dict(type='Distiller', student=student, teacher=dict(model=toy_segmentor(8)), terms=dict(loss_pi=PI))
    runner = toy_runner(model, tmp_path, max_iters=1, custom_hooks=[dict(type='EMAHook', momentum=0.5)])
    runner.train()
    saved = torch.load(tmp_path / 'student' / 'student.pth', weights_only=True)['state_dict']
    network = runner.model.student
    assert len(network.state_dict()) < len(saved)
    whole = {name for name, _ in (*network.named_parameters(), *network.named_buffers())}
    assert saved.keys() == {name for name in whole if not name.startswith('data_preprocessor')}
    checkpoint = torch.load(tmp_path / 'iter_1.pth', weights_only=False)
    for state, prefix in ((checkpoint['state_dict'], 'student.'), (checkpoint['ema_state_dict'], 'module.student.')):
        assert saved.keys() <= {key.removeprefix(prefix) for key in state}
    assert torch.equal(
        saved['backbone.module.layer1.0.conv1.weight'],
        checkpoint['state_dict']['student.backbone.module.layer1.0.conv1.weight'],
    )


def test_a_checkpoint_with_a_part_of_the_student_is_not_exported(tmp_path):
    weights = MODELS.build(toy_segmentor(4)).state_dict()
    weights.pop('backbone.layer1.0.conv1.weight')
    torch.save(dict(state_dict={f'student.{key}': value for key, value in weights.items()}), tmp_path / 'c.pth')
    with pytest.raises(
        CheckpointError,
        match=r'must hold all (\d+) weights of the student, but holds \d+, and not '
        r'backbone.layer1.0.conv1.weight',
    ):
        export_student(Config(dict(model=dict(student=toy_segmentor(4)))), tmp_path / 'c.pth', tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
