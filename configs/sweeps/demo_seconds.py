_base_ = './demo.py'

# The candidates of demo.py with the settings that it found, at equal time of training instead of equal iterations. The
# scenes have no augmentation, so one stored view of each is exact.
name = 'demo_seconds'
budget = dict(_delete_=True, kind='seconds', value=60)
cache = dict(views=1)
_pi = {
    'optim_wrapper.optimizer.lr': 3.2e-2,
    'optim_wrapper.optimizer.weight_decay': 1e-1,
    'model.terms.loss_pi.loss.temperature': 2.0
}
candidates = dict(
    _delete_=True,
    alone=dict(
        config='mmseg_kd::demo/student.py',
        options={'optim_wrapper.optimizer.lr': 1.6e-2, 'optim_wrapper.optimizer.weight_decay': 1e-2}),
    pi=dict(config='mmseg_kd::sweeps/digits/pi.py', options=_pi))
stages = [dict(name='final', candidates=['alone', 'pi'])]
