# How many stored views of each image are enough? A tenth of the scenes of handwritten digits, augmented, with the
# settings that demo.py found. A training sees each image 43 times. The data and the teacher are those of `make demo`.
#
#     for K in 1 2 5 10 20; do
#         python tools/sweep.py configs/sweeps/views_digits.py --cfg-options cache.views=$K name=views_digits_$K
#     done
#     python tools/sweep.py configs/sweeps/views_digits_live.py
name = 'views_digits'
budget = dict(kind='iterations', value=800)
seeds = [1, 2, 3]
cache = dict(views=20)
candidates = dict(
    pi=dict(
        config='mmseg_kd::sweeps/digits/pi_few.py',
        options={
            'optim_wrapper.optimizer.lr': 3.2e-2,
            'optim_wrapper.optimizer.weight_decay': 1e-1,
            'model.terms.loss_pi.loss.temperature': 2.0
        }))
stages = [dict(name='final', candidates=['pi'])]
