_base_ = './demo.py'

# The candidates of demo.py with the settings that it found, at equal time of training instead of equal iterations.
name = 'demo_seconds'
budget = dict(_delete_=True, kind='seconds', value=60)
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
    pi=dict(config='mmseg_kd::sweeps/digits/pi.py', options=_pi),
    pi_pa=dict(config='mmseg_kd::sweeps/digits/pi_pa.py', options={**_pi, 'model.terms.loss_pa.weight': 1e-1}),
    pi_ho=dict(config='mmseg_kd::sweeps/digits/pi_ho.py', options={**_pi, 'model.terms.loss_ho.weight': 1e-3}),
    pi_ifv=dict(config='mmseg_kd::sweeps/digits/pi_ifv.py', options={**_pi, 'model.terms.loss_ifv.weight': 10.0}))
stages = [dict(name='final', candidates=['alone', 'pi', 'pi_pa', 'pi_ho', 'pi_ifv'])]
