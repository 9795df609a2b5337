"""Short explanations of files that are not the expected checkpoint."""

import re
from collections.abc import Iterable
from pathlib import Path

BEGINNINGS = {
    b'version https://git-lfs': 'a pointer of Git LFS; fetch the file itself with `git lfs pull`',
    b'<': 'a web page or another text file; download the checkpoint itself',
    b'#': 'a text file; pass the checkpoint',
    b'\x89HDF': 'an HDF5 file, as Keras writes it',
    b'\x08': 'an ONNX file, or another format that torch.load does not read',
}

# The first pattern that matches a name decides. Bare backbones come last, because most networks contain one.
TOOLBOXES = {
    r'(^|\.)backbone\.bottom_up\.|(^|\.)sem_seg_head\.': 'a network of Detectron2',
    r'(^|\.)(rpn_head|roi_head|bbox_head|panoptic_head|mask_head)\.': 'a detector of MMDetection',
    r'(^|\.)segmentation_head\.': 'a network of segmentation_models_pytorch',
    r'(^|\.)(image_encoder|mask_decoder)\.': 'Segment Anything',
    r'(^|\.)model\.\d+\.(conv|cv\d|m)\.': 'a network of Ultralytics',
    r'(^|\.)embeddings\.|(^|\.)encoder\.(layers?|block|patch_embeddings)\.\d': 'a network of Hugging Face transformers',
    r'(^|\.)(aux_)?classifier\.\d': 'a network of torchvision',
    r'(^|\.)head\.fc\.': 'a classifier of MMPretrain or timm',
    r'^(conv_stem|blocks|stages|stem|patch_embed|cls_token|pos_embed|layers)\b': 'a backbone of timm or its authors',
    r'^(features|conv1|layer1|fc)\b': 'a backbone of torchvision or timm',
}
PRETRAINED = "load it with backbone.init_cfg=dict(type='Pretrained', checkpoint=...)"


def kind_of_file(path: str) -> str:
    """The kind of a file that ``torch.load`` cannot read, with a remedy; empty for an unknown kind.

    Args:
        path: Path of a local file.

    Example:
        >>> from pathlib import Path
        >>> _ = Path('empty.pth').write_bytes(b'')
        >>> kind_of_file('empty.pth')
        'the file is empty'
    """
    if '://' in path:
        return ''
    with open(path, 'rb') as file:
        head = file.read(4096)
    if not head:
        return 'the file is empty'
    if Path(path).suffix == '.safetensors' or head[8:10] == b'{"':
        return 'it is a safetensors file; convert it with torch.save(safetensors.torch.load_file(...))'
    if b'constants.pkl' in head or b'/code/' in head:
        return 'it is a TorchScript archive; save the state_dict of the network instead'
    if head[257:262] == b'ustar':
        return 'it is a tar file, as torch before version 0.4 wrote it; load it with an old torch and save it again'
    return next((f'it is {kind}' for start, kind in BEGINNINGS.items() if head.startswith(start)), '')


def kind_of_weights(found: Iterable[str], wanted: Iterable[str]) -> str:
    """The kind of network that the names of weights belong to, with a remedy.

    Args:
        found: Names of the weights in a file.
        wanted: Names of the weights of the expected network.

    Example:
        >>> kind_of_weights(['segmentation_head.0.weight'], ['decode_head.conv_seg.weight'])
        'it looks like a network of segmentation_models_pytorch; convert its names to those of MMSegmentation'
    """
    found, wanted = set(found), {name.removeprefix('student.') for name in wanted}
    if not found:
        return 'it holds no tensors'
    bare = {re.sub(r'^(state_dict|model|module|state|net|weights|params)\.', '', name) for name in found}
    backbone = {name.removeprefix('backbone.') for name in wanted if name.startswith('backbone.')}
    if all(name.startswith('backbone.') for name in bare) or len(bare & backbone) > len(bare) / 2:
        return f'it is a backbone alone; {PRETRAINED}'
    if bare & wanted:
        return 'it is another network of the same kind; use the config that it was trained with'
    for pattern, kind in TOOLBOXES.items():
        if any(re.search(pattern, name) for name in bare):
            remedy = PRETRAINED if kind.startswith('a backbone') else 'convert its names to those of MMSegmentation'
            return f'it looks like {kind}; {remedy}'
    begins = sorted({name.split('.')[0] for name in bare})
    return (
        f'its weights begin with {", ".join(begins[:5])}{", ..." if len(begins) > 5 else ""}; pass a checkpoint of '
        'this config'
    )
