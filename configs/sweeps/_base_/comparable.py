# Niemann et al., "Towards Comparable Knowledge Distillation in Semantic Image Segmentation" (arXiv 2309.03659):
# learning rate and weight decay are searched separately for the baseline and with the teacher, then the temperature,
# then the weight of each further term. The weight of L_PI stays 0.1.
budget = dict(kind='iterations', value=80000)
# The best of many runs on one seed is partly luck, so the final results are from other seeds.
seeds = [1, 2, 3]
stages = [
    dict(
        name='optimizer',
        candidates=['alone', 'pi'],
        seeds=[0],
        space={
            'optim_wrapper.optimizer.lr': [1e-1, 5e-2, 1e-2, 5e-3],
            'optim_wrapper.optimizer.weight_decay': [5e-4, 5e-5, 5e-6],
        }),
    dict(
        name='temperature',
        candidates=['pi'],
        seeds=[0],
        space={'model.terms.loss_pi.loss.temperature': [1.0, 2.0, 3.0, 4.0, 6.0, 8.0]}),
    dict(
        name='weight_pa',
        candidates=['pi_pa'],
        seeds=[0],
        space={'model.terms.loss_pa.weight': [1e-3, 1e-2, 1e-1, 1.0, 10.0]}),
    dict(
        name='weight_ho',
        candidates=['pi_ho'],
        seeds=[0],
        space={'model.terms.loss_ho.weight': [1e-4, 1e-3, 1e-2, 1e-1]}),
    dict(
        name='weight_ifv',
        candidates=['pi_ifv'],
        seeds=[0],
        space={'model.terms.loss_ifv.weight': [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 50.0, 100.0]}),
    dict(name='final', candidates=['alone', 'pi', 'pi_pa', 'pi_ho', 'pi_pa_ho', 'pi_ifv']),
]

# The learning rate is searched before the temperature, which is 1 until then.
_pi = dict(model=dict(terms=dict(loss_pi=dict(loss=dict(temperature=1.0)))))
_pa = dict(
    model=dict(
        terms=dict(
            loss_pa=dict(
                student='decode_head.bottleneck', teacher='decode_head.bottleneck', loss=dict(type='PairWiseKDLoss')))))
_ho = dict(
    model=dict(
        terms=dict(loss_ho=dict(student=['logits', 'inputs'], teacher='logits', loss=dict(type='HolisticKDLoss')))),
    optim_wrapper=dict(
        constructor='DistillOptimWrapperConstructor',
        critic=dict(optimizer=dict(type='Adam', lr=4e-4, betas=(0.9, 0.99)))))
