import pytest

from mmseg_kd.labeling import class_shares, shares_report

SUMMARY = dict(
    classes=['x', 'y'],
    images=dict(
        small=dict(size=[1, 2], share=[1.0, 0.0], void=0.0, confidence=1.0),
        large=dict(size=[2, 3], share=[0.5, 0.0], void=0.5, confidence=0.6),
    ),
)


def test_shares_count_pixels_not_images():
    shares = class_shares(SUMMARY)
    assert shares['share'].tolist() == pytest.approx([5 / 8, 0]) and shares['images'].tolist() == [2, 0]
    assert shares['void'] == pytest.approx(3 / 8) and shares['confidence'] == pytest.approx(0.7)


def test_the_report_says_what_is_rare_and_what_never_occurs():
    images = dict(one=dict(size=[10, 100], share=[0.991, 0.005, 0.0], void=0.004, confidence=0.875))
    table, _, told = shares_report(dict(classes=['x', 'y', 'z'], images=images, unreadable=dict(q='broken'))).partition(
        '\n\n'
    )
    assert [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()[2:]] == [
        ['z', '0.000', '0'],
        ['y', '0.500', '1'],
        ['x', '99.100', '1'],
    ]
    assert told.splitlines() == [
        '1 images; 0.4 % of the pixels are ignored, mean confidence 0.875.',
        '1 images could not be read and have no labels.',
        '1 of 3 classes never occur: students cannot learn them from these labels.',
        '1 classes have less than 1 % of the pixels; wrap the PseudoLabelDataset in '
        "dict(type='ClassBalancedDataset', oversample_thr=...) to repeat the images that hold them.",
    ]
