"""Segmentation networks of Hugging Face's ``transformers`` as segmentors."""

import difflib
import re
from collections.abc import Sequence
from typing import Any

from mmengine.config import ConfigDict
from mmseg.models import EncoderDecoder
from mmseg.registry import DATASETS, MODELS
from torch import Tensor

from .hf_networks import (
    QUERY_NETWORKS,
    ChosenLogits,
    LogitNetwork,
    QueryNetwork,
    QueryVotes,
    library,
    network_class,
    read_config,
)


@MODELS.register_module(name=['HFSegmentor', 'HFUniversalSegmentor'])
class HFSegmentor(EncoderDecoder):
    r"""A segmentation network of Hugging Face's ``transformers``, for testing, labeling and teaching.

    It may be any network of ``AutoModelForSemanticSegmentation`` (SegFormer, BEiT, Data2Vec, DPT, UPerNet, MobileViT,
    MobileNetV2), which predicts logits of the classes, or OneFormer, Mask2Former, MaskFormer or EoMT (on DINOv2 and
    DINOv3), which predict queries. Each query has a distribution over the classes and "no object", and a mask. The
    score of a class at a pixel sums the votes of the queries:

    .. math:: s_{cp} = \sum_q \mathrm{softmax}_c(z_q) \, \sigma(m_{qp})

    Scores are not probabilities: their sum is more than 1 at a pixel of several masks, and less at a pixel of none. The
    logits of this segmentor are the logarithm of the normalized scores, :math:`\log (s_{cp} / \sum_k s_{kp})`. Their
    softmax gives the normalized scores, as test-time augmentation, confidence thresholds and distillation terms expect,
    and their largest class is that of the scores. The sum of the scores is lost. Scores under 1e-8 count as 1e-8.

    In a path of a term, ``logits`` are the logits at the resolution of the network (for queries, that of their masks),
    and the paths of the network's modules begin with ``backbone.network``. Predictions resize the scores or logits, as
    the library does. Mask2Former's own post-processing first squeezes every mask to 384x384; here masks keep their
    shape.

    The pipeline prepares the images: its ``Resize`` takes the place of the resizing of the library's image processor.
    EoMT, Data2Vec and DPT take square images of one size only. For them, the shorter side of the images is resized to
    that size, windows cover the longer side, and overlapping outputs are averaged; a term can read features of such a
    network only from square images. The class needs the extra ``hf``.

    Args:
        pretrained: A folder written by ``save_pretrained``, or a name on the hub, such as
            ``tue-mps/ade20k_semantic_eomt_large_512``. Weights are loaded here, from safetensors files only, and code
            of a repository never runs: a teacher needs no ``checkpoint``.
        classes: The names of the classes in the order of the data set, or the name of a registered data set. The
            network's classes are brought into that order by their names (without case, spaces, punctuation, and
            synonyms behind a comma); classes that are not named are left out. None keeps the network's own classes.
        task: The task text for OneFormer, or the ids of its tokens where ``pretrained`` has no tokenizer. The other
            networks read none.
        data_preprocessor: The config of the data preprocessor; by default one that normalizes as the library's image
            processor does.
        test_cfg: The test config of any segmentor, with ``mode='whole'`` or ``'slide'``.
        init_cfg: The config of the initialization, as in any MMEngine module.

    Attributes:
        class_names: The network's own names of its classes.

    Raises:
        ImportError: if ``transformers`` is not installed.
        FileNotFoundError: if ``pretrained`` cannot be found, or has no safetensors file.
        ValueError: if ``pretrained`` is another kind of network, has no weights for some layer, lacks a class, or
            cannot tokenize the task.

    Papers: Kerssies et al., "Your ViT is Secretly an Image Segmentation Model" (EoMT; CVPR 2025, arXiv 2503.19108);
    Jain et al., "OneFormer" (CVPR 2023, arXiv 2211.06220); Cheng et al., "Masked-attention Mask Transformer for
    Universal Image Segmentation" (CVPR 2022, arXiv 2112.01527) and "Per-Pixel Classification is Not All You Need for
    Semantic Segmentation" (NeurIPS 2021, arXiv 2107.06278).

    Example:
        >>> teacher = dict(
        ...     model=dict(
        ...         type='HFSegmentor',
        ...         pretrained='nvidia/segformer-b5-finetuned-cityscapes-1024-1024',
        ...         classes='CityscapesDataset'))
    """

    comes_with_weights = True

    def __init__(
        self,
        pretrained: str,
        classes: str | Sequence[str] | None = None,
        task: str | Sequence[int] = 'the task is semantic',
        data_preprocessor: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        config = read_config(pretrained)
        parts: tuple[dict[str, Any], dict[str, Any]]
        network_class(config)
        if config.model_type in QUERY_NETWORKS:
            config.is_training = False  # in training, OneFormer needs texts for its contrastive loss
            parts = dict(type=QueryNetwork, task=task), dict(type=QueryVotes)
        else:
            parts = dict(type=LogitNetwork), dict(type=ChosenLogits)
        super().__init__(
            backbone=dict(parts[0], config=config, pretrained=pretrained),
            decode_head=dict(parts[1], order=_class_order(config.id2label, classes, pretrained)),
            data_preprocessor=data_preprocessor or _read_preprocessing(pretrained),
            test_cfg=ConfigDict(test_cfg or dict(mode='whole')),
            init_cfg=init_cfg,
        )
        self.class_names = [config.id2label[index] for index in self.decode_head.order]

    def encode_decode(self, inputs: Tensor, batch_img_metas: list[dict]) -> Tensor:
        """Logits (N, classes, H, W), at the size of the images."""
        return self.decode_head.at_size(self.extract_feat(inputs), inputs.shape[2:])

    def loss(self, inputs: Tensor, data_samples: list[Any]) -> dict[str, Tensor]:
        """Not available: this network cannot be trained here.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError(
            'HFSegmentor cannot be trained, only tested and distilled from; train '
            'another segmentor, with this one as its teacher'
        )


def _read_preprocessing(pretrained: str) -> dict:
    """A preprocessor config that does what the library's image processor does after resizing."""
    try:
        settings, _ = library().BaseImageProcessor.get_image_processor_dict(pretrained)
    except OSError:
        settings = {}
    # MobileViT's processor does not normalize, and its file says so only by the key of the channel order.
    normalizes = settings.get('do_normalize', 'do_flip_channel_order' not in settings)
    if not settings or (normalizes and not {'image_mean', 'image_std'} <= settings.keys()):
        raise ValueError(
            f'model.data_preprocessor must be given, since {pretrained} has no preprocessor_config.json with '
            'image_mean and image_std'
        )
    levels = 1 / settings.get('rescale_factor', 1 / 255) if settings.get('do_rescale', True) else 1.0
    mean, std = (settings['image_mean'], settings['image_std']) if normalizes else ([0.0] * 3, [1.0] * 3)
    return dict(
        type='SegDataPreProcessor',
        mean=[levels * value for value in mean],
        std=[levels * value for value in std],
        bgr_to_rgb=not settings.get('do_flip_channel_order', False),
        pad_val=0,
        seg_pad_val=255,
    )


def _class_order(labels: dict[int, str], classes: str | Sequence[str] | None, pretrained: str) -> list[int]:
    """The network's index of each class."""
    if classes is None:
        return sorted(labels)
    if isinstance(classes, str):
        dataset = DATASETS.get(classes)
        if dataset is None:
            raise ValueError(f'model.classes must be names of classes or a registered data set, but is "{classes}"')
        classes = dataset.METAINFO['classes']
    known: dict[str, int] = {}
    for name_of in (lambda label: label, lambda label: label.split(',')[0]):
        for index in sorted(labels):
            known.setdefault(_plain(name_of(labels[index])), index)
    missing = [name for name in classes if _plain(name) not in known]
    if missing:
        close = difflib.get_close_matches(missing[0], labels.values(), n=3, cutoff=0.4)
        raise ValueError(
            f'model.classes: {pretrained} has no class {", ".join(missing)} (closest to the first: '
            f'{", ".join(close) or "none"}); give names of its classes, map them '
            'with the class_map of a teacher (tools/distill.py --classes), or take another network'
        )
    return [known[_plain(name)] for name in classes]


def _plain(name: str) -> str:
    return re.sub(r'[\W_]', '', name.lower())
