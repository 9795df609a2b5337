"""Every loss in its textbook form: the literal formula, without regard to time and memory.

Similarity maps are stored as a whole, classes and pairs of images are loops, and logarithms are taken of softmax
outputs. Constants are the defaults of the losses. Networks and memories are arguments. A memory is updated one vector
at a time, with the random numbers that the loss would use.
"""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_kd.constants import IGNORE_INDEX
from mmseg_kd.losses.contourlet import pyramid_step, wedges

Maps = tuple[Tensor, ...]

CLASSES = 19


def divergence(student: Tensor, teacher: Tensor, dim: int) -> Tensor:
    """KL(teacher || student) of the softmax of scores over ``dim``."""
    s, t = student.softmax(dim), teacher.softmax(dim)
    return (t * (t.log() - s.log())).sum(dim)


def vectors(x: Tensor) -> Tensor:
    """Maps (N, C, H, W) as one row per pixel, (N H W, C)."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Labels (N, H, W) as maps (N, classes, H, W); 255 is no class."""
    spelled = F.one_hot(labels.where(labels != IGNORE_INDEX, classes), classes + 1)
    return spelled[..., :classes].permute(0, 3, 1, 2).float()


def similarities(x: Tensor) -> Tensor:
    """Cosines of all pairs of columns of (N, C, P), (N, P, P)."""
    x = F.normalize(x, dim=1)
    return x.transpose(1, 2) @ x


# Logits


def pixel_wise(student: Tensor, teacher: Tensor) -> Tensor:
    return divergence(student, teacher, dim=1).mean()


def summed_pixel_wise(student: Tensor, teacher: Tensor) -> Tensor:
    return divergence(student, teacher, dim=1).mean((1, 2)).sum()


def standardized(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = ((x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True) for x in (student, teacher))
    return 4 * divergence(s / 2, t / 2, dim=1).mean()


def channel_wise(student: Tensor, teacher: Tensor) -> Tensor:
    return 16 * divergence(student.flatten(2) / 4, teacher.flatten(2) / 4, dim=2).mean()


def probability_mse(student: Tensor, teacher: Tensor) -> Tensor:
    return (student.softmax(1) - teacher.softmax(1)).pow(2).mean()


def pseudo_label(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    likelihood = (student.softmax(1).log() * one_hot(teacher.argmax(1), CLASSES)).sum(1)
    return -likelihood[labels != IGNORE_INDEX].mean()


def image_semantic(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (F.adaptive_avg_pool2d(x, 1) for x in (student, teacher))
    return (s - t).abs().mean()


def adaptive_cross_entropy(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    right = (teacher.argmax(1) == labels)[:, None]
    target = torch.where(right, teacher.softmax(1), one_hot(labels, student.shape[1]).to(teacher))
    return -(target * student.softmax(1).log()).sum(1)[labels != IGNORE_INDEX].mean()


def decoupled(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Like the published code, which subtracts 1000 from the logit of the label."""
    valid = (labels != IGNORE_INDEX).flatten()
    rows = [vectors(x)[valid] for x in (student, teacher)]
    labeled = vectors(one_hot(labels, student.shape[1]))[valid].to(student)
    parts = []
    for x in rows:
        p = x.softmax(1)
        parts.append(torch.stack([(p * labeled).sum(1), (p * (1 - labeled)).sum(1)], dim=1))
    target = (parts[1] * (parts[1].log() - parts[0].log())).sum(1)
    s, t = ((x - 1000 * labeled).log_softmax(1) for x in rows)
    return (target + 2 * (t.exp() * (t - s)).sum(1)).mean()


def stronger_teacher(student: Tensor, teacher: Tensor) -> Tensor:
    def correlation(x: Tensor, y: Tensor) -> Tensor:
        x, y = x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True)
        return (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1))

    s, t = (vectors(x).softmax(1) for x in (student, teacher))
    return 1 - correlation(s, t).mean() + 1 - correlation(s.t(), t.t()).mean()


def consistency(student: Tensor, teacher: Tensor) -> Tensor:
    def variation(x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        total, neighbors = x.new_zeros(len(x), height, width), x.new_zeros(height, width)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                here = slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx))
                there = slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx))
                if dy or dx:
                    total[(..., *here)] += (x[(..., *here)] - x[(..., *there)]).norm(dim=1)
                    neighbors[here] += 1
        return total / neighbors

    return (variation(student) - variation(teacher)).pow(2).mean()


def boundary_privileged(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """All classes at once, at the resolution of the labels."""
    classes, size = student.shape[1], student.shape[2:]
    spelled = one_hot(labels, classes)
    edges = F.max_pool2d(spelled, 7, 1, 3) - -F.max_pool2d(-spelled, 7, 1, 3)
    valid = F.interpolate(labels[:, None].float(), size=size, mode='nearest')[:, 0] != IGNORE_INDEX
    edges = F.adaptive_avg_pool2d(edges, size).to(student) * valid[:, None]
    pixels = divergence(edges * student / 4, edges * teacher / 4, dim=1)
    edge = body = 0
    for k in range(classes):
        edge = edge + ((edges[:, k] * pixels).sum((1, 2)) / edges[:, k].sum((1, 2)).clamp_min(1)).sum()
    for n in range(len(student)):
        if valid[n].any():
            s, t = ((1 - edges[n, :, valid[n]]) * x[n, :, valid[n]] / 4 for x in (student, teacher))
            body = body + divergence(s, t, dim=1).sum() / classes
    return 16 * (100 * edge + 20 * body) / len(student)


def category_similarity(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = ((F.avg_pool2d(x, 2, ceil_mode=True).flatten(2) / 4).softmax(2) for x in (student, teacher))
    return (s @ s.transpose(1, 2) - t @ t.transpose(1, 2)).pow(2).mean()


def cosine_category_similarity(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = ((F.avg_pool2d(x, 2, ceil_mode=True).flatten(2) / 4).softmax(2) for x in (student, teacher))
    return (similarities(s.transpose(1, 2)) - similarities(t.transpose(1, 2))).pow(2).mean()


def feature_augmented(student: Maps, teacher: Tensor, labels: Tensor, statistics: nn.Module) -> Tensor:
    """C x C numbers per pixel at once; statistics class by class."""
    valid = labels.flatten() != IGNORE_INDEX
    labels = labels.flatten()[valid]
    features, targets = vectors(student[0])[valid], vectors(teacher)[valid]
    weight, tables = student[1].flatten(1), []
    for k in range(len(weight)):
        if (labels == k).any():
            _show(statistics, k, features[labels == k].detach())
        spread = statistics.variance[k].clone() * (weight[None] - weight[:, None]).pow(2)
        tables.append(2.5 / 2 * spread.sum(2))
    z, q = features @ weight.t() + student[2], targets.softmax(1)
    bounds = (z[:, None] + torch.stack(tables)[labels]).exp().sum(2).log()
    return (q * (q.log() - z + bounds)).sum(1).mean()


def channel_feature_augmented(student: Maps, teacher: Tensor, labels: Tensor, statistics: nn.Module) -> Tensor:
    """Class map by class map, image by image."""
    features, weight, bias = student[0], student[1].flatten(1), student[2]
    for k in present(labels):
        _show(statistics, k, vectors(features)[labels.flatten() == k].detach())
    total = 0
    for image, target, y in zip(features, teacher, labels):
        valid = y != IGNORE_INDEX
        for c in range(len(weight)):
            z, spread = weight[c] @ image[:, valid] + bias[c], statistics.variance[y[valid]].clone() @ weight[c].pow(2)
            q = target[c][valid].softmax(0)
            total = total + (q * (q.log() - z)).sum() + (z + 2.5 / 2 * spread).exp().sum().log()
    return total / (len(teacher) * len(weight))


def _show(statistics: nn.Module, k: int, features: Tensor) -> None:
    statistics.count[k] += len(features)
    share = len(features) / statistics.count[k]
    shift = features.mean(0) - statistics.mean[k]
    variance = features.var(0, unbiased=False)
    statistics.variance[k] += share * (variance - statistics.variance[k]) + share * (1 - share) * shift**2
    statistics.mean[k] += share * shift


# Auxiliary modules: one pass for each use, without frozen parameters


def holistic(student: Maps, teacher: Tensor, critic: nn.Module) -> Tensor:
    fake, real = _seen(student, teacher)
    share = torch.rand(len(real), 1, 1, 1, dtype=real.dtype)
    between = (share * real + (1 - share) * fake).detach().requires_grad_()
    own = -critic(fake).mean() + critic(fake.detach()).mean() - critic(real).mean()
    (slope,) = torch.autograd.grad(critic(between).mean((1, 2, 3)).sum(), between, create_graph=True)
    return own + 10 * (slope.flatten(1).norm(dim=1) - 1).pow(2).mean()


def hinge_holistic(student: Maps, teacher: Tensor, critic: nn.Module) -> Tensor:
    fake, real = _seen(student, teacher)
    own = -critic(fake).mean()
    return own + F.relu(1 - critic(real)).mean() + F.relu(1 + critic(fake.detach())).mean()


def raw_holistic(student: Tensor, teacher: Tensor, critic: nn.Module) -> Tensor:
    share = torch.rand(len(teacher), 1, 1, 1, dtype=teacher.dtype)
    between = (share * teacher + (1 - share) * student).detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    penalty = 10 * (slope.flatten(1).norm(dim=1) - 1).pow(2).mean()
    return -critic(student).mean() + 0.1 * (critic(student.detach()).mean() - critic(teacher).mean() + penalty)


def _seen(student: Maps, teacher: Tensor) -> tuple[Tensor, Tensor]:
    logits, images = student
    images = F.interpolate(images.detach(), size=logits.shape[2:], mode='bilinear')
    return tuple(torch.cat([images, x.softmax(1)], dim=1) for x in (logits, teacher))


def position(student: Tensor, teacher: Tensor, critic: nn.Module) -> Tensor:
    height, width = student.shape[2:]
    rows, columns = (torch.linspace(0, 1, side, dtype=student.dtype) for side in (height, width))
    target = torch.stack([columns.repeat(height, 1), rows[:, None].repeat(1, width)])[:, 1:-1, 1:-1]
    return (critic(student) - critic(teacher)).pow(2).mean() + (critic(teacher) - target).pow(2).mean()


def translator(student: Tensor, teacher: Tensor, critic: nn.Module, adapters: Iterable[nn.Module]) -> Tensor:
    code = critic.encoder.eval()(teacher).detach()
    adaptation, affinity = (adapter(student) for adapter in adapters)
    own = 50 * knowledge_adaptation(adaptation, code) + knowledge_affinity(affinity, code)
    code = critic.encoder.train()(teacher)
    return own + (critic.decoder(code) - teacher).pow(2).mean() + 1e-6 * code.abs().mean()


def adaptive_perspective(student: Tensor, teacher: Tensor, labels: Tensor, critic: nn.Module) -> Tensor:
    code = critic(teacher).detach()
    own = 10 * perspective_context(student, code, labels) + 10 * perspective_prototype(student, code, labels)
    code, valid = critic(teacher), (labels != IGNORE_INDEX).flatten()
    prototypes = perspective_prototypes(code, labels)
    # A class that does not occur has the score 0.
    scores = code.new_zeros(int(valid.sum()), CLASSES)
    scores[:, present(labels)] = 10 * vectors(F.normalize(code))[valid] @ prototypes.t()
    return own - scores.softmax(1).log()[torch.arange(len(scores)), labels.flatten()[valid]].mean()


# Features, pixel by pixel


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    return (student - teacher).pow(2).mean()


def cosine_feature(student: Tensor, teacher: Tensor) -> Tensor:
    return (1 - (F.normalize(student) * F.normalize(teacher)).sum(1)).mean()


def projected_cosine(student: Tensor, teacher: Tensor, projections: Iterable[nn.Module]) -> Tensor:
    (projection,) = projections
    return cosine_feature(student, projection(teacher))


def knowledge_adaptation(student: Tensor, teacher: Tensor) -> Tensor:
    return (F.normalize(student) - F.normalize(teacher)).abs().sum(1).mean()


def attention(x: Tensor) -> Tensor:
    return F.normalize(x.pow(2).mean(1).flatten(1))


def attention_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    return (attention(student) - attention(teacher)).pow(2).mean()


def attention_transfer_norm(student: Tensor, teacher: Tensor) -> Tensor:
    return (attention(student) - attention(teacher)).norm(dim=1).mean()


def attention_guided(student: Tensor, teacher: Tensor, refiners: Iterable[nn.Module]) -> Tensor:
    (refine,) = refiners
    s, t = (x / x.pow(2).sum().sqrt() for x in (refine(student), teacher))
    return (s - t).pow(2).sum()


def pixel_similarity(student: Maps, teacher: Maps) -> Tensor:
    residuals = []
    for maps in (student, teacher):
        residuals.append(
            [F.normalize(attention(maps[j]) - attention(maps[i])) for j in range(len(maps)) for i in range(j)]
        )
    return sum((s - t).pow(2).mean() for s, t in zip(*residuals)) / len(residuals[0])


def masked_generative(student: Tensor, teacher: Tensor, generator: nn.Module) -> Tensor:
    kept = (torch.rand_like(student[:, :1]) < 0.25).to(student)
    return (generator(student * kept) - teacher).pow(2).sum() / len(student)


def dense_contrastive(student: Tensor, teacher: Tensor, generator: nn.Module) -> Tensor:
    """All differences in a patch at once. Scores stay logarithms because their exponentials underflow."""
    rebuilt = generator(student * (torch.rand_like(student[:, :1]) >= 0.75))
    nodes = [F.max_pool2d(x, 4, ceil_mode=True) for x in (rebuilt, teacher)]
    contrast = 0
    for n in range(len(student)):
        for y in range(0, nodes[0].shape[2], 4):
            for x in range(0, nodes[0].shape[3], 4):
                contrast = contrast + _contrast(*(node[n, :, y : y + 4, x : x + 4] for node in nodes))
    return 2e-6 * (rebuilt - teacher).pow(2).sum() / len(student) + 0.005 * contrast / nodes[0][:, 0].numel()


def _contrast(student: Tensor, teacher: Tensor) -> Tensor:
    r, t = (x.flatten(1).unflatten(0, (16, -1)).permute(0, 2, 1).flatten(0, 1) for x in (student, teacher))
    block = torch.arange(16).repeat_interleave(student[0].numel())
    others = (block[:, None] != block) | torch.eye(len(block), dtype=torch.bool)
    scores = -(r[:, None] - t).abs().sum(2) / 0.07
    return -scores.masked_fill(~others, -torch.inf).softmax(1).diagonal().log().sum()


# Features, pixels or channels with each other


def pair_wise(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (similarities(F.avg_pool2d(x, 2, ceil_mode=True).flatten(2)) for x in (student, teacher))
    return (s - t).pow(2).mean()


def max_pair_wise(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (similarities(F.max_pool2d(x, 2, ceil_mode=True).flatten(2)) for x in (student, teacher))
    return (s - t).pow(2).mean()


def half_map_pair_wise(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (F.max_pool2d(x, [side // 2 for side in x.shape[2:]], ceil_mode=True).flatten(2) for x in (student, teacher))
    s, t = (x / x.norm(dim=1, keepdim=True).detach() for x in (s, t))
    return (s.transpose(1, 2) @ s - t.transpose(1, 2) @ t).pow(2).mean()


def region_content(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (similarities(F.adaptive_avg_pool2d(x, 7).flatten(2)) for x in (student, teacher))
    return (s - t).pow(2).mean()


def channel_and_spatial(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (F.avg_pool2d(x, 2, ceil_mode=True).flatten(2) for x in (student, teacher))
    places = (similarities(s) - similarities(t)).pow(2).mean()
    return places + (similarities(s.transpose(1, 2)) - similarities(t.transpose(1, 2))).pow(2).mean()


def knowledge_affinity(student: Tensor, teacher: Tensor) -> Tensor:
    difference = similarities(student.flatten(2)) - similarities(teacher.flatten(2))
    return difference.pow(2).sum((1, 2)).sqrt().mean() / difference.shape[1]


def long_range_attention(student: Tensor, teacher: Tensor) -> Tensor:
    size = [min(sides) for sides in zip(student.shape[2:], (32, 64))]
    s, t = (similarities(F.adaptive_avg_pool2d(x, size).flatten(2)) for x in (student, teacher))
    return divergence(s / 0.1, t / 0.1, dim=2).mean()


def layer_wise_context(student: Maps, teacher: Maps) -> Tensor:
    size = [min(16, *(x.shape[dim] for x in student)) for dim in (2, 3)]
    stages = [similarities(F.adaptive_avg_pool2d(x, size).flatten(2)) for x in student]
    return sum((a - b.detach()).pow(2).mean() for a, b in zip(stages, stages[1:])) / (len(stages) - 1)


def mini_batch(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (F.normalize(x).flatten(2).transpose(1, 2) for x in (student, teacher))
    total = 0
    for n in range(len(s)):
        for m in range(len(s)):
            total = total + divergence(s[n] @ s[m].t() / 0.1, t[n] @ t[m].t() / 0.1, dim=1).mean()
    return total / len(s) ** 2


def memory(
    student: Tensor, teacher: Tensor, labels: Tensor, head: nn.Module, pixels: nn.Module, regions: nn.Module
) -> Tensor:
    return _memory(student, teacher, labels, head, pixels, regions, lambda order, own: order[own[order]])


def stray_memory(
    student: Tensor, teacher: Tensor, labels: Tensor, head: nn.Module, pixels: nn.Module, regions: nn.Module
) -> Tensor:
    return _memory(student, teacher, labels, head, pixels, regions, lambda order, own: order[order < own.sum()])


def _memory(
    student: Tensor,
    teacher: Tensor,
    labels: Tensor,
    head: nn.Module,
    pixels: nn.Module,
    regions: nn.Module,
    choose: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """``choose`` selects the pixels of a class from shuffled positions and a mask of the class."""
    s, t = (vectors(F.normalize(x)) for x in (head(student), teacher))
    images, names = t.detach().split(len(t) // len(labels)), labels.flatten(1)
    for k in range(regions.classes):
        for image, name in zip(images, names):
            if (name == k).any():
                _remember(regions, k, [F.normalize(image[name == k].mean(0), dim=0)])
    shuffled = torch.rand(names.shape).argsort(1)
    for k in range(pixels.classes):
        for image, name, order in zip(images, names, shuffled):
            _remember(pixels, k, image[choose(order, name == k)[:16]])
    valid, total = names.flatten() != IGNORE_INDEX, 0
    for queue, contrast in ((pixels, 4096), (regions, 1024)):
        keys = _draw(queue, contrast // queue.classes + 1).to(t)
        total = total + divergence(s @ keys.t() / 0.1, t @ keys.t() / 0.1, dim=1)[valid].mean()
    return total


def channel_memory(student: Tensor, teacher: Tensor, head: nn.Module, memory: nn.Module) -> Tensor:
    s, t = (
        F.normalize(x.flatten(2), dim=2)
        for x in (head(F.avg_pool2d(student, 4, ceil_mode=True)), F.avg_pool2d(teacher, 4, ceil_mode=True))
    )
    channels = t.flatten(0, 1)
    _remember(memory, 0, channels[torch.randperm(len(channels))[:256]])
    keys, total = _draw(memory, 2048).to(t), 0
    for n in range(len(s)):
        for m in range(len(s)):
            total = total + divergence(s[n] @ s[m].t() / 0.1, t[n] @ t[m].t() / 0.1, dim=1).mean() / len(s) ** 2
    return total + 0.1 * divergence(s @ keys.t() / 0.1, t @ keys.t() / 0.1, dim=2).mean() + 100 * (s - t).pow(2).mean()


def _remember(queue: nn.Module, ring: int, arrived: Iterable[Tensor]) -> None:
    for vector in arrived:
        queue.rows[ring * queue.size + int(queue.pointers[ring])] = vector
        queue.pointers[ring] = (queue.pointers[ring] + 1) % queue.size
        queue.filled[ring] = min(queue.filled[ring] + 1, queue.size)


def _draw(queue: nn.Module, count: int) -> Tensor:
    places, drawn = torch.randperm(queue.size)[:count], []
    for ring in range(queue.classes):
        limit = queue.filled[ring] if queue.filled[ring] > 0 else queue.size
        drawn.append(queue.rows[ring * queue.size + places * limit // queue.size])
    return torch.cat(drawn)


# Features and classes


def present(labels: Tensor) -> list[int]:
    return [k for k in labels.unique().tolist() if k != IGNORE_INDEX]


def intra_class(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Like the published code, which writes the class centers into a map of the features' size."""

    def similarity(features: Tensor) -> Tensor:
        centers = features
        for k in range(CLASSES):
            mask = (labels == k)[:, None].to(features)
            mean = (features * mask).sum((2, 3), keepdim=True) / (mask.sum((2, 3), keepdim=True) + 1e-6)
            centers = centers * (1 - mask) + mask * mean
        return F.cosine_similarity(features, centers, dim=1)

    valid = labels != IGNORE_INDEX
    return ((similarity(student) - similarity(teacher)).pow(2) * valid).sum() / valid.sum()


def inter_class_distance(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    images = []
    for s, t, y in zip(student, teacher, labels):
        centers = [[x[:, y == k].mean(1) for k in present(y)] for x in (s, t)]
        pairs = [(j, i) for j in range(len(centers[0])) for i in range(j)]
        squares = [
            ((centers[0][j] - centers[0][i]).norm() - (centers[1][j] - centers[1][i]).norm()).pow(2) for j, i in pairs
        ]
        if squares:
            images.append(sum(squares) / len(squares))
    return sum(images) / len(images)


def perspective_prototypes(features: Tensor, labels: Tensor) -> Tensor:
    rows = vectors(F.normalize(features))
    return torch.stack([F.normalize(rows[labels.flatten() == k].mean(0), dim=0) for k in present(labels)])


def perspective_context(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    s, t = (10 * vectors(F.normalize(x)) @ perspective_prototypes(x, labels).t() for x in (student, teacher))
    return divergence(s, t, dim=1)[labels.flatten() != IGNORE_INDEX].mean() / len(present(labels))


def perspective_prototype(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    s, t = (perspective_prototypes(x, labels) for x in (student, teacher))
    return 0.5 * (1 - (s * t).sum(1)).mean()


# Texture


def statistical_texture(student: Tensor, teacher: Tensor) -> Tensor:
    s, t = (F.cosine_similarity(x, x.mean((2, 3), keepdim=True), dim=1).flatten(1) for x in (student, teacher))
    low, high = t.min(1, keepdim=True).values, t.max(1, keepdim=True).values
    s, t = (((x - low) / (high - low) * 8 - 0.5).clamp(0, 7) for x in (s, t))
    total = 0
    for k in range(8):
        share_s, share_t = (F.relu(1 - (x - k).abs()) for x in (s, t))
        total = total + (share_s.mean(1) - share_t.mean(1)).abs() + (share_s - share_t).pow(2).mean(1)
    return total.mean()


def structural_texture(student: Tensor, teacher: Tensor) -> Tensor:
    """All bands of both networks."""
    total = 0
    for _ in range(2):
        (student, s), (teacher, t) = pyramid_step(student), pyramid_step(teacher)
        for weights in wedges(*s.shape[2:], 8, s):
            bands = (torch.fft.irfft2(torch.fft.rfft2(x) * weights, s=x.shape[2:]) for x in (s, t))
            total = total + next(bands).sub(next(bands)).pow(2).mean()
    return total
