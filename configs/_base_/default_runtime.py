_base_ = 'mmseg::_base_/default_runtime.py'

# Makes the stock tools of MMSegmentation work as well: they import this package before they build anything.
custom_imports = dict(imports=['mmseg_kd'], allow_failed_imports=False)
# Without a distiller (student-only, teacher-only) all but the first do nothing.
custom_hooks = [
    dict(type='BatchSizeHook'),
    dict(type='TermWeightHook'),
    dict(type='NonFiniteLossHook'),
    dict(type='DistillSummaryHook'),
    dict(type='ExportStudentHook'),
]
