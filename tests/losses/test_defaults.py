"""The defaults of every loss, on which configs that name a loss alone rely, and the limits of its arguments."""

import inspect

import pytest
from loss_examples import LOSSES

DEFAULTS = {
    'APDContextLoss': dict(scale=10.0),
    'APDLoss': dict(context=10.0, prototype=10.0, scale=10.0, head_scale=10.0),
    'AfDCDLoss': dict(reconstruction=2e-06, contrast=0.005, masked=0.75, groups=16, patch=4, pool=4, temperature=0.07),
    'BPKDLoss': dict(edge=100.0, body=20.0, temperature=4.0, kernel=7),
    'CIRKDChannelLoss': dict(
        temperature=0.1, memory_weight=0.1, mse_weight=100.0, size=10000, contrast=2048, pushed=256
    ),
    'CIRKDMemoryLoss': dict(
        temperature=0.1,
        pixel_size=20000,
        region_size=2000,
        pixel_contrast=4096,
        region_contrast=1024,
        pixels_per_class=16,
    ),
    'CIRKDMiniBatchLoss': dict(temperature=0.1, kernel=1, rows=2048),
    'CSCLoss': dict(kernel=2),
    'CWDLoss': dict(temperature=4.0),
    'ChannelFAKDLoss': dict(strength=2.5, temperature=1.0),
    'CosineDSDCategorySimilarityLoss': dict(temperature=4.0),
    'DISTLoss': dict(inter=1.0, intra=1.0, temperature=1.0),
    'DKDLoss': dict(alpha=1.0, beta=2.0, temperature=1.0),
    'DSDCategorySimilarityLoss': dict(temperature=4.0),
    'FAKDLoss': dict(strength=2.5, temperature=1.0),
    'HolisticKDLoss': dict(penalty=10.0),
    'IDDInterClassDistanceLoss': dict(min_pixels=1),
    'KATranslatorLoss': dict(adaptation=50.0, affinity=1.0, sparsity=1e-06),
    'MaskedGenerativeLoss': dict(mask_ratio=0.75),
    'MaxPairWiseKDLoss': dict(kernel=2),
    'PairWiseKDLoss': dict(kernel=2),
    'PixelWiseKDLoss': dict(temperature=1.0),
    'PseudoLabelLoss': dict(class_weight=None),
    'RawHolisticKDLoss': dict(penalty=10.0, critic_scale=0.1),
    'RegionContentLoss': dict(grid=7),
    'SALCAttentionLoss': dict(size=(32, 64), temperature=0.1),
    'SALCContextLoss': dict(side=16),
    'SSTKDStatisticalTextureLoss': dict(levels=8),
    'SSTKDStructuralTextureLoss': dict(levels=2, directions=8),
    'StandardizedKDLoss': dict(temperature=2.0),
    'StrayCIRKDMemoryLoss': dict(
        temperature=0.1,
        pixel_size=20000,
        region_size=2000,
        pixel_contrast=4096,
        region_contrast=1024,
        pixels_per_class=16,
    ),
    'SummedPixelWiseKDLoss': dict(temperature=1.0),
}


@pytest.mark.parametrize('cls', LOSSES, ids=lambda cls: cls.__name__)
def test_the_defaults_are_those_of_the_table(cls):
    found = {
        name: parameter.default
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }
    assert found == DEFAULTS.get(cls.__name__, {})


def test_the_table_names_losses():
    assert DEFAULTS.keys() <= {cls.__name__ for cls in LOSSES}


# The last value that is accepted, and the first one that is not.
ABOVE_ZERO, FROM_ZERO, FROM_ONE = (1e-3, 0.0), (0.0, -1e-3), (1, 0)
LIMITS = {
    'APDContextLoss': dict(scale=ABOVE_ZERO),
    'APDLoss': dict(context=FROM_ZERO, prototype=FROM_ZERO, head_scale=ABOVE_ZERO),
    'AfDCDLoss': dict(groups=FROM_ONE, patch=FROM_ONE, pool=FROM_ONE, masked=FROM_ZERO, temperature=ABOVE_ZERO),
    'BPKDLoss': dict(temperature=ABOVE_ZERO, kernel=(1, -1), edge=FROM_ZERO, body=FROM_ZERO),
    'CIRKDChannelLoss': dict(
        size=FROM_ONE, contrast=FROM_ONE, pushed=FROM_ONE, memory_weight=FROM_ZERO, mse_weight=FROM_ZERO
    ),
    'CIRKDMemoryLoss': dict(
        temperature=ABOVE_ZERO,
        pixel_size=FROM_ONE,
        region_size=FROM_ONE,
        pixel_contrast=FROM_ONE,
        region_contrast=FROM_ONE,
        pixels_per_class=FROM_ONE,
    ),
    'CIRKDMiniBatchLoss': dict(kernel=FROM_ONE, rows=FROM_ONE),
    'CSCLoss': dict(kernel=FROM_ONE),
    'CWDLoss': dict(temperature=ABOVE_ZERO),
    'DISTLoss': dict(temperature=ABOVE_ZERO, inter=FROM_ZERO, intra=FROM_ZERO),
    'DKDLoss': dict(temperature=ABOVE_ZERO, alpha=FROM_ZERO, beta=FROM_ZERO),
    'DSDCategorySimilarityLoss': dict(temperature=ABOVE_ZERO),
    'FAKDLoss': dict(strength=FROM_ZERO, temperature=ABOVE_ZERO),
    'HolisticKDLoss': dict(penalty=FROM_ZERO),
    'IDDInterClassDistanceLoss': dict(min_pixels=FROM_ONE),
    'KATranslatorLoss': dict(adaptation=FROM_ZERO, affinity=FROM_ZERO, sparsity=FROM_ZERO),
    'MaskedGenerativeLoss': dict(mask_ratio=FROM_ZERO),
    'PairWiseKDLoss': dict(kernel=FROM_ONE),
    'PixelWiseKDLoss': dict(temperature=ABOVE_ZERO),
    'RawHolisticKDLoss': dict(critic_scale=ABOVE_ZERO),
    'RegionContentLoss': dict(grid=FROM_ONE),
    'SALCAttentionLoss': dict(temperature=ABOVE_ZERO, size=((1, 1), (1, 0))),
    'SALCContextLoss': dict(side=FROM_ONE),
    'SSTKDStatisticalTextureLoss': dict(levels=(2, 1)),
    'SSTKDStructuralTextureLoss': dict(levels=FROM_ONE, directions=FROM_ONE),
}


@pytest.mark.parametrize(
    'cls, argument, accepted, refused',
    [(cls, name, *ends) for cls in LOSSES for name, ends in LIMITS.get(cls.__name__, {}).items()],
    ids=lambda value: getattr(value, '__name__', value if isinstance(value, str) else None),
)
def test_limits_are_exact(cls, argument, accepted, refused):
    cls(**{argument: accepted})
    with pytest.raises(ValueError, match=f'{cls.__name__}.*{argument}'):
        cls(**{argument: refused})


def test_ratios_of_a_mask_end_at_one():
    losses = {cls.__name__: cls for cls in LOSSES}
    losses['MaskedGenerativeLoss'](mask_ratio=1.0)
    for name, arguments in dict(MaskedGenerativeLoss=dict(mask_ratio=1.001), AfDCDLoss=dict(masked=1.0)).items():
        with pytest.raises(ValueError, match=next(iter(arguments))):
            losses[name](**arguments)
