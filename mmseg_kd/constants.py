"""Constants that all rooms share."""

IGNORE_INDEX = 255  # the label of ignored pixels
