_base_ = './_base_/comparable.py'

name = 'comparable_effb0_voc12'
candidates = dict(
    alone='mmseg_kd::kd/effb0_voc12.py',
    pi=dict(config='mmseg_kd::kd/pi_r101_effb0_voc12.py', options=_base_._pi),
    pi_pa=dict(config='mmseg_kd::kd/pi_r101_effb0_voc12.py', options=_base_._pa, inherit='pi'),
    pi_ho=dict(config='mmseg_kd::kd/pi_r101_effb0_voc12.py', options=_base_._ho, inherit='pi'),
    pi_pa_ho=dict(config='mmseg_kd::kd/skd_r101_effb0_voc12.py', inherit=['pi_pa', 'pi_ho']),
    pi_ifv=dict(config='mmseg_kd::kd/ifvd_r101_effb0_voc12.py', inherit='pi'))
