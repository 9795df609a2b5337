"""Registries of the scope that MMEngine writes into a config that inherits from ``mmseg_kd::``.

All modules of this package register in MMSegmentation's registries, so that configs need no scope. The registries here
are empty children of those: MMEngine looks them up by the name of this module, and finds everything that their parents
have. Without a location, MMEngine would search for one that does not exist, and report that this package is not
installed.
"""

from mmengine.registry import Registry
from mmseg import registry as _parents

for _name in dir(_parents):
    _parent = getattr(_parents, _name)
    if isinstance(_parent, Registry):
        globals()[_name] = Registry(_parent.name, parent=_parent, scope='mmseg_kd', locations=['mmseg_kd'])
