# Table 7 of "Towards Comparable Knowledge Distillation" (arXiv 2309.03659): a student from random weights, without
# and with the teacher. Nothing is searched; the settings are those of the pretrained student.
budget = dict(kind='iterations', value=80000)
seeds = [1, 2, 3]
stages = [dict(name='final', candidates=['alone', 'pi'])]
