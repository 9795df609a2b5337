from .masked import MaskedLoss
from .on_classes import OnClasses
from .on_confident import OnConfident
from .on_edges import OnBodies, OnEdges
from .on_labelled import OnLabelled

__all__ = ['MaskedLoss', 'OnBodies', 'OnClasses', 'OnConfident', 'OnEdges', 'OnLabelled']
