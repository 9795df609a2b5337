# Table 4 of "Towards Comparable Knowledge Distillation" (arXiv 2309.03659): one student at six temperatures, with the
# best learning rate and weight decay with the teacher.
budget = dict(kind='iterations', value=80000)
seeds = [1, 2, 3]
_temperatures = {
    f't{t}': {'model.terms.loss_pi.loss.temperature': float(t)}
    for t in (1, 2, 3, 4, 6, 8)
}
stages = [dict(name='final', candidates=list(_temperatures))]
