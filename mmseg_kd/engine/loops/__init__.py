from .mckd_loop import MCKDLoop, OwnPartitionMCKDLoop

__all__ = ['MCKDLoop', 'OwnPartitionMCKDLoop']
