from .align import align
from .conv_adapter import ConvAdapter, ConvBNAdapter, NoAdapter

__all__ = ['ConvAdapter', 'ConvBNAdapter', 'NoAdapter', 'align']
