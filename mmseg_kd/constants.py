"""Constants that all rooms share."""

IGNORE_INDEX = 255  # the label of ignored pixels
UNKNOWN_INDEX = 254  # the label of pixels whose class the teacher of a LabelingDistiller tells
