import json

import pytest

from mmseg_kd.models.hf_segmentor import HFSegmentor
from mmseg_kd.testing.hf_networks import KINDS, OTHER_KINDS, _write_tokenizer, write_hf_network


def test_the_tokenizer_knows_the_words_of_the_task(tmp_path):
    _write_tokenizer(tmp_path)
    tokens = json.loads((tmp_path / 'vocab.json').read_text())
    # Every letter, inside of a word and at its end.
    assert all(letter in tokens and f'{letter}</w>' in tokens for letter in 'thetaskissemantic')
    assert sorted(tokens.values()) == list(range(2 * 26 + 3))
    assert (tmp_path / 'merges.txt').read_text().splitlines()[1:] == ['i s</w>']


def test_no_kind_has_two_recipes():
    assert not KINDS.keys() & OTHER_KINDS.keys()


def test_a_written_network_is_read_with_its_classes_and_normalization(tmp_path):
    pytest.importorskip('transformers')
    write_hf_network(tmp_path, 'segformer', ['road', 'car', 'sky'], mean=(0.1, 0.2, 0.3))
    network = HFSegmentor(str(tmp_path))
    assert network.num_classes == 3
    assert network.data_preprocessor.mean.flatten().tolist() == pytest.approx([25.5, 51, 76.5])
