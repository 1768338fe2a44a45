"""The published code's own answers, where its reference activations lie beside the checkout."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer as RawTokenizer

from model import decoding
from model.generate import Generator, Request
from model.prompt import Prompt
from model.sampling import Sampling
from model.tokens import Tokenizer
from model.vocabulary import build

torch.set_num_threads(1)

PARITY = Path(__file__).parents[2] / "shared" / "parity"


def parity_tokenizer() -> Tokenizer:
    """Bytes, with the special ids the reference was made with: 600 to 602, digits 15 to 24."""
    body = json.loads(build().to_str())
    fixed = {"<|AUDIO|>": 600, "<|audio_bos|>": 601, "<|audio_eos|>": 602} | {str(d): 15 + d for d in range(10)}
    spare = iter(number for number in range(600) if number not in fixed.values())
    ids = {token: fixed[token] if token in fixed else next(spare) for token in body["model"]["vocab"]}
    body["model"]["vocab"] = ids
    for token in body["added_tokens"]:
        token["id"] = ids[token["content"]]
    return Tokenizer(RawTokenizer.from_str(json.dumps(body)))


@pytest.mark.parametrize("scope", ["block_4s", "full"])
def test_says_what_the_published_code_says(scope):
    folder = PARITY / scope
    if not folder.is_dir():
        pytest.skip("no reference activations beside the checkout (../shared/parity)")
    from safetensors.torch import load_file

    from model.checkpoint import read_config
    from model.config import Scope
    from model.model import AudioLM

    config = replace(read_config(folder), audio_token_id=600, encoder_attention=Scope(scope))
    model = AudioLM(config)
    model.load_state_dict(load_file(folder / "model.safetensors"))
    cases = load_file(folder / "cases.safetensors")
    names = sorted({name.split(".")[0] for name in cases})
    requests, wanted = [], []
    for name in names:
        mel = cases[f"{name}.mel"].numpy()
        ids = tuple(cases[f"{name}.input_ids"][0].tolist())
        requests.append(Request(prompt=Prompt(ids=ids, frames=(mel.shape[1],)), mels=(mel,)))
        wanted.append(tuple(cases[f"{name}.greedy_ids"][0].tolist()))
    sampling = Sampling(temperature=0.0, max_new_tokens=len(wanted[0]), stop_ids=())
    answers = Generator(model, parity_tokenizer()).generate(requests, sampling)
    asked = [(request.prompt, request.mels) for request in requests]
    assert decoding.greedy_ids(model, asked, len(wanted[0])).tolist() == list(map(list, wanted))
    assert [answer.ids for answer in answers] == wanted
