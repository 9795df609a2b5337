from .align import align
from .conv_adapter import ConvAdapter, ConvBNAdapter, NoAdapter
from .mlp_adapter import MLPAdapter

__all__ = ['ConvAdapter', 'ConvBNAdapter', 'MLPAdapter', 'NoAdapter', 'align']
