_base_ = './views_digits.py'

# The teacher itself, and the baseline, for which no view ever comes back.
name = 'views_digits_live'
cache = None
candidates = dict(
    alone=dict(
        config='mmseg_kd::sweeps/digits/student_few.py',
        options={'optim_wrapper.optimizer.lr': 1.6e-2, 'optim_wrapper.optimizer.weight_decay': 1e-2}))
stages = [dict(name='final', candidates=['alone', 'pi'])]
