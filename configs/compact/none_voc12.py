_base_ = ['../_base_/models/compact.py', '../_base_/datasets/voc12_224.py', '../_base_/schedules/adam_plateau_300e.py']
