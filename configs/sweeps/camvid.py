_base_ = './_base_/comparable.py'

# The protocol of the comparable sweeps on CamVid at 240x180, reduced for two CPU cores: few values, two seeds.
# Train the teacher first: python tools/train.py configs/camvid/r18_camvid.py
name = 'camvid_sweep'
budget = dict(value=300)
seeds = [1, 2]
options = {'train_dataloader.dataset.pipeline.3.crop_size': (128, 128)}

_alone = {'model.data_preprocessor.size': (128, 128)}
# bfloat16 halves the teacher's time on CPUs that support it.
_distilled = {'model.student.data_preprocessor.size': (128, 128), 'model.teacher.dtype': 'bfloat16'}
_pi_file, _ifvd_file = (f'mmseg_kd::camvid/{name}_r18_r18half_camvid.py' for name in ('pi', 'ifvd'))
candidates = dict(
    alone=dict(config='mmseg_kd::camvid/r18half_camvid.py', options=_alone),
    pi=dict(config=_pi_file, options=_distilled),
    pi_pa=dict(config=_pi_file, inherit='pi', options={**_distilled, **_base_._pa}),
    pi_ho=dict(config=_pi_file, inherit='pi', options={**_distilled, **_base_._ho}),
    pi_ifv=dict(config=_ifvd_file, inherit='pi', options=_distilled))
stages = [
    dict(
        name='optimizer',
        candidates=['alone', 'pi'],
        seeds=[0],
        space={'optim_wrapper.optimizer.lr': [2e-3, 4e-3]}),
    dict(name='temperature', candidates=['pi'], seeds=[0], space={'model.terms.loss_pi.loss.temperature': [1.0, 3.0]}),
    dict(name='weight_pa', candidates=['pi_pa'], seeds=[0], space={'model.terms.loss_pa.weight': [1.0, 10.0]}),
    dict(name='weight_ho', candidates=['pi_ho'], seeds=[0], space={'model.terms.loss_ho.weight': [1e-2, 1e-1]}),
    dict(name='weight_ifv', candidates=['pi_ifv'], seeds=[0], space={'model.terms.loss_ifv.weight': [1e-1, 1.0]}),
    dict(name='final', candidates=['alone', 'pi', 'pi_pa', 'pi_ho', 'pi_ifv']),
]
