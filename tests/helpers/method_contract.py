"""What every method promises, as tests that each method's suite inherits."""

import pytest
import torch
from transformers import GenerationConfig, T5ForConditionalGeneration

from helpers.models import batch, tiny_t5
from tuneoff.methods import AdaptedModel, attach, footprint, load, save
from tuneoff.spec import Method


class MethodContract:
    """Inherited once for each method; `method` says which."""

    method: Method
    tokenizer = None

    @pytest.fixture(params=["flan", "t5"])
    def kind(self, request):
        return request.param

    @pytest.fixture(
        params=[torch.float32, pytest.param(torch.bfloat16, marks=pytest.mark.slow)],
        ids=["float32", "bfloat16"],
    )
    def dtype(self, request):
        return request.param

    def adapt(self, model: T5ForConditionalGeneration, seed: int = 0) -> AdaptedModel:
        generator = torch.Generator().manual_seed(seed)
        return attach(model, self.method, generator=generator, tokenizer=self.tokenizer, removable=True)

    def trained(self, model: T5ForConditionalGeneration, steps: int = 3) -> AdaptedModel:
        """Return the method after a few steps, far enough to change outputs."""
        adapted = self.adapt(model)
        optimizer = torch.optim.SGD(adapted.parameters(), lr=0.5)
        for step in range(steps):
            model(**batch(prompt_ids=adapted.prompt_ids, seed=step)).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        return adapted

    def logits(self, adapted: AdaptedModel) -> torch.Tensor:
        with torch.no_grad():
            return adapted.model(**batch(prompt_ids=adapted.prompt_ids, seed=9)).logits

    def test_only_what_is_declared_trains_and_receives_gradient(self, kind, dtype):
        model = tiny_t5(kind, dtype=dtype)
        adapted = self.adapt(model)
        declared = {id(parameter) for parameter in adapted.parameters()}
        assert declared == {id(p) for p in model.parameters() if p.requires_grad}
        model(**batch(prompt_ids=adapted.prompt_ids)).loss.backward()
        assert declared == {id(p) for p in model.parameters() if p.grad is not None}

    def test_training_changes_the_outputs(self, kind, dtype):
        adapted = self.adapt(tiny_t5(kind, dtype=dtype))
        before = self.logits(adapted)
        assert not torch.equal(before, self.logits(self.trained(tiny_t5(kind, dtype=dtype))))

    def test_training_leaves_the_weights_of_the_base_as_they_are(self, kind):
        model = tiny_t5(kind)
        before = {id(p): p.detach().clone() for p in model.parameters()}
        self.trained(model)
        base = [p for p in model.parameters() if id(p) in before]
        assert len(base) == len(before)
        assert all(torch.equal(p, before[id(p)]) for p in base)

    def test_saved_and_loaded_it_gives_equal_logits(self, kind, dtype, tmp_path):
        adapted = self.trained(tiny_t5(kind, dtype=dtype))
        adapted.fold()
        save(adapted, tmp_path / "adapter")
        loaded = load(tiny_t5(kind, dtype=dtype), tmp_path / "adapter")
        assert torch.equal(self.logits(loaded), self.logits(adapted))

    def test_folding_keeps_the_outputs(self, kind):
        adapted = self.trained(tiny_t5(kind))
        before = self.logits(adapted)
        adapted.fold()
        torch.testing.assert_close(self.logits(adapted), before, rtol=1e-5, atol=1e-5)

    def test_generated_step_scores_equal_teacher_forced_logits(self, kind):
        adapted = self.trained(tiny_t5(kind))
        inputs = batch(prompt_ids=adapted.prompt_ids)
        del inputs["labels"]
        config = GenerationConfig(
            max_new_tokens=6,
            min_new_tokens=6,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
        out = adapted.model.generate(**inputs, generation_config=config)
        with torch.no_grad():
            forced = adapted.model(**inputs, decoder_input_ids=out.sequences[:, :-1]).logits
        torch.testing.assert_close(torch.stack(out.logits, dim=1), forced, rtol=1e-4, atol=1e-4)

    def test_beam_scores_equal_teacher_forced_likelihoods(self, kind):
        adapted = self.trained(tiny_t5(kind))
        inputs = batch(prompt_ids=adapted.prompt_ids)
        del inputs["labels"]
        config = GenerationConfig(
            max_new_tokens=5,
            min_new_tokens=5,
            num_beams=3,
            do_sample=False,
            length_penalty=0.0,
            output_scores=True,
            return_dict_in_generate=True,
            pad_token_id=0,
            eos_token_id=1,
            decoder_start_token_id=0,
        )
        out = adapted.model.generate(**inputs, generation_config=config)
        with torch.no_grad():
            logits = adapted.model(**inputs, decoder_input_ids=out.sequences[:, :-1]).logits
        # beams never end before the fifth token here, so the likelihood is over all of them
        steps = logits.log_softmax(-1).gather(2, out.sequences[:, 1:, None])[..., 0]
        torch.testing.assert_close(out.sequences_scores, steps.sum(1), rtol=1e-4, atol=1e-4)

    def test_detached_the_base_gives_bit_identical_outputs(self, kind, dtype):
        model = tiny_t5(kind, dtype=dtype)
        names = [name for name, _ in model.named_modules()]
        with torch.no_grad():
            before = model(**batch()).logits
        self.trained(model).detach()
        with torch.no_grad():
            assert torch.equal(model(**batch()).logits, before)
        assert [name for name, _ in model.named_modules()] == names
        assert model.config._attn_implementation == tiny_t5(kind).config._attn_implementation

    def test_another_seed_gives_other_first_weights_and_an_equal_one_the_same(self, kind):
        first, again, other = (self.adapt(tiny_t5(kind), seed=s).parameters() for s in (0, 0, 1))
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert any(not torch.equal(a, b) for a, b in zip(first, other, strict=True))

    def test_the_global_random_state_plays_no_part_in_first_weights(self, kind):
        torch.manual_seed(1)
        first = self.adapt(tiny_t5(kind)).parameters()
        torch.manual_seed(2)
        second = self.adapt(tiny_t5(kind)).parameters()
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))

    def test_the_footprint_counts_what_is_saved(self, kind):
        adapted = self.adapt(tiny_t5(kind))
        counts = footprint(adapted, batch(prompt_ids=adapted.prompt_ids))
        assert counts.trainable == counts.receiving_gradient == sum(p.numel() for p in adapted.parameters())
        adapted.fold()
        assert counts.stored == sum(tensor.numel() for tensor in adapted.stored().values())
        assert counts.base == sum(p.numel() for p in tiny_t5(kind).parameters())
