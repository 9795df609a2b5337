# The compact network four ways on the scenes of handwritten digits, for the seeds alone. The data and the teacher are
# those of `make demo`, which comes first.
name = 'compact_digits'
budget = dict(kind='iterations', value=800)
seeds = [0, 1, 2]
_ways = ['none', 'feature', 'response', 'both']
_tuned = ['feature_tuned', 'both_tuned']
candidates = {way: f'mmseg_kd::compact/{way}_digits.py' for way in _ways + _tuned}
stages = [dict(name='final', candidates=_ways), dict(name='tuned', candidates=_tuned)]
