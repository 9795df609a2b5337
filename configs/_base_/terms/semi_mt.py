# The Mean Teacher of the comparison in cross pseudo supervision (arXiv 2106.01226): weight 100 for the mean over
# labeled and unlabeled pixels together.
distiller = 'MeanTeacher'
terms = dict(
    loss_consistency=dict(student='logits', teacher='logits', loss=dict(type='ProbabilityMSELoss'), weight=50.0))
unlabeled_terms = dict(
    loss_unlabeled_consistency=dict(
        student='logits', teacher='logits', loss=dict(type='ProbabilityMSELoss'), weight=50.0))
semi_hooks = [dict(type='MeanTeacherHook', momentum=0.99)]
