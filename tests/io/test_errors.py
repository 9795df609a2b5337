import torch

from mmseg_kd.io.errors import sentence


def test_expected_errors_are_one_line():
    assert sentence(ValueError('must be > 0,\n  but is -1')) == 'must be > 0, but is -1'


def test_unexpected_errors_name_their_place():
    try:
        {}['model']
    except KeyError as error:
        assert sentence(error).startswith("KeyError: 'model' (") and 'test_errors.py, line 12)' in sentence(error)
    assert sentence(ValueError('')) == 'ValueError: '


def test_too_little_memory_names_the_settings():
    text = sentence(torch.cuda.OutOfMemoryError('CUDA out of memory'))
    assert text.startswith('the GPU is out of memory; lower train_dataloader.batch_size') and 'CUDA' in text
