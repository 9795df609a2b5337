# All terms with 30 % of the gradient, on the scenes of handwritten digits. Teacher and student differ in width only.
# Nothing is searched. The data and the teacher are those of `make demo`. We have not run all of it.
name = 'tuned_digits'
budget = dict(kind='iterations', value=800)
seeds = [1, 2, 3]
_terms = [
    'pi_tuned', 'cwd_tuned', 'dist_tuned', 'dkd_tuned', 'bpkd_tuned', 'hint_tuned', 'at_tuned', 'cwd_feature_tuned',
    'ifvd_tuned', 'skd_tuned', 'attnfd_tuned', 'afdcd_tuned', 'cwd_at_tuned'
]
candidates = dict(alone='mmseg_kd::demo/student.py')
for _name in _terms:
    candidates[_name] = dict(config='mmseg_kd::_base_/setups/r18_r18quarter_digits.py', terms=_name)
stages = [dict(name='final', candidates=list(candidates))]
