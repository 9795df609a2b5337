import pytest
from mmseg.registry import DATASETS

from mmseg_kd.io.data_sets import data_set_facts, inner_data_sets

LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')]
GONE = dict(type='CamVidDataset', data_root='/nowhere', data_prefix=dict(img_path='i', seg_map_path='a'), pipeline=LOAD)


@pytest.fixture(scope='module', autouse=True)
def own_classes():
    """What users register: classes that are known when the data set is built, and not before."""
    base = DATASETS.get('BaseSegDataset')

    class TwoClasses(base):
        def __init__(self, count=2, **settings):
            super().__init__(metainfo=dict(classes=tuple(f'kind {i}' for i in range(count))), **settings)

    DATASETS.register_module(module=TwoClasses)
    yield
    DATASETS.module_dict.pop('TwoClasses')


def classes(config):
    return list(data_set_facts(config, 'here')[0]['classes'])


def test_classes_are_asked_of_the_data_set_and_need_no_files(tmp_path):
    assert classes(GONE)[0] == 'Sky' and len(classes(GONE)) == 11
    assert classes(dict(GONE, metainfo=dict(classes=('Car', 'Sky')))) == ['Car', 'Sky']
    (tmp_path / 'classes.txt').write_text('Tree\nRoad\n')
    assert classes(dict(GONE, metainfo=dict(classes=str(tmp_path / 'classes.txt')))) == ['Tree', 'Road']
    own = dict(type='TwoClasses', count=3, data_root='/nowhere', pipeline=LOAD)
    assert classes(own) == ['kind 0', 'kind 1', 'kind 2']


def test_the_palette_follows_the_classes():
    facts, _ = data_set_facts(dict(GONE, metainfo=dict(classes=('Car', 'Sky'))), 'here')
    assert facts['palette'] == [[64, 0, 128], [128, 128, 128]]


@pytest.mark.parametrize(
    'wrap',
    [
        dict(type='RepeatDataset', times=3, dataset=GONE),
        dict(type='ConcatDataset', datasets=[GONE, GONE]),
        dict(
            type='ClassBalancedDataset', oversample_thr=0.1, dataset=dict(type='RepeatDataset', times=2, dataset=GONE)
        ),
    ],
)
def test_wrappers_are_asked_like_others_and_their_configs_stay_as_they_are(wrap):
    before = str(wrap)
    facts, transforms = data_set_facts(wrap, 'here')
    assert facts['classes'][0] == 'Sky'
    assert [type(each).__name__ for each in transforms] == [each['type'] for each in LOAD]
    assert str(wrap) == before


def test_an_attribute_of_the_same_name_is_no_data_set():
    class Named:
        dataset = 'cityscapes'

    assert inner_data_sets(Named()) == [] and inner_data_sets([1, 2]) == []


def test_what_cannot_be_built_is_named():
    with pytest.raises(ValueError, match="the classes of here are unknown: .*'Moon'.* is not a subset of classes"):
        data_set_facts(dict(GONE, metainfo=dict(classes=('Sky', 'Moon'))), 'here')


@pytest.mark.parametrize('kind, first', [('PascalVOCDataset', 'background'), ('PascalContextDataset59', 'aeroplane')])
def test_a_data_set_that_asserts_its_files_is_asked_without_them(kind, first):
    """Whoever labels images of their own by a network of VOC has no VOC."""
    gone = dict(type=kind, data_root='/nowhere', ann_file='list.txt', data_prefix=dict(img_path='i'), pipeline=LOAD)
    for config in (
        gone,
        dict(type='ConcatDataset', datasets=[gone]),
        dict(type='RepeatDataset', times=2, dataset=gone),
    ):
        facts, transforms = data_set_facts(config, 'here')
        assert facts['classes'][0] == first and len(transforms) == 2 and len(facts['palette']) == len(facts['classes'])
    facts, _ = data_set_facts(dict(gone, metainfo=dict(classes=('cat', 'bird'))), 'here')
    known = DATASETS.get(kind).METAINFO
    assert facts['palette'] == [known['palette'][known['classes'].index(name)] for name in ('cat', 'bird')]
