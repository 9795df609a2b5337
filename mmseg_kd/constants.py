"""Numbers that every room agrees on."""

IGNORE_INDEX = 255  # the label of ignored pixels
