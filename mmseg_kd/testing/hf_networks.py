"""Folders with tiny random networks of Hugging Face's ``transformers`` (extra ``hf``), for tests without downloads."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SWIN = dict(
    model_type='swin',
    image_size=64,
    patch_size=4,
    embed_dim=8,
    depths=[1, 1, 1, 1],
    num_heads=[1, 1, 2, 2],
    window_size=4,
    out_features=['stage1', 'stage2', 'stage3', 'stage4'],
)
PIXELS = dict(encoder_feedforward_dim=16, dim_feedforward=16, encoder_layers=1, decoder_layers=2, num_attention_heads=2)
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = dict(
    oneformer=(
        'OneFormer',
        'OneFormerForUniversalSegmentation',
        dict(PIXELS, num_queries=6, conv_dim=32, mask_dim=32, hidden_dim=32, query_dec_layers=1, task_seq_len=24),
    ),
    mask2former=(
        'Mask2Former',
        'Mask2FormerForUniversalSegmentation',
        dict(PIXELS, num_queries=6, feature_size=32, mask_feature_size=32, hidden_dim=32),
    ),
    maskformer=(
        'MaskFormer',
        'MaskFormerForInstanceSegmentation',
        dict(
            fpn_feature_size=32,
            mask_feature_size=32,
            decoder_config=dict(
                model_type='detr',
                d_model=16,
                encoder_layers=1,
                decoder_layers=1,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                encoder_ffn_dim=16,
                decoder_ffn_dim=16,
                num_queries=6,
            ),
        ),
    ),
)


def write_hf_network(
    root: str | Path,
    kind: str,
    classes: Sequence[str],
    mean: Sequence[float] = (0.485, 0.456, 0.406),
    std: Sequence[float] = (0.229, 0.224, 0.225),
) -> Path:
    """Write a random network for ``from_pretrained``, with its image processor and, for OneFormer, a tokenizer.

    Its weights are larger than the library's random ones, with which all queries and pixels would give equal outputs.

    Args:
        root: Folder to write to.
        kind: Family of the network: ``'oneformer'``, ``'mask2former'`` or ``'maskformer'``.
        classes: Class names.
        mean: Mean of the image processor by channel, for images in 0..1.
        std: Std of the image processor by channel, for images in 0..1.
    """
    import transformers

    family, network, settings = KINDS[kind]
    config = getattr(transformers, f'{family}Config')(
        backbone_config=dict(SWIN),
        id2label=dict(enumerate(classes)),
        label2id={c: i for i, c in enumerate(classes)},
        **settings,
    )
    network = getattr(transformers, network)(config)
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(std=parameter[0].numel() ** -0.5 * (10 if 'class_' in name else 1))
    network.model.transformer_module.queries_embedder.weight.data.normal_(std=3)
    network.save_pretrained(root)
    getattr(transformers, f'{family}ImageProcessor')(image_mean=list(mean), image_std=list(std)).save_pretrained(root)
    if kind == 'oneformer':
        _write_tokenizer(Path(root))
    return Path(root)


def _write_tokenizer(root: Path) -> None:
    """Write a tokenizer of CLIP's format that splits words into letters."""
    letters = 'abcdefghijklmnopqrstuvwxyz'
    tokens = [*letters, *(f'{letter}</w>' for letter in letters), 'is</w>', '<|startoftext|>', '<|endoftext|>']
    (root / 'vocab.json').write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (root / 'merges.txt').write_text('#version: 0.2\ni s</w>\n')
