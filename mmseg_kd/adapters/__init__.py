from .align import align
from .conv_adapter import BiasedConvAdapter, ConvAdapter, ConvBNAdapter, NoAdapter
from .mlp_adapter import MLPAdapter

__all__ = ['BiasedConvAdapter', 'ConvAdapter', 'ConvBNAdapter', 'MLPAdapter', 'NoAdapter', 'align']
