# The compact network four ways on the scenes of handwritten digits, for the seeds alone. The data and the teacher are
# those of `make demo`, which comes first.
name = 'compact_digits'
budget = dict(kind='iterations', value=800)
seeds = [0, 1, 2]
_ways = ['none', 'feature', 'response', 'both']
_fixed = ['feature_fixed', 'both_fixed']
candidates = {way: f'mmseg_kd::compact/{way}_digits.py' for way in _ways + _fixed}
stages = [dict(name='final', candidates=_ways), dict(name='fixed', candidates=_fixed)]
