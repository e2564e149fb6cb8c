"""Write the logits that AdapterHub computes for small random models: tests/methods/adapterhub.safetensors.

AdapterHub's package wants an older transformers, so it has an environment of its own:

    python -m venv hub && hub/bin/pip install torch adapters==1.3.0
    hub/bin/python benchmarks/adapterhub_logits.py

Made with adapters 1.3.0, transformers 4.57.6 and torch 2.13. Each case has the weights of a random model,
those of random adapters under the names that tuneoff gives them, an input, and the logits.
"""

import re
from pathlib import Path

import adapters
import torch
from adapters import DoubleSeqBnConfig, ParBnConfig, SeqBnConfig
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    T5Config,
    T5ForConditionalGeneration,
)

FILE = Path(__file__).parents[1] / "tests" / "methods" / "adapterhub.safetensors"
_T5 = T5Config(
    vocab_size=24, d_model=16, d_kv=4, d_ff=24, num_layers=1, num_heads=2, decoder_start_token_id=0
)
_BART = BartConfig(
    vocab_size=24,
    d_model=16,
    encoder_layers=1,
    decoder_layers=1,
    encoder_attention_heads=2,
    decoder_attention_heads=2,
    encoder_ffn_dim=24,
    decoder_ffn_dim=24,
    max_position_embeddings=16,
)
_GPT2 = GPT2Config(vocab_size=24, n_embd=16, n_layer=2, n_head=2, n_positions=16)
_HOULSBY = DoubleSeqBnConfig(reduction_factor=4, cross_adapter=True)
CASES = {
    "t5-houlsby": (T5ForConditionalGeneration, _T5, _HOULSBY),
    "bart-houlsby": (BartForConditionalGeneration, _BART, _HOULSBY),
    "bart-parallel": (BartForConditionalGeneration, _BART, ParBnConfig(reduction_factor=4)),
    # its own default reads the output after it was added to what goes past the network
    "gpt2-pfeiffer": (GPT2LMHeadModel, _GPT2, SeqBnConfig(reduction_factor=4, original_ln_before=False)),
}
ENDS = {
    r"encoder\.block\.(\d+)\.layer\.0": r"encoder.block.\1.layer.0.SelfAttention.o",
    r"encoder\.block\.(\d+)\.layer\.1": r"encoder.block.\1.layer.1.DenseReluDense.wo",
    r"decoder\.block\.(\d+)\.layer\.0": r"decoder.block.\1.layer.0.SelfAttention.o",
    r"decoder\.block\.(\d+)\.layer\.1": r"decoder.block.\1.layer.1.EncDecAttention.o",
    r"decoder\.block\.(\d+)\.layer\.2": r"decoder.block.\1.layer.2.DenseReluDense.wo",
    r"(.*layers\.\d+)\.attention_adapters": r"\1.self_attn.out_proj",
    r"(.*layers\.\d+)\.cross_attention_adapters": r"\1.encoder_attn.out_proj",
    r"(.*layers\.\d+)\.output_adapters": r"\1.fc2",
    r"(transformer\.h\.\d+)\.output_adapters": r"\1.mlp.c_proj",
}
"""From where AdapterHub keeps an adapter to the layer that the sublayer ends with."""


def main() -> None:
    """Write all cases."""
    torch.manual_seed(0)
    tensors = {}
    for name, (model_class, config, adapter) in CASES.items():
        case = _case(model_class(config).eval(), adapter)
        tensors |= {f"{name}/{key}": value.detach().clone().contiguous() for key, value in case.items()}
    save_file(tensors, FILE)


@torch.no_grad()
def _case(model: PreTrainedModel, adapter: adapters.BnConfig) -> dict[str, Tensor]:
    case = {}
    for name, weight in model.named_parameters():
        weight.normal_(0, 0.3)
        case[f"model/{name}"] = weight.clone()
    adapters.init(model)
    model.add_adapter("added", config=adapter, set_active=True)
    for name, weight in model.named_parameters():
        if match := re.fullmatch(r"(.*?)(?:\.adapters)\.added\.adapter_(down|up)(?:\.0)?\.(\w+)", name):
            weight.normal_(0, 0.5)
            place, side, kind = match.groups()
            (end,) = [re.sub(old, new, place) for old, new in ENDS.items() if re.fullmatch(old, place)]
            case[f"adapter/{end}.{side}.{kind}"] = weight.clone()
    ids = torch.randint(3, 24, (2, 7))
    inputs = {"input_ids": ids}
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = ids[:, :4]
    return case | {"ids": ids, "logits": model(**inputs).logits}


if __name__ == "__main__":
    main()
