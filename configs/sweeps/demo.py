# The protocol of the comparable sweeps on the scenes of handwritten digits. The data and the teacher are those of
# `make demo`, which comes first.
name = 'demo_sweep'
budget = dict(kind='iterations', value=800)
# The best of many runs on one seed is partly luck, so the final results are from other seeds.
seeds = [1, 2, 3]
candidates = dict(
    alone='mmseg_kd::demo/student.py',
    pi='mmseg_kd::sweeps/digits/pi.py',
    pi_pa=dict(config='mmseg_kd::sweeps/digits/pi_pa.py', inherit='pi'),
    pi_ho=dict(config='mmseg_kd::sweeps/digits/pi_ho.py', inherit='pi'),
    pi_ifv=dict(config='mmseg_kd::sweeps/digits/pi_ifv.py', inherit='pi'))
stages = [
    dict(
        name='optimizer',
        candidates=['alone', 'pi'],
        seeds=[0],
        space={
            'optim_wrapper.optimizer.lr': [8e-3, 1.6e-2, 3.2e-2],
            'optim_wrapper.optimizer.weight_decay': [1e-2, 1e-1],
        }),
    dict(
        name='temperature',
        candidates=['pi'],
        seeds=[0],
        space={'model.terms.loss_pi.loss.temperature': [1.0, 2.0, 4.0, 8.0]}),
    dict(
        name='weight_pa', candidates=['pi_pa'], seeds=[0], space={'model.terms.loss_pa.weight': [1e-1, 1.0, 10.0]}),
    dict(
        name='weight_ho', candidates=['pi_ho'], seeds=[0], space={'model.terms.loss_ho.weight': [1e-3, 1e-2, 1e-1]}),
    dict(
        name='weight_ifv', candidates=['pi_ifv'], seeds=[0], space={'model.terms.loss_ifv.weight': [1e-1, 1.0, 10.0]}),
    dict(name='final', candidates=['alone', 'pi', 'pi_pa', 'pi_ho', 'pi_ifv']),
]
