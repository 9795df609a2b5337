from mmengine.config import Config

from mmseg_kd.io.command_line import terms_file
from mmseg_kd.recipes import choose_method


def test_the_default_is_a_method_of_logits_with_its_reason():
    choice = choose_method('auto')
    assert choice.terms == 'cwd_tuned' and '30 % of the gradient' in choice.reason
    (term,) = Config.fromfile(terms_file(choice.terms)).terms.values()
    assert term.student == term.teacher == 'logits' and term.weight == dict(type='GradientShare', share=0.3)


def test_a_named_method_is_taken_as_it_is():
    assert choose_method('cwd') == ('cwd', 'named on the command line')
