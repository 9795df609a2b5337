_base_ = 'mmseg::_base_/default_runtime.py'

# With this import, MMSegmentation's stock tools can use this package.
custom_imports = dict(imports=['mmseg_kd'], allow_failed_imports=False)
# A distiller adds the hooks that it needs. List one here only to change its arguments.
custom_hooks = []
# A run is repeated and resumed with the same images; another one is `--cfg-options randomness.seed=1`.
randomness = dict(seed=0)
