"""Prompt-tuning (Lester et al. 2021, arXiv:2104.08691): trained vectors prepended to the input.

The vectors are extra rows at the end of the embedding of the stack that reads the input, and every batch
prepends their ids to its inputs, so that the model keeps its class and its generation.
"""

from typing import final

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tuneoff.families import Family
from tuneoff.methods.adapter import Adapter
from tuneoff.methods.vocabulary import repeated_tokens, sampled_tokens
from tuneoff.spec import PromptSpec


@final
class PromptEmbedding(nn.Module):
    """An embedding of V tokens with P trained rows after them."""

    def __init__(self, base: nn.Embedding, prompt: Tensor) -> None:
        super().__init__()
        self.base = base
        self.prompt = nn.Parameter(prompt)

    def forward(self, ids: Tensor) -> Tensor:
        """`ids`: [B, T], from 0 to V + P - 1 -> [B, T, H]."""
        row = ids - self.base.num_embeddings  # of the prompt; negative for tokens of the text
        soft = row >= 0
        # both lookups are made for all ids, with row 0 wherever the other one counts
        text = self.base(ids.masked_fill(soft, 0))
        return torch.where(soft[..., None], self.prompt.to(text.dtype)[row.clamp(min=0)], text)


@final
class PromptAdapter(Adapter):
    """A soft prompt in front of the input of a model."""

    def __init__(self, spec: PromptSpec, reader: PreTrainedModel, embedding: PromptEmbedding) -> None:
        super().__init__(spec)
        self._reader = reader
        self._embedding = embedding
        first = embedding.base.num_embeddings
        self.prompt_ids = tuple(range(first, first + len(embedding.prompt)))

    def parameters(self) -> list[nn.Parameter]:  # noqa: D102
        return [self._embedding.prompt]

    def stored(self) -> dict[str, Tensor]:
        """Return the prompt: [P, H]."""
        return {"prompt": self._embedding.prompt.detach()}

    @torch.no_grad()
    def restore(self, tensors: dict[str, Tensor]) -> None:  # noqa: D102
        self._embedding.prompt.copy_(tensors["prompt"])

    def fold(self) -> None:  # noqa: D102
        pass

    def deployed(self) -> int:  # noqa: D102
        return self._embedding.prompt.numel()

    def detach(self) -> None:  # noqa: D102
        self._reader.set_input_embeddings(self._embedding.base)


def attach(
    family: Family,
    spec: PromptSpec,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> PromptAdapter:
    """Prepend a soft prompt to the input, in float32."""
    base = family.reader.get_input_embeddings()
    prompt = _initial(base, spec, generator, tokenizer)
    embedding = PromptEmbedding(base, prompt.to(device=base.weight.device, dtype=torch.float32))
    family.reader.set_input_embeddings(embedding)
    return PromptAdapter(spec, family.reader, embedding)


def _initial(
    base: nn.Embedding,
    spec: PromptSpec,
    generator: torch.Generator,
    tokenizer: PreTrainedTokenizerBase | None,
) -> Tensor:
    if spec.init == "random":
        # Lester et al. 2021, section 3.2: uniform in [-0.5, 0.5]
        return torch.rand(spec.length, base.embedding_dim, generator=generator) - 0.5
    if tokenizer is None:
        raise TypeError(f"init: {spec.init} needs the tokenizer")
    if spec.init_text is not None:
        ids = repeated_tokens(spec.init_text, tokenizer, spec.length)
    else:
        ids = sampled_tokens(tokenizer, spec.length, generator)
    # by the layer itself, which may scale its rows
    embedded: Tensor = base(torch.tensor(ids, device=base.weight.device))
    return embedded.detach().clone()
