"""Tiny models of every family and geometry that a method must work on."""

import copy
import io
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from helpers.encoder_decoders import KINDS, tiny_encoder_decoder
from helpers.other_models import tiny_other
from tuneoff.families.find import RandomModel
from tuneoff.families.other import MODELS

PAD, END, VOCABULARY = 0, 1, 60
_WORDS = {"<pad>": PAD, "</s>": END, "<unk>": 2} | {f"w{index}": index for index in range(3, VOCABULARY)}


def word_tokenizer(*, ends_input: bool = False) -> PreTrainedTokenizerFast:
    """A tokenizer of the words w3 to w59, each the id of its number; texts may end with `END`, as T5's do."""
    tokenizer = Tokenizer(models.WordLevel(_WORDS, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if ends_input:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A </s>", special_tokens=[("</s>", END)]
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )


def tiny_t5(kind: str = "flan", *, dtype: torch.dtype = torch.float32) -> T5ForConditionalGeneration:
    """A random T5 in evaluation mode with num_heads * d_kv != d_model and unequal depths.

    `flan` has gated feed-forwards and its own output head, `t5` neither.
    """
    config = T5Config(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=48,
        num_layers=3,
        num_decoder_layers=2,
        num_heads=6,
        feed_forward_proj="gated-gelu" if kind == "flan" else "relu",
        decoder_start_token_id=PAD,
        tie_word_embeddings=kind != "flan",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = T5ForConditionalGeneration(config)
        if kind == "flan":
            model.lm_head.weight = torch.nn.Parameter(torch.randn(VOCABULARY, 32) * 0.3)
        # torch's initial position biases are near zero: real ones are not
        for stack in (model.encoder, model.decoder):
            bias = stack.block[0].layer[0].SelfAttention.relative_attention_bias
            torch.nn.init.normal_(bias.weight)
    return model.eval().to(dtype)


_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
# heads * head_dim != hidden_size
_GROUPED = _SIZES | {"num_key_value_heads": 2, "head_dim": 12}
_WINDOWS = {"sliding_window": 4, "layer_types": ["sliding_attention", "full_attention", "sliding_attention"]}
DECODER_ONLY: dict[str, dict[str, object]] = {
    "llama": _GROUPED,
    "mistral": _GROUPED | {"sliding_window": 4},
    "qwen2": _SIZES | {"num_key_value_heads": 2},
    "qwen3": _GROUPED | _WINDOWS | {"use_sliding_window": True},
    "gemma2": _GROUPED | _WINDOWS | {"attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0},
    "gemma3_text": _GROUPED | _WINDOWS,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
    "gpt_neox": _SIZES,
    "opt": {name: size for name, size in _SIZES.items() if name != "intermediate_size"}
    | {"ffn_dim": 48, "word_embed_proj_dim": 24},
    "phi": _SIZES,
}
"""Sizes by model_type; windows are shorter than the rows of `batch`."""


def tiny_decoder_only(kind: str, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A random decoder-only model in evaluation mode, without dropout."""
    scale = "init_std" if kind == "opt" else "initializer_range"
    rates = {"attn_pdrop": 0.0, "resid_pdrop": 0.0, "embd_pdrop": 0.0} if kind == "gpt2" else {}
    config = AutoConfig.for_model(
        kind,
        vocab_size=VOCABULARY,
        pad_token_id=None,
        eos_token_id=END,
        bos_token_id=None,
        **DECODER_ONLY[kind],
        **rates,
        **{scale: 0.3},
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(config)
    return model.eval().to(dtype)


def tiny(kind: str, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
    """A tiny random model: flan, t5, one of `DECODER_ONLY`, or an encoder-decoder of another kind."""
    return _packed(kind, dtype).copy()


class _Packed:
    """A model to copy, in a sixth of the time that `copy.deepcopy` takes, and a twelfth of making it."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._tensors = {id(one): one for one in (*model.parameters(), *model.buffers())}
        content = io.BytesIO()
        pickler = pickle.Pickler(content)
        pickler.persistent_id = lambda one: id(one) if id(one) in self._tensors else None
        pickler.dump(model)
        self._content = content.getvalue()

    def copy(self) -> PreTrainedModel:
        unpickler = pickle.Unpickler(io.BytesIO(self._content))
        unpickler.persistent_load = copy.deepcopy(self._tensors).__getitem__
        return unpickler.load()


@cache
def _packed(kind: str, dtype: torch.dtype) -> _Packed:
    return _Packed(_made(kind, dtype))


@contextmanager
def random_models_copied() -> Iterator[None]:
    """Make each builtin model with random weights once in this process, and copy it afterwards."""
    make = RandomModel.model
    packed = cache(lambda one, **sizes: _Packed(make(one, **sizes)))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RandomModel, "model", lambda one, **sizes: packed(one, **sizes).copy())
        yield


def _made(kind: str, dtype: torch.dtype) -> PreTrainedModel:
    if kind in KINDS:
        return tiny_encoder_decoder(kind, dtype=dtype)
    if kind in MODELS:
        return tiny_other(kind).to(dtype)
    return tiny_decoder_only(kind, dtype=dtype) if kind in DECODER_ONLY else tiny_t5(kind, dtype=dtype)


def batch(*, prompt_ids: tuple[int, ...] = (), seed: int = 0) -> dict[str, torch.Tensor]:
    """Three padded rows of input_ids [3, P + 9] and labels [3, 5], prompt ids in front."""
    generator = torch.Generator().manual_seed(seed)
    lengths, targets = torch.tensor([9, 4, 7]), torch.tensor([5, 3, 2])
    ids = torch.randint(2, VOCABULARY, (3, 9), generator=generator)
    mask = (torch.arange(9) < lengths[:, None]).long()
    labels = torch.randint(2, VOCABULARY, (3, 5), generator=generator)
    labels = labels.masked_fill(torch.arange(5) >= targets[:, None], -100)
    prompt = torch.tensor(prompt_ids, dtype=torch.long).expand(3, -1)
    return {
        "input_ids": torch.cat([prompt, ids * mask], dim=1),
        "attention_mask": torch.cat([torch.ones_like(prompt), mask], dim=1),
        "labels": labels,
    }
