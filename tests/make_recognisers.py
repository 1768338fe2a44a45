"""Tiny recognisers with random weights, in the files and the layout of the published ones."""

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
from tokenizers import pre_tokenizers

from schemas.audio import Waveform

RATE_HZ = 16_000
END_OF_TEXT = 50_257  # where Whisper's special tokens begin in all its multilingual vocabularies
TIMES = [f"<|{number * 0.02:.2f}|>" for number in range(1501)]


def voice(duration_ms: int, seed: int = 0, start_ms: int = 0) -> Waveform:
    """Something like a voice: a few harmonics that glide, syllable by syllable, in a little noise."""
    random = np.random.default_rng(seed)
    time_s = np.arange(duration_ms * RATE_HZ // 1000) / RATE_HZ
    pitch_hz = random.uniform(90, 220) * (1 + 0.2 * np.sin(2 * np.pi * random.uniform(0.5, 2) * time_s))
    phase = 2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ
    tones = sum(random.uniform(0.1, 1) / n * np.sin(n * phase) for n in range(1, 12))
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * random.uniform(2, 5) * time_s)
    samples = 0.1 * tones * syllables + 0.003 * random.standard_normal(len(time_s))
    return Waveform.from_float(np.asarray(samples), RATE_HZ, start_ms)


# ---------------------------------------------------------------------------------------- tokenizers


def _tokenizer(tokens: list[str], added: list[dict], *, pre_tokenizer: dict, decoder: dict, model: dict) -> dict:
    """A tokenizer.json of whole tokens, without merges."""
    vocab = {token: number for number, token in enumerate(tokens)}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": None,
        "decoder": decoder,
        "model": {"type": "BPE", "dropout": None, "byte_fallback": False, "vocab": vocab, "merges": []} | model,
    }


def _added(number: int, text: str, *, special: bool = True) -> dict:
    plain = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    return {"id": number, "content": text, "special": special, **plain}


# ------------------------------------------------------------------------------------------- Whisper


def whisper_special_tokens() -> list[str]:
    """In the order of large-v3: 51,866 tokens in all, the times the last of them."""
    tasks = ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
    return ["<|endoftext|>", "<|startoftranscript|>", *whisper_languages(), *tasks]


def whisper_languages() -> list[str]:
    from transformers.models.whisper.tokenization_whisper import LANGUAGES

    return [f"<|{code}|>" for code in LANGUAGES]


def whisper_tokenizer() -> dict:
    """Bytes first, then words of three syllables up to the published number, then the special tokens and the times.

    The last of the words is empty, as published: by that CTranslate2 knows a Whisper of many languages.
    """
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    words = ("Ġ" + "".join(parts) for parts in itertools.product(syllables, repeat=3))
    tokens = [*letters, *itertools.islice(words, END_OF_TEXT - len(letters) - 1), ""]
    special = whisper_special_tokens()
    by_bytes = {"type": "ByteLevel", "trim_offsets": True, "use_regex": True}
    return _tokenizer(
        tokens,
        [_added(END_OF_TEXT + n, text, special=n < len(special)) for n, text in enumerate([*special, *TIMES])],
        pre_tokenizer=by_bytes | {"add_prefix_space": False},
        decoder=by_bytes | {"add_prefix_space": True},
        model={"unk_token": None, "continuing_subword_prefix": "", "end_of_word_suffix": "", "fuse_unk": False},
    )


def tiny_whisper_transformers(folder: Path, seed: int = 1, **sizes: object) -> Path:
    """A Whisper of transformers in the layout of large-v3: its vocabulary, its 128 mels, its windows of 30 s.

    With its own seed it hears several languages, one without spaces among them. `sizes` are settings of its config.
    """
    import torch
    from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    folder.mkdir(parents=True, exist_ok=True)
    special = whisper_special_tokens()
    id_by_token = {token: END_OF_TEXT + n for n, token in enumerate(special)}
    torch.manual_seed(seed)
    small = {
        "d_model": 16,
        "encoder_layers": 1,
        "decoder_layers": 2,
        "encoder_attention_heads": 2,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 32,
        "decoder_ffn_dim": 32,
        "init_std": 0.5,
    }
    config = WhisperConfig(
        **(small | sizes),
        vocab_size=END_OF_TEXT + len(special) + len(TIMES),
        num_mel_bins=128,
        max_source_positions=1500,
        max_target_positions=448,
        decoder_start_token_id=id_by_token["<|startoftranscript|>"],
        bos_token_id=END_OF_TEXT,
        eos_token_id=END_OF_TEXT,
        pad_token_id=END_OF_TEXT,
    )
    model = WhisperForConditionalGeneration(config).eval()
    model.generation_config = GenerationConfig(
        decoder_start_token_id=config.decoder_start_token_id,
        bos_token_id=END_OF_TEXT,
        eos_token_id=END_OF_TEXT,
        pad_token_id=END_OF_TEXT,
        max_length=448,
        suppress_tokens=[],
        begin_suppress_tokens=[220, END_OF_TEXT],
        is_multilingual=True,
        lang_to_id={token: id_by_token[token] for token in whisper_languages()},
        task_to_id={"transcribe": id_by_token["<|transcribe|>"], "translate": id_by_token["<|translate|>"]},
        no_timestamps_token_id=id_by_token["<|notimestamps|>"],
        prev_sot_token_id=id_by_token["<|startofprev|>"],
        alignment_heads=[[config.decoder_layers - 1, head] for head in range(2)],
        max_initial_timestamp_index=50,
        return_timestamps=False,
    )
    model.save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=128).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(whisper_tokenizer()))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "WhisperTokenizer",
                "bos_token": "<|endoftext|>",
                "eos_token": "<|endoftext|>",
                "unk_token": "<|endoftext|>",
                "pad_token": "<|endoftext|>",
                "additional_special_tokens": special,
                "model_max_length": 448,
            }
        )
    )
    return folder


def tiny_whisper(folder: Path, seed: int = 1, *, quantization: str | None = None, **sizes: object) -> Path:
    """The same as a CTranslate2 folder, by CTranslate2's own converter."""
    from ctranslate2.converters import TransformersConverter

    made = tiny_whisper_transformers(folder.with_name(folder.name + "-transformers"), seed, **sizes)
    TransformersConverter(str(made), copy_files=["tokenizer.json", "preprocessor_config.json"]).convert(
        str(folder), quantization=quantization, force=True
    )
    shutil.rmtree(made)
    return folder


# --------------------------------------------------------------------------------------- wav2vec 2.0

MMS_LETTERS = "aienoutsrmkldghybpwcvjzf'qx"
ENGLISH_LETTERS = "ETAONIHSRDLUMWCFGYPBVK'XJQZ"


def tiny_ctc(folder: Path, seed: int = 0, *, like: str = "mms", **sizes: object) -> Path:
    """A wav2vec 2.0 with a CTC head: `mms` as the aligner of MMS, layers normalised and no token between words;
    `base` as wav2vec2-base-960h, normalised over time, with upper-case letters and `|` between words."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

    folder.mkdir(parents=True, exist_ok=True)
    mms = like == "mms"
    special = ["<blank>", "<pad>", "</s>", "<unk>"] if mms else ["<pad>", "<s>", "</s>", "<unk>", "|"]
    vocabulary = {token: n for n, token in enumerate([*special, *(MMS_LETTERS if mms else ENGLISH_LETTERS)])}
    vocabulary_file = folder / "vocab.json"
    vocabulary_file.write_text(json.dumps(vocabulary))
    torch.manual_seed(seed)
    small = {
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "conv_dim": (16,) * 7,
        "num_conv_pos_embeddings": 16,
        "num_conv_pos_embedding_groups": 2,
        "initializer_range": 0.5,
    }
    config = Wav2Vec2Config(
        **(small | sizes),
        vocab_size=len(vocabulary),
        conv_bias=mms,
        feat_extract_norm="layer" if mms else "group",
        do_stable_layer_norm=mms,
        pad_token_id=0,
    )
    Wav2Vec2ForCTC(config).eval().save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True, return_attention_mask=mms).save_pretrained(folder)
    Wav2Vec2CTCTokenizer(
        str(vocabulary_file), pad_token=special[0], word_delimiter_token="|", do_lower_case=False
    ).save_pretrained(folder)
    return folder


# ------------------------------------------------------------------------------------------ Parakeet


def tiny_parakeet(folder: Path, seed: int = 0, *, encoder: dict | None = None, **sizes: object) -> Path:
    """A token-and-duration transducer in the layout of parakeet-tdt-0.6b-v3: 8,192 pieces and a blank, 128 mels.

    Its joint network leans to the blank and to steps of some frames, or it would write ten tokens for every frame.
    """
    import torch
    from transformers import (
        GenerationConfig,
        ParakeetFeatureExtractor,
        ParakeetForTDT,
        ParakeetProcessor,
        ParakeetTDTConfig,
        ParakeetTokenizer,
    )

    folder.mkdir(parents=True, exist_ok=True)
    pieces = 8_192
    small = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "subsampling_conv_channels": 16,
    }
    config = ParakeetTDTConfig(
        **({"decoder_hidden_size": 32} | sizes),
        vocab_size=pieces + 1,
        blank_token_id=pieces,
        pad_token_id=2,
        decoder_start_token_id=pieces,
        encoder_config={
            **small,
            **(encoder or {}),
            "num_mel_bins": 128,
            "attention_bias": False,
            "convolution_bias": False,
            "scale_input": False,
        },
    )
    torch.manual_seed(seed)
    model = ParakeetForTDT(config).eval()
    with torch.no_grad():
        head = model.joint.head
        head.weight.normal_(0, 32 / head.in_features**0.5)
        head.bias.zero_()
        head.bias[pieces] = 6.0
        head.bias[pieces + 1] = -9.0  # no step is of no frames
    model.generation_config = GenerationConfig(decoder_start_token_id=pieces, pad_token_id=2)
    model.save_pretrained(folder)
    (folder / "tokenizer.json").write_text(json.dumps(_pieces(pieces)))
    tokenizer = ParakeetTokenizer(
        tokenizer_file=str(folder / "tokenizer.json"), unk_token="<unk>", pad_token="<pad>", model_max_length=1 << 30
    )
    ParakeetProcessor(
        ParakeetFeatureExtractor(feature_size=128), tokenizer, blank_token="<blank>", decoder_type="tdt"
    ).save_pretrained(folder)
    return folder


def _pieces(number: int) -> dict:
    """A tokenizer of SentencePiece's kind: controls, letters, words that begin with its blank, and <blank> the last."""
    controls = ["<unk>", "<|nospeech|>", "<pad>", "<|endoftext|>"]
    letters = [*"abcdefghijklmnopqrstuvwxyzäöüéèßñçøåčšž.,?!'", "\u2581"]
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    words = (start + "".join(parts) for parts in itertools.product(syllables, repeat=2) for start in ("\u2581", ""))
    tokens = [*controls, *letters, *itertools.islice(words, number - len(controls) - len(letters))]
    mark = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    return _tokenizer(
        tokens,
        [_added(index, text) for index, text in [*enumerate(controls), (number, "<blank>")]],
        pre_tokenizer=mark,
        decoder=mark,
        model={
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
        },
    )


def babbling_parakeet(folder: Path, seed: int = 0) -> Path:
    """The same kind, of a few syllables, which goes on writing wherever it is asked to."""
    import torch
    from tokenizers import Tokenizer, decoders, models
    from transformers import (
        GenerationConfig,
        ParakeetEncoderConfig,
        ParakeetFeatureExtractor,
        ParakeetForTDT,
        ParakeetProcessor,
        ParakeetTDTConfig,
        ParakeetTokenizer,
    )

    folder.mkdir(parents=True, exist_ok=True)
    syllables = [a + b for a in "bdgkm" for b in "aeiou"]
    tokens = ["<unk>", "<pad>", *(f"▁{one}" for one in syllables), *syllables]
    blank = len(tokens)
    bpe = Tokenizer(models.BPE(vocab={token: n for n, token in enumerate(tokens)}, merges=[], unk_token="<unk>"))
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    encoder = ParakeetEncoderConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        num_mel_bins=128,
        subsampling_conv_channels=16,
    )
    torch.manual_seed(seed)
    config = ParakeetTDTConfig(
        vocab_size=blank + 1,
        decoder_hidden_size=16,
        pad_token_id=1,
        blank_token_id=blank,
        encoder_config=encoder.to_dict(),
    )
    model = ParakeetForTDT(config).eval()
    with torch.no_grad():
        for weights in model.parameters():
            weights.mul_(4 if weights.ndim > 1 else 1)
    model.generation_config = GenerationConfig(
        decoder_start_token_id=blank,
        pad_token_id=1,
        suppress_tokens=[*range(blank + 1, blank + 1 + len(config.durations))],
    )
    model.save_pretrained(folder)
    tokenizer = ParakeetTokenizer(tokenizer_object=bpe, unk_token="<unk>", pad_token="<pad>")
    ParakeetProcessor(
        feature_extractor=ParakeetFeatureExtractor(feature_size=128), tokenizer=tokenizer
    ).save_pretrained(folder)
    return folder
