# Nine labeled images of CamVid, and 358 without labels: EfficientNet-Lite0 alone, and with terms that have 30 % of the
# gradient. Nothing is searched. Results of most: docs/benchmarks/camvid.md. The first lines put the teacher's weights,
# which come with the repository, where the configs expect them, and draw the images:
#
#     mkdir -p work_dirs/lite2_camvid; cp docs/benchmarks/teachers/lite2_camvid.pth work_dirs/lite2_camvid/iter_2000.pth
#     python tools/make_partition.py mmseg_kd::_base_/datasets/camvid_240x180.py --fraction 0.0218 \
#         --out data/camvid/9_labels
#     python tools/sweep.py configs/sweeps/few_labels_camvid.py
name = 'few_labels_camvid'
budget = dict(kind='iterations', value=1200)
seeds = [1]
cache = dict(views=5, features='int8')
options = {'optim_wrapper.type': 'BFloat16OptimWrapper'}  # like --amp on a CPU
_setup = 'mmseg_kd::_base_/setups/lite2_lite0_camvid_9_labels.py'
# The teacher in bfloat16 takes half the time on CPUs that support it. Others emulate it, and the sweep says so: then
# empty both dicts. A run then takes 24 minutes.
_fast = {'model.teacher.dtype': 'bfloat16'}
_terms = [
    'cwd_at_tuned', 'cwd_tuned', 'dist_tuned', 'dist_unlabeled_tuned', 'pi_tuned', 'skd_tuned', 'ifvd_tuned',
    'afdcd_tuned', 'at_tuned', 'attnfd_tuned', 'cwd_feature_tuned', 'hint_tuned', 'cwd', 'pi'
]
candidates = dict(alone='mmseg_kd::camvid/lite0_camvid_9_labels.py')
for _name in _terms:
    candidates[_name] = dict(config=_setup, terms=_name, options=_fast)
# Other shares and temperatures, and the published weights of terms whose own files read modules that this student
# lacks.
_changed = dict(
    pi_temperature_4=('pi_tuned', {'model.terms.loss_pi.loss.temperature': 4.0}),
    cwd_temperature_1=('cwd_tuned', {'model.terms.loss_cwd.loss.temperature': 1.0}),
    cwd_70=('cwd_tuned', {'model.terms.loss_cwd.weight.share': 0.7}),
    dist_published=('dist_tuned', {'model.terms.loss_dist.weight': 1.0}),
    at_published=('at_tuned', {'model.terms.loss_pi.weight': 1.0, 'model.terms.loss_at.weight': 1e4}),
    cwd_feature_published=('cwd_feature_tuned', {'model.terms.loss_cwd.weight': 50.0}),
    hint_published=('hint_tuned', {'model.terms.loss_pi.weight': 1.0, 'model.terms.loss_hint.weight': 10.0}),
    ifvd_published=('ifvd_tuned', {'model.terms.loss_pi.weight': 0.1, 'model.terms.loss_ifv.weight': 0.01}),
    skd_published=(
        'skd_tuned', {
            'model.terms.loss_pi.weight': 0.1,
            'model.terms.loss_pa.weight': 0.1,
            'model.terms.loss_ho.weight': 0.01
        }),
    attnfd_published=('attnfd_tuned', {'model.terms.loss_attnfd.weight': 2.0}),
    afdcd_published=('afdcd_tuned', {'model.terms.loss_pi.weight': 1.0, 'model.terms.loss_afdcd.weight': 1.0}))
for _name, (_term, _options) in _changed.items():
    candidates[_name] = dict(config=_setup, terms=_term, options={**_fast, **_options})
# Random weights, and one learning rate for all layers.
_rates = {'optim_wrapper.paramwise_cfg': dict(_delete_=True, norm_decay_mult=0.0)}
candidates['random_alone'] = dict(config=candidates['alone'], options={'model.backbone.init_cfg': None, **_rates})
candidates['random_cwd_at_tuned'] = dict(
    config=_setup, terms='cwd_at_tuned', options={'model.student.backbone.init_cfg': None, **_fast, **_rates})
# The teacher also labels the images without labels, as in `tools/distill.py --unlabeled`.
_labeling = 'mmseg_kd::_base_/setups/lite2_lite0_camvid_9_labels_labeling.py'
for _name in ['cwd_at_tuned', 'at_tuned', 'attnfd_tuned', 'afdcd_tuned', 'ifvd_tuned', 'bpkd_tuned', 'dkd_tuned']:
    candidates[f'{_name}_labeling'] = dict(config=_labeling, terms=_name, options=_fast)
for _name, _weight in [('bpkd', 1.0), ('dkd', 1.0)]:
    candidates[f'{_name}_published_labeling'] = dict(
        config=_labeling, terms=f'{_name}_tuned', options={f'model.terms.loss_{_name}.weight': _weight, **_fast})
stages = [
    dict(name='one_seed', candidates=list(candidates), seeds=[1]),
    dict(
        name='more_seeds',
        candidates=[
            'alone', 'cwd_tuned', 'cwd_at_tuned', 'cwd', 'dist_unlabeled_tuned', 'dist_published', 'pi_tuned',
            'cwd_at_tuned_labeling', 'bpkd_tuned_labeling', 'dkd_tuned_labeling'
        ],
        seeds=[2, 3]),
]
