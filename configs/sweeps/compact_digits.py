# The compact network four ways on the scenes of handwritten digits, for the seeds alone. The data and the teacher are
# those of `make demo`, which comes first.
name = 'compact_digits'
budget = dict(kind='iterations', value=800)
seeds = [0, 1, 2]
candidates = {way: f'mmseg_kd::compact/{way}_digits.py' for way in ('none', 'feature', 'response', 'both')}
stages = [dict(name='final', candidates=['none', 'feature', 'response', 'both'])]
