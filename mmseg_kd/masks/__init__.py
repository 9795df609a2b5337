from .masked import MaskedLoss
from .on_classes import OnClasses
from .on_confident import OnConfident
from .on_edges import OnBodies, OnEdges
from .on_labeled import OnLabeled

__all__ = ['MaskedLoss', 'OnBodies', 'OnClasses', 'OnConfident', 'OnEdges', 'OnLabeled']
