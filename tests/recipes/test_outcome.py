import torch
from mmengine.config import Config

from mmseg_kd.recipes import outcome as outcome_module


def test_the_table_compares_with_the_student_before(own, tmp_path, monkeypatch):
    scores = iter([60.0, 40.0, 43.5])
    monkeypatch.setattr(outcome_module, '_miou', lambda *_: next(scores))
    monkeypatch.setattr(outcome_module, 'trained_network', lambda config, checkpoint: torch.nn.Linear(1, 9999))
    monkeypatch.setattr(torch.nn.Linear, 'test_step', None, raising=False)
    config = Config.fromfile(own / 'student.py')
    teacher = dict(config=str(own / 'teacher3.py'), checkpoint=str(own / 'teacher3.pth'))
    config.model = dict(type='Distiller', student=config.model, teacher=teacher, terms=dict())
    rows = outcome_module.outcome_table(config, 'now.pth', 'before.pth').splitlines()[2:]
    cells = [[cell.strip() for cell in row.split('|')[1:-1]] for row in rows]
    assert [row[0] for row in cells] == ['teacher', 'student before', 'student now', 'gain']
    assert [row[2] for row in cells] == ['60.00', '40.00', '43.50', '+3.50']
    assert cells[1][1] == '0.02 M'
