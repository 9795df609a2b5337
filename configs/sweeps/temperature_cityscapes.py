_base_ = './_base_/temperature.py'

name = 'temperature_cityscapes'
candidates = {
    name: dict(config='mmseg_kd::kd/pi_r101_r18_cityscapes.py', options=options)
    for name, options in _base_._temperatures.items()
}
