import mmengine
import pytest
from canaries import poison_pickle, poison_yaml

from mmseg_kd.io.trust import TRUST


@pytest.mark.parametrize(
    'name, poison',
    [('x.pkl', poison_pickle), ('x.pickle', poison_pickle), ('x.yaml', poison_yaml), ('x.yml', poison_yaml)],
)
def test_files_of_data_run_nothing_unless_they_are_trusted(tmp_path, monkeypatch, name, poison):
    poison(tmp_path / name, tmp_path / 'ran')
    with pytest.raises(
        ValueError, match=r'^the (pickle|YAML) file (holds objects that could|could) run code.*--trust-files'
    ):
        mmengine.load(str(tmp_path / name))
    assert not (tmp_path / 'ran').exists()
    monkeypatch.setenv(TRUST, '1')
    mmengine.load(str(tmp_path / name))
    assert (tmp_path / 'ran').exists()


def test_data_that_mmengine_dumps_is_read(tmp_path):
    content = dict(a=(1, 2), b=[0.5, None], c='x')
    for name in ('x.pkl', 'x.yaml'):
        mmengine.dump(content, str(tmp_path / name))
        assert mmengine.load(str(tmp_path / name)) == content


def test_weights_of_a_loss_in_a_file_run_nothing(tmp_path):
    from mmseg.models.losses.utils import get_class_weight

    poison_pickle(tmp_path / 'w.pkl', tmp_path / 'ran')
    with pytest.raises(ValueError, match='could run code'):
        get_class_weight(str(tmp_path / 'w.pkl'))
    assert not (tmp_path / 'ran').exists()
