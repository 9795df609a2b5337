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
VIT = dict(
    hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=64, patch_size=16
)
EOMT = dict(VIT, num_blocks=1, num_queries=6, num_upscale_blocks=2)
HEAD = dict(out_indices=[1, 2, 3, 4], pool_scales=[1, 2])
STAGES = dict(
    model_type='convnext',
    hidden_sizes=[8, 8, 16, 16],
    depths=[1, 1, 1, 1],
    out_features=['stage1', 'stage2', 'stage3', 'stage4'],
)
# The fourth item is the family of the image processor.
OTHER_KINDS: dict[str, tuple[str, str, dict[str, Any], str]] = dict(
    eomt=('Eomt', 'EomtForUniversalSegmentation', dict(EOMT, num_register_tokens=2), 'Eomt'),
    eomt_dinov3=('EomtDinov3', 'EomtDinov3ForUniversalSegmentation', EOMT, 'Eomt'),
    segformer=(
        'Segformer',
        'SegformerForSemanticSegmentation',
        dict(
            depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16
        ),
        'Segformer',
    ),
    beit=('Beit', 'BeitForSemanticSegmentation', dict(VIT, **HEAD, use_relative_position_bias=True), 'Beit'),
    data2vec=('Data2VecVision', 'Data2VecVisionForSemanticSegmentation', dict(VIT, **HEAD), 'Beit'),
    dpt=(
        'DPT',
        'DPTForSemanticSegmentation',
        dict(VIT, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8] * 4, fusion_hidden_size=8, is_hybrid=False),
        'DPT',
    ),
    upernet=(
        'UperNet',
        'UperNetForSemanticSegmentation',
        dict(
            backbone_config=STAGES, hidden_size=16, auxiliary_channels=8, auxiliary_in_channels=16, pool_scales=[1, 2]
        ),
        'Segformer',
    ),
    mobilevit=(
        'MobileViT',
        'MobileViTForSemanticSegmentation',
        dict(hidden_sizes=[16] * 3, neck_hidden_sizes=[8] * 6 + [16], aspp_out_channels=8, num_attention_heads=2),
        'MobileViT',
    ),
    mobilenet_v2=('MobileNetV2', 'MobileNetV2ForSemanticSegmentation', dict(depth_multiplier=0.25), 'MobileNetV2'),
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
        kind: Family of the network, a key of ``KINDS`` or ``OTHER_KINDS``.
        classes: Class names.
        mean: Mean of the image processor by channel, for images in 0..1.
        std: Std of the image processor by channel, for images in 0..1.
    """
    import transformers

    if kind in KINDS:
        family, network, settings = KINDS[kind]
        processor, settings = family, dict(settings, backbone_config=dict(SWIN))
    else:
        family, network, settings, processor = OTHER_KINDS[kind]
    labels = dict(id2label=dict(enumerate(classes)), label2id={c: i for i, c in enumerate(classes)})
    config = getattr(transformers, f'{family}Config')(**settings, **labels)
    network = getattr(transformers, network)(config)
    for name, parameter in network.named_parameters():
        if parameter.dim() > 1:
            parameter.data.normal_(std=parameter[0].numel() ** -0.5 * (10 if 'class_' in name else 1))
        if name.endswith(('queries_embedder.weight', 'query.weight')) and kind not in ('beit', 'data2vec', 'dpt'):
            parameter.data.normal_(std=3)
    network.save_pretrained(root)
    normalization = {} if kind == 'mobilevit' else dict(image_mean=list(mean), image_std=list(std))
    getattr(transformers, f'{processor}ImageProcessor')(**normalization).save_pretrained(root)
    if kind == 'oneformer':
        _write_tokenizer(Path(root))
    return Path(root)


def _write_tokenizer(root: Path) -> None:
    """Write a tokenizer of CLIP's format that splits words into letters."""
    letters = 'abcdefghijklmnopqrstuvwxyz'
    tokens = [*letters, *(f'{letter}</w>' for letter in letters), 'is</w>', '<|startoftext|>', '<|endoftext|>']
    (root / 'vocab.json').write_text(json.dumps({token: index for index, token in enumerate(tokens)}))
    (root / 'merges.txt').write_text('#version: 0.2\ni s</w>\n')
