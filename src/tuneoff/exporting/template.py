"""A task's prompt as a chat template, which transformers' text-generation pipelines fill themselves."""

import json

from transformers import PreTrainedTokenizerBase

from tuneoff.spec.prompt import prompt_pieces


def prompt_template(tokenizer: PreTrainedTokenizerBase, prompt: str) -> str | None:
    """Return a template (Jinja) that makes of a message with one text what the model was trained to read.

    None for a prompt with several columns, as a message has one text.
    """
    pieces = prompt_pieces(prompt)
    if sum(piece.is_column for piece in pieces) != 1:
        return None
    texts = [
        "messages[-1]['content']" if piece.is_column else json.dumps(piece.text, ensure_ascii=False)
        for piece in pieces
    ]
    # a filled template is tokenized without special tokens
    if tokenizer("")["input_ids"]:
        texts.insert(0, "bos_token")
    return "".join(f"{{{{ {text} }}}}" for text in texts)
