_base_ = './_base_/temperature.py'

name = 'temperature_voc12'
candidates = {
    name: dict(config='mmseg_kd::kd/pi_r101_r18_voc12.py', options=options)
    for name, options in _base_._temperatures.items()
}
