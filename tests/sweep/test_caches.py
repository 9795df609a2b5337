import io
import json

import pytest
from cached_distillation import TERMS, write_config
from studies import LR, board_of, record

from mmseg_kd.cache import TeacherCache
from mmseg_kd.engine.teacher_cache import Request
from mmseg_kd.sweep.budget import measure_step_seconds
from mmseg_kd.sweep.caches import SharedCache, make_caches, make_here, shared_caches, with_caches
from mmseg_kd.sweep.plan import Candidate, load_sweep
from mmseg_kd.sweep.sweep import dry_run

PI = dict(student='logits', teacher='logits', loss=dict(type='PixelWiseKDLoss'))
HINT = dict(student='neck[0]', teacher=['backbone[2]', 'backbone[3]'], loss=dict(type='HintLoss'))
SETTINGS = dict(views=10, logits='float16', features='float16')


@pytest.fixture
def read(tmp_path):
    """Reads a sweep whose candidates have one teacher, another crop, an ensemble, unlabeled images, or no teacher."""
    (tmp_path / 'alone.py').write_text(
        'model = dict(type="EncoderDecoder")\n'
        'optim_wrapper = dict(optimizer=dict(lr=0.1))\ntrain_cfg = dict(max_iters=20)\n'
        'train_dataloader = dict(batch_size=2, sampler=dict(type="InfiniteSampler"), dataset=dict(type="CamVidDataset",'
        ' pipeline=[dict(type="RandomCrop", crop_size=(8, 8))]))\n'
        'val_dataloader = dict(dataset=dict(type="CamVidDataset"), sampler=dict(type="DefaultSampler"))\n'
        'val_cfg = dict()\nval_evaluator = dict(type="IoUMetric")\n'
        'default_hooks = dict(logger=dict(log_metric_by_epoch=False))\n'
    )
    model = dict(
        _delete_=True,
        type='Distiller',
        student=dict(type='EncoderDecoder'),
        teacher=dict(config='t.py', checkpoint='t.pth'),
        terms=dict(loss_pi=PI),
    )
    for name, changed in dict(
        pi={}, hint=dict(terms=dict(loss_pi=PI, loss_hint=HINT)), many=dict(teacher=[model['teacher']] * 2)
    ).items():
        (tmp_path / f'{name}.py').write_text(f"_base_ = './alone.py'\nmodel = {dict(model, **changed)!r}\n")
    candidates = {name: str(tmp_path / f'{name}.py') for name in ('alone', 'pi', 'hint', 'many')}
    crop = {'train_dataloader.dataset.pipeline.0.crop_size': (16, 16)}
    candidates['crop'] = dict(config=candidates['pi'], options=crop)
    candidates['heir'] = dict(config=candidates['pi'], inherit='alone')

    def read(names=tuple(candidates), stages=None, **changes):
        said = dict(
            name='toy',
            work_dir='runs',
            seeds=[0, 1],
            budget=dict(kind='iterations', value=20),
            candidates=candidates,
            stages=stages or [dict(name='final', candidates=list(names))],
            cache=dict(views=10),
        )
        said.update(changes)
        (tmp_path / 'sweep.py').write_text('\n'.join(f'{key} = {value!r}' for key, value in said.items()))
        return load_sweep(str(tmp_path / 'sweep.py'))

    return read


def shown(caches):
    return [(cache.folder, cache.paths, cache.candidates) for cache in caches]


def test_candidates_whose_teachers_give_the_same_share_a_cache_of_all_that_they_read(read, monkeypatch):
    sweep = read()
    assert sweep.cache == SETTINGS
    caches = shared_caches(sweep)
    assert shown(caches) == [
        ('runs/cache/0', ('logits', 'backbone[2]', 'backbone[3]'), ('pi', 'hint', 'heir')),
        ('runs/cache/1', ('logits',), ('many',)),
        ('runs/cache/2', ('logits',), ('crop',)),
    ]
    found = with_caches(sweep, caches).candidates
    folders = {name: candidate.options.get('model.teacher.cache') for name, candidate in found.items()}
    assert folders == dict(
        alone=None, pi='runs/cache/0', hint='runs/cache/0', many=None, crop='runs/cache/2', heir='runs/cache/0'
    )
    assert [member['cache'] for member in found['many'].read().model.teacher] == ['runs/cache/1'] * 2
    assert found['pi'].read().model.teacher.cache == 'runs/cache/0'
    monkeypatch.setattr('mmseg_kd.sweep.sweep._measure', lambda *_: dict.fromkeys(sweep.candidates, 0.5))
    dry_run(sweep, out := io.StringIO())
    assert out.getvalue().splitlines()[-5:] == [
        *map(str, caches),
        'without a cache: alone (no teacher)',
        'the times are those with the teacher itself: a dry run makes no cache',
    ]


@pytest.mark.parametrize('named', [False, True])
def test_a_cache_holds_the_logits_that_label_images(read, tmp_path, named):
    text = (tmp_path / 'pi.py').read_text().replace("'logits'", "'prelogits'").replace("'Distill", "'LabelingDistill")
    two = dict(teacher=dict(deep=dict(config='t.py'), wide=dict(config='t.py')), labels_from='wide.logits')
    (tmp_path / 'pi.py').write_text(text + f'model.update({two!r})\n' * named)
    (cache,) = shared_caches(read(['pi']))
    assert cache.paths == ('wide.logits' if named else 'logits', 'prelogits')
    for key in ('labels_from', 'type'):
        with pytest.raises(ValueError, match=f'stages.tune.space: model.{key} changes what the teacher gives'):
            read(stages=[dict(name='tune', candidates=['pi'], space={f'model.{key}': ['a', 'b']})])


def test_caches_of_a_started_sweep_do_not_change_when_a_candidate_is_added(read):
    before = shared_caches(read(['pi', 'crop']))
    recorded = [dict(key=cache.key, paths=list(cache.paths)) for cache in before]
    assert shown(shared_caches(read(['pi', 'crop', 'hint', 'heir']), recorded)) == [
        ('runs/cache/0', ('logits',), ('pi', 'heir')),
        ('runs/cache/1', ('logits',), ('crop',)),
        ('runs/cache/2', ('logits', 'backbone[2]', 'backbone[3]'), ('hint',)),
    ]


@pytest.mark.parametrize(
    'changes, message',
    [
        (
            dict(stages=[dict(name='tune', candidates=['pi'], space={'model.teacher.scale': [1, 2]})]),
            'stages.tune.space: model.teacher.scale changes what the teacher gives, but cache stores it once for pi; '
            'write a candidate for each value, or remove cache',
        ),
        (
            dict(stages=[dict(name='tune', candidates=['pi'], space={'model.terms.loss_pi.teacher': ['logits']})]),
            'stages.tune.space: model.terms.loss_pi.teacher changes what the teacher gives',
        ),
        (
            dict(
                stages=[
                    dict(name='tune', candidates=['alone'], space={'train_dataloader.dataset.pipeline.0.prob': [0.5]}),
                    dict(name='final', candidates=['heir']),
                ]
            ),
            'stages.tune.space: train_dataloader.dataset.pipeline.0.prob changes .* for heir',
        ),
        (dict(names=['alone']), r'cache is set, but no candidate can use it: alone \(no teacher\); remove cache'),
        (dict(stages=[dict(name='cache', candidates=['pi'])]), "stages: no stage may be named 'cache'"),
        (dict(cache=dict(views=0)), 'cache.views must be a number of views >= 1, but is 0'),
        (dict(cache=dict(views=2, logits='int4')), "cache.logits: an encoding must be .*, but is 'int4'"),
        (dict(cache=dict(logits='int8')), 'cache needs views, and may have features, logits; missing or unknown'),
    ],
    ids=['teacher', 'path', 'inherited', 'none', 'folder', 'views', 'encoding', 'keys'],
)
def test_what_cannot_be_shared_is_refused(read, changes, message):
    with pytest.raises(ValueError, match=message):
        read(**changes)


def test_other_values_may_be_searched(read):
    read(stages=[dict(name='tune', candidates=['pi'], space={LR: [0.1], 'model.terms.loss_pi.weight': [0.1]})])
    # It has no cache, so its data may differ between trials.
    space = {'train_dataloader.dataset.pipeline.0.prob': [0.5]}
    read(stages=[dict(name='tune', candidates=['alone'], space=space), dict(name='final', candidates=['pi'])])


def cost(folder, seconds, size):
    (folder / 'shards').mkdir(parents=True)
    (folder / 'shards' / 'one.json').write_text(json.dumps(dict(seconds=seconds, bytes=size)))


def test_the_table_counts_a_cache_once_beside_the_runs(read, tmp_path):
    sweep = read(['alone', 'pi', 'hint'], budget=dict(kind='seconds', value=60))
    cost(tmp_path / '0', 12.0, 3_000_000)
    board = board_of(sweep)
    without = board.table()
    board.caches = [SharedCache(0, str(tmp_path / '0'), 'key', ('logits',), ('pi', 'hint'), SETTINGS)]
    record(board.studies[0], 0, [50.0, 50.0], 'failed', 'no memory')
    best, costs, table, line, failures = board.table().split('\n\n')
    assert [cell.strip() for cell in table.splitlines()[-1].split('|')[1:-1]] == (
        ['0', 'pi, hint', '10', '3', '12', '4', '3']
    )
    assert line == (
        'stored teacher outputs count once for the whole sweep: 12 s and 3 MB for 4 runs, 3 s for each run, beside '
        'their budget of 60 s each'
    )
    assert failures.startswith('failed:') and 'stored' not in without


def test_a_cache_that_cannot_be_made_ends_the_sweep_with_the_reason(read, tmp_path, monkeypatch):
    monkeypatch.setattr('mmseg_kd.sweep.other_process.ANSWER', 'raise ValueError("no room")')
    sweep, said = read(['pi'], work_dir=str(tmp_path / 'runs')), []
    caches = shared_caches(sweep)

    class Leases:
        descriptors = ()

        def refresh(self):
            pass

        def acquire(self, work):
            said.append(work)
            return self

        def release(self):
            said.append('released')

    with pytest.raises(RuntimeError, match=r'cache 0 of pi is not complete, .* \(exit code 1: ValueError: no room\)'):
        make_caches(sweep, caches, Leases(), 20, 1, said.append)
    assert said == ['toy/cache/0', str(caches[0]), 'released']


def test_what_any_candidate_reads_is_stored_and_steps_are_timed_with_it(tmp_path, monkeypatch):
    config = write_config(tmp_path)
    config.model.terms = dict(loss_pi=TERMS['loss_pi'])
    config.dump(tmp_path / 'pi.py')
    request = Request(str(tmp_path / 'cache'), 1, paths=('logits', 'backbone[2]'))
    said = []
    make_here((Candidate('pi', str(tmp_path / 'pi.py')), request), said.append)
    assert TeacherCache(tmp_path / 'cache').shapes == {'logits': (1, 11, 2, 2), 'backbone[2]': (1, 32, 2, 2)}
    assert said[0].startswith('5 images x 1 views: ')

    monkeypatch.delattr('mmseg_kd.distillers.FrozenTeacher.read')
    config.model.teacher.cache = request.folder
    config.train_cfg = dict(type='IterBasedTrainLoop', max_iters=4)
    config.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
    assert measure_step_seconds(dict(pi=config), warmup=0, rounds=1)['pi'] > 0
