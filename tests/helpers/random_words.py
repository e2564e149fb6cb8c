"""Imported, it has made the tokenizers of the models with random weights; in a fork they are there."""

from tuneoff.training.random_tokenizer import random_tokenizer

for ends_input in (True, False):
    random_tokenizer(ends_input=ends_input)
