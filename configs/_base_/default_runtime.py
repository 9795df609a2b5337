_base_ = 'mmseg::_base_/default_runtime.py'

# Makes the stock tools of MMSegmentation work as well: they import this package before they build anything.
custom_imports = dict(imports=['mmseg_kd'], allow_failed_imports=False)
# The hooks that a distiller needs come by themselves. List one here only to change its arguments.
custom_hooks = []
# A run is repeated and resumed with the same images; another one is `--cfg-options randomness.seed=1`.
randomness = dict(seed=0)
