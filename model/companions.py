"""What stands beside the weights and `config.json`, so that other programs can open a checkpoint."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.config import ModelConfig
from model.prompt import DEFAULT_SYSTEM
from model.tokens import MAX_TOKENIZER_BYTES, MEL_CONFIG, PROCESSOR_FILE, STRINGS, TOKENIZER_FILE, Tokenizer
from model.weights import inside
from schemas.errors import InputError, StoreError

CHAT_TEMPLATE = """\
{%- if messages[0].role != 'system' -%}
{{- '<|im_start|>system\\nSYSTEM<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.content is string -%}
{{- message.content -}}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type in ('audio', 'audio_url', 'input_audio') -%}
{{- '<|audio_bos|><|AUDIO|><|audio_eos|>\\n' -}}
{%- elif part.type == 'text' -%}
{{- part.text -}}
{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
""".replace("SYSTEM", DEFAULT_SYSTEM)
"""The layout of `model.prompt`. A placeholder stands for a whole audio; whoever serves the model fills it in."""

COPIED = (".json", ".jinja", ".txt", ".py", ".model")
LEFT = re.compile(r"config\.json|.*\.index\.json")
SAFE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
MAX_FILES = 100
MAX_FILE_BYTES = MAX_TOKENIZER_BYTES


def write(folder: Path, config: ModelConfig, tokenizer: Tokenizer) -> None:
    """What a fresh model needs. Raises ConfigError where `config` belongs to another tokenizer."""
    tokenizer.check(config)
    special = tokenizer.special
    bodies: dict[str, dict[str, Any]] = {
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": config.language_config.max_position_embeddings,
            "eos_token": STRINGS["im_end"],
            "pad_token": STRINGS["end_of_text"],
            "clean_up_tokenization_spaces": False,
        },
        "generation_config.json": {
            "do_sample": True,
            "temperature": 1.0,
            "top_p": 1.0,
            "top_k": 50,
            "max_new_tokens": 1024,
            "bos_token_id": special.end_of_text,
            "eos_token_id": [special.im_end, special.end_of_text],
            "pad_token_id": special.end_of_text,
        },
        PROCESSOR_FILE: {
            "audio_token_id": special.audio,
            "audio_start_id": special.audio_start,
            "audio_end_id": special.audio_end,
            "enable_time_marker": tokenizer.time_markers,
            "mel_config": MEL_CONFIG,
        },
        "preprocessor_config.json": {
            "feature_extractor_type": "WhisperFeatureExtractor",
            "feature_size": MEL_CONFIG["mel_dim"],
            "sampling_rate": MEL_CONFIG["mel_sr"],
            "hop_length": MEL_CONFIG["mel_hop_length"],
            "n_fft": MEL_CONFIG["mel_n_fft"],
            "chunk_length": 30,
            "n_samples": 30 * MEL_CONFIG["mel_sr"],
            "nb_max_frames": 30 * MEL_CONFIG["mel_sr"] // MEL_CONFIG["mel_hop_length"],
            "padding_side": "right",
            "padding_value": 0.0,
            "return_attention_mask": False,
        },
    }
    texts = {name: json.dumps(body, indent=2) + "\n" for name, body in bodies.items()}
    texts |= {TOKENIZER_FILE: tokenizer.to_json(), "chat_template.jinja": CHAT_TEMPLATE}
    _put(folder, {name: text.encode() for name, text in texts.items()})


def copy(source: Path, folder: Path) -> tuple[str, ...]:
    """Copies what stands beside the weights of `source`, byte for byte, and returns the names.

    Neither weights nor their index nor `config.json`; no folders, and nothing with a name other than letters, digits,
    dots, dashes and underscores. Python files are carried, never run. Before writing anything, raises InputError for
    a file beyond `MAX_FILE_BYTES` or more files than `MAX_FILES`, CheckpointError for a link that leaves the folder.
    """
    try:
        names = sorted(entry.name for entry in source.iterdir() if _is_companion(entry))
    except OSError as error:
        raise InputError(f"{source} cannot be listed ({error.strerror}); give the folder of a checkpoint") from error
    if len(names) > MAX_FILES:
        raise InputError(f"{source} has {len(names)} files beside its weights; no more than {MAX_FILES} are copied")
    _put(folder, {name: _contents(source / name) for name in names})
    return tuple(names)


def _is_companion(path: Path) -> bool:
    name = path.name
    named = SAFE_NAME.fullmatch(name) and name.endswith(COPIED) and not LEFT.fullmatch(name)
    return bool(named) and (path.is_symlink() or path.is_file())


def _contents(path: Path) -> bytes:
    try:
        target = inside(path.parent, path.name).resolve(strict=True)
        if not target.is_file():
            raise InputError(f"{path} is no file")
        with target.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except (OSError, RuntimeError) as error:  # a link to itself is a RuntimeError
        raise InputError(f"{path} cannot be read: {error}") from error
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"{path} has more than {MAX_FILE_BYTES:,} bytes; move it away if it is no part of the model")
    return data


def _put(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Each file whole or not at all; a link of its name is replaced, not followed."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in contents.items():
            beside = folder / f".{name}.part"
            beside.unlink(missing_ok=True)
            with beside.open("xb") as file:
                file.write(data)
            beside.replace(folder / name)
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}") from error
