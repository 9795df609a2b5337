from .encodings import encoding
from .shards import CacheCost, CacheWriter, Shard, TeacherCache, cache_cost, check_fingerprint, free_bytes

__all__ = [
    'CacheCost',
    'CacheWriter',
    'Shard',
    'TeacherCache',
    'cache_cost',
    'check_fingerprint',
    'encoding',
    'free_bytes',
]
