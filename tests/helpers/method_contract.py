"""What every method promises on every family of models, as tests that each method's suite inherits."""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

import pytest
import torch
from transformers import GenerationConfig, PreTrainedModel

from helpers.models import END, PAD, batch, tiny
from tuneoff.errors import UnfitError
from tuneoff.families import family_of
from tuneoff.methods import AdaptedModel, attach, footprint, load, save
from tuneoff.results import Footprint
from tuneoff.spec import Method


class Generated(NamedTuple):
    """What transformers has generated for padded rows."""

    texts: torch.Tensor
    """[3, T], without the input and the token that a decoder starts with."""
    step_logits: torch.Tensor | None
    """Of greedy search: [3, T, V]."""
    scores: torch.Tensor | None
    """Of beam search: the log-likelihood of each text."""


class Stage(IntEnum):
    """How far a method has come."""

    FRESH = 0
    TRAINED = 1
    FOLDED = 2


@dataclass
class Stepped:
    """A method at a stage, for tests that leave it as it is; it goes on to the next, and never back."""

    adapted: AdaptedModel
    base: list[tuple[torch.Tensor, torch.Tensor]]
    """The weights and buffers of the base, and copies of them from before."""
    first: list[torch.Tensor]
    """Copies of what it trains, from before training."""
    counts: Footprint
    untrained: torch.Tensor
    """The logits before training."""
    unfolded: torch.Tensor | None = None
    """The logits after training, and before the method was folded."""
    stage: Stage = Stage.FRESH


_KEPT: dict[tuple[object, ...], Stepped] = {}
"""What a test has made for those after it with the same method, kind and precision."""


class MethodContract:
    """Inherited once for each method; `method` says which, `kinds` on which models."""

    method: Method
    tokenizer = None
    kinds = ("flan", "t5", "llama", "gemma3_text", "gpt2")

    quick = ("flan",)
    """The kinds whose tests are not marked slow; others repeat the tests."""

    learning_rate = 0.5
    """Of the few steps of training; large enough to change outputs."""

    is_drawn = True
    """Whether first weights are random numbers."""

    halved = ("flan", "llama")
    """The kinds whose tests are repeated in bfloat16, where a test is for any precision."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        names = [name for name in ("kind", "dtype") if name in metafunc.fixturenames]
        cases = [
            pytest.param(
                *(kind, torch.float32)[: len(names)],
                id=kind,
                marks=() if kind in self.quick else pytest.mark.slow,
            )
            for kind in self.kinds
        ]
        if "dtype" in names:
            cases += [
                pytest.param(kind, torch.bfloat16, id=f"{kind}-bfloat16", marks=pytest.mark.slow)
                for kind in self.halved
                if kind in self.kinds
            ]
        if names:
            metafunc.parametrize(names, cases, scope="class")  # so tests of the same case come together

    def model(self, kind: str, *, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
        """Return a model of a kind, the same at every call."""
        return tiny(kind, dtype=dtype)

    def adapt(self, model: PreTrainedModel, seed: int = 0) -> AdaptedModel:
        return attach(
            model,
            self.method,
            generator=torch.Generator().manual_seed(seed),
            tokenizer=self.tokenizer,
            removable=True,
        )

    def logits_of(self, model: PreTrainedModel, data: dict[str, torch.Tensor]) -> torch.Tensor:
        """Return the logits of all labels that are not padding."""
        family = family_of(model)
        return family.logits(family.read_and_predict(**data)[data["labels"] >= 0])

    def loss(self, adapted: AdaptedModel, seed: int = 0) -> torch.Tensor:
        data = batch(prompt_ids=adapted.prompt_ids, seed=seed)
        labels = data["labels"][data["labels"] >= 0]
        return torch.nn.functional.cross_entropy(self.logits_of(adapted.model, data), labels)

    def trained(self, model: PreTrainedModel) -> AdaptedModel:
        """Return the method after a few steps, far enough to change outputs."""
        return self.train(self.adapt(model))

    def train(self, adapted: AdaptedModel, steps: int = 2) -> AdaptedModel:
        optimizer = torch.optim.SGD(adapted.parameters(), lr=self.learning_rate)
        for step in range(steps):
            self.loss(adapted, seed=step).backward()
            optimizer.step()
            optimizer.zero_grad()
        return adapted

    def at(self, stage: Stage, kind: str, dtype: torch.dtype = torch.float32) -> Stepped:
        """Return the method at a stage, without gradients; kept, and made anew if it has come further."""
        case = (type(self), repr(self.method), kind, dtype)
        for other in [other for other in _KEPT if other != case]:
            del _KEPT[other]
        if case not in _KEPT or _KEPT[case].stage > stage:
            _KEPT[case] = self._started(kind, dtype)
        stepped = _KEPT[case]
        stepped.adapted.model.zero_grad()
        if stepped.stage < Stage.TRAINED <= stage:
            self.train(stepped.adapted)
            stepped.unfolded = self.logits(stepped.adapted)
        if stepped.stage < Stage.FOLDED <= stage:
            stepped.adapted.fold()
        stepped.stage = stage
        return stepped

    def _started(self, kind: str, dtype: torch.dtype) -> Stepped:
        torch.manual_seed(0)
        model = self.model(kind, dtype=dtype)
        base = [(one, one.detach().clone()) for one in (*model.parameters(), *model.buffers())]
        adapted = self.adapt(model)
        return Stepped(
            adapted,
            base,
            first=[parameter.detach().clone() for parameter in adapted.parameters()],
            counts=footprint(adapted, batch(prompt_ids=adapted.prompt_ids)),
            untrained=self.logits(adapted),
        )

    @torch.no_grad()
    def logits(self, adapted: AdaptedModel) -> torch.Tensor:
        return self.logits_of(adapted.model, batch(prompt_ids=adapted.prompt_ids, seed=9))

    @torch.no_grad()
    def forced(self, adapted: AdaptedModel, texts: torch.Tensor) -> torch.Tensor:
        """Return the logits that predict each token of texts [3, T], each row alone and without padding."""
        data, family = batch(prompt_ids=adapted.prompt_ids), adapted.family
        rows = []
        for ids, mask, text in zip(data["input_ids"], data["attention_mask"], texts, strict=True):
            length = int(mask.sum())
            hidden = family.read_and_predict(ids[None, :length], mask[None, :length], text[None])
            rows.append(family.logits(hidden))
        return torch.cat(rows)

    def generated(self, adapted: AdaptedModel, length: int, beams: int) -> Generated:
        """Generate texts with transformers, which wants the padding of a decoder-only model on the left."""
        data = batch(prompt_ids=adapted.prompt_ids)
        ids, mask = data["input_ids"], data["attention_mask"]
        model_config = adapted.model.config
        decodes_input = not model_config.is_encoder_decoder
        starts = {}
        if not decodes_input:
            first = getattr(model_config, "first_target_token_id", None)
            given = [model_config.decoder_start_token_id, *([] if first is None else [first])]
            starts = {"decoder_input_ids": torch.tensor([given] * len(ids))}
        if decodes_input:
            turned = (torch.arange(ids.shape[1]) + mask.sum(dim=1, keepdim=True)) % ids.shape[1]
            ids, mask = ids.gather(1, turned), mask.gather(1, turned)
        config = GenerationConfig(
            max_new_tokens=length,
            min_new_tokens=length,
            num_beams=beams,
            do_sample=False,
            length_penalty=0.0,
            output_logits=True,
            output_scores=True,
            return_dict_in_generate=True,
            pad_token_id=PAD,
            eos_token_id=END,
        )
        out = adapted.model.generate(input_ids=ids, attention_mask=mask, generation_config=config, **starts)
        texts = out.sequences[:, -length:]
        if beams > 1:
            return Generated(texts, None, out.sequences_scores)
        return Generated(texts, torch.stack(out.logits, dim=1), None)

    def test_only_what_is_declared_trains_and_receives_gradient(self, kind, dtype):
        adapted = self.at(Stage.FRESH, kind, dtype).adapted
        declared = {id(parameter) for parameter in adapted.parameters()}
        assert declared == {id(p) for p in adapted.model.parameters() if p.requires_grad}
        self.loss(adapted).backward()
        assert declared == {id(p) for p in adapted.model.parameters() if p.grad is not None}

    def test_training_changes_the_outputs(self, kind, dtype):
        trained = self.at(Stage.TRAINED, kind, dtype)
        assert not torch.equal(self.logits(trained.adapted), trained.untrained)

    def test_training_leaves_the_weights_of_the_base_as_they_are(self, kind):
        trained = self.at(Stage.TRAINED, kind)
        model = trained.adapted.model
        there = {id(one) for one in (*model.parameters(), *model.buffers())}
        assert all(id(one) in there for one, _ in trained.base)
        assert all(torch.equal(one, before) for one, before in trained.base)

    def test_generated_step_scores_equal_teacher_forced_logits(self, kind):
        adapted = self.at(Stage.TRAINED, kind).adapted
        out = self.generated(adapted, length=6, beams=1)
        forced = self.forced(adapted, out.texts)
        torch.testing.assert_close(out.step_logits, forced, rtol=1e-4, atol=1e-4)

    def test_beam_scores_equal_teacher_forced_likelihoods(self, kind):
        adapted = self.at(Stage.TRAINED, kind).adapted
        out = self.generated(adapted, length=5, beams=3)
        # beams never end before the fifth token here, so the likelihood is over all of them
        steps = self.forced(adapted, out.texts).log_softmax(-1).gather(2, out.texts[..., None])[..., 0]
        torch.testing.assert_close(out.scores, steps.sum(1), rtol=1e-4, atol=1e-4)

    def test_folding_keeps_the_outputs(self, kind):
        folded = self.at(Stage.FOLDED, kind)
        torch.testing.assert_close(self.logits(folded.adapted), folded.unfolded, rtol=1e-5, atol=1e-5)

    def test_saved_and_loaded_it_gives_equal_logits(self, kind, dtype, tmp_path):
        adapted = self.at(Stage.FOLDED, kind, dtype).adapted
        save(adapted, tmp_path / "adapter")
        loaded = load(self.model(kind, dtype=dtype), tmp_path / "adapter")
        assert torch.equal(self.logits(loaded), self.logits(adapted))

    # of PEFT: transformers' T5 says that its embeddings are tied, even where they are not
    @pytest.mark.filterwarnings("ignore:Input and output embeddings are no longer tied")
    def test_what_adds_nothing_when_deployed_is_merged_into_a_plain_model(self, kind):
        adapted = self.at(Stage.FOLDED, kind).adapted
        if len(adapted.parts) > 1 or adapted.parts[0].deployed():
            with pytest.raises(UnfitError, match="cannot be merged"):
                adapted.merge()
            return
        model = self.model(kind)
        names = [name for name, _ in model.named_modules()]
        adapted = self.trained(model)
        adapted.fold()
        before = self.logits(adapted)
        adapted.merge()
        assert [name for name, _ in model.named_modules()] == names
        torch.testing.assert_close(self.logits(adapted), before, rtol=1e-4, atol=1e-4)

    def test_detached_the_base_gives_bit_identical_outputs(self, kind, dtype):
        model = self.model(kind, dtype=dtype)
        names = [name for name, _ in model.named_modules()]
        with torch.no_grad():
            before = self.logits_of(model, batch())
        self.trained(model).detach()
        with torch.no_grad():
            assert torch.equal(self.logits_of(model, batch()), before)
        assert [name for name, _ in model.named_modules()] == names
        assert model.config._attn_implementation == self.model(kind).config._attn_implementation

    def test_another_seed_gives_other_first_weights_and_an_equal_one_the_same(self, kind):
        first = self.at(Stage.FOLDED, kind).first
        torch.manual_seed(1)  # which plays no part
        again, other = (self.adapt(self.model(kind), seed=seed).parameters() for seed in (0, 1))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True)) == self.is_drawn

    def test_the_footprint_counts_what_is_saved(self, kind):
        folded = self.at(Stage.FOLDED, kind)
        counts, trained = folded.counts, sum(one.numel() for one in folded.first)
        assert counts.trainable == counts.receiving_gradient == trained
        assert counts.stored == sum(tensor.numel() for tensor in folded.adapted.stored().values())
        assert counts.base == sum(p.numel() for p in tiny(kind).parameters())
