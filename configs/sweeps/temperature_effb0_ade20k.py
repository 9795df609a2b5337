_base_ = './_base_/temperature.py'

name = 'temperature_effb0_ade20k'
candidates = {
    name: dict(config='mmseg_kd::kd/pi_r101_effb0_ade20k.py', options=options)
    for name, options in _base_._temperatures.items()
}
