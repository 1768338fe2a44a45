"""Makes `encoder.onnx` out of the weights of Resemblyzer's voice encoder: python -m annotators.speakers.convert

Run once, by whoever renews the weights, with the packages resemblyzer, torch and onnx installed; nothing of them
is needed where the encoder runs. The weights are stored in half precision, which the runtime widens as it loads
them. It checks itself: the embeddings must be the package's own.
"""

from importlib.metadata import version
from typing import Any

import numpy as np

from annotators.speakers.encoder import HOP_SAMPLES, NUM_MELS, RATE_HZ, REVISION_KEY, WEIGHTS, SpeakerEncoder, mels

NUM_LAYERS, HIDDEN = 3, 256
LEAST_COSINE = 0.999
OPSET, IR_VERSION = 17, 8  # old enough for any onnxruntime that runs on Python 3.11


def main() -> None:
    from resemblyzer import VoiceEncoder

    package = VoiceEncoder("cpu", verbose=False)
    state = {name: value.numpy() for name, value in package.state_dict().items()}
    WEIGHTS.write_bytes(onnx_of(state, f"resemblyzer-encoder@{version('resemblyzer')}"))
    worst = least_cosine(package)
    if worst < LEAST_COSINE:
        WEIGHTS.unlink()
        raise SystemExit(f"the embeddings are not the package's: cosine {worst:.5f} is below {LEAST_COSINE}")
    print(f"{WEIGHTS}: {WEIGHTS.stat().st_size / 1e6:.2f} MB, least cosine with the package {worst:.6f}")


def onnx_of(state: dict[str, np.ndarray], revision: str) -> bytes:
    """Mels of shape (windows, frames, 40) to embeddings of shape (windows, 256), of length 1."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    weights: list[Any] = []

    def weight(name: str, value: np.ndarray) -> str:
        weights.append(numpy_helper.from_array(value.astype(np.float16), f"{name}_half"))
        nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
        return name

    nodes.append(helper.make_node("Transpose", ["mels"], ["sequence"], perm=[1, 0, 2]))
    heard = "sequence"
    for layer in range(NUM_LAYERS):
        inputs = weight(f"input_{layer}", _gates(state[f"lstm.weight_ih_l{layer}"])[None])
        hidden = weight(f"hidden_{layer}", _gates(state[f"lstm.weight_hh_l{layer}"])[None])
        both = (_gates(state[f"lstm.bias_{which}_l{layer}"]) for which in ("ih", "hh"))
        bias = weight(f"bias_{layer}", np.concatenate(list(both))[None])
        outputs = [f"every_{layer}", f"last_{layer}"]
        nodes.append(helper.make_node("LSTM", [heard, inputs, hidden, bias], outputs, hidden_size=HIDDEN))
        nodes.append(helper.make_node("Squeeze", [f"every_{layer}", "direction"], [f"heard_{layer}"]))
        heard = f"heard_{layer}"
    weights.append(numpy_helper.from_array(np.array([1]), "direction"))
    weights.append(numpy_helper.from_array(np.array([0]), "first"))
    nodes += [
        helper.make_node("Squeeze", [f"last_{NUM_LAYERS - 1}", "first"], ["last"]),
        helper.make_node("MatMul", ["last", weight("linear", state["linear.weight"].T)], ["turned"]),
        helper.make_node("Add", ["turned", weight("offset", state["linear.bias"])], ["line"]),
        helper.make_node("Relu", ["line"], ["positive"]),
        helper.make_node("LpNormalization", ["positive"], ["embeddings"], axis=1, p=2),
    ]
    nodes.sort(key=lambda node: node.op_type != "Cast")  # an input must be made before it is read
    graph = helper.make_graph(
        nodes,
        "voice_encoder",
        [helper.make_tensor_value_info("mels", TensorProto.FLOAT, ["windows", "frames", NUM_MELS])],
        [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["windows", HIDDEN])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(model, {REVISION_KEY: revision, "licence": "Apache-2.0"})
    serialised: bytes = model.SerializeToString()
    return serialised


def _gates(rows: np.ndarray) -> np.ndarray:
    """torch stacks the gates as input, forget, cell, output; ONNX as input, output, forget, cell."""
    i, f, c, o = np.split(rows, 4)
    return np.concatenate([i, o, f, c])


def least_cosine(package: Any) -> float:
    """Of the embeddings of the package with ours, over sounds of many pitches, levels and degrees of noise."""
    encoder = SpeakerEncoder()
    random = np.random.default_rng(0)
    cosines = []
    for pitch_hz in np.geomspace(80, 320, 12):
        time_s = np.arange(3 * RATE_HZ) / RATE_HZ
        glide = 2 * np.pi * pitch_hz * (time_s + 0.1 * np.sin(time_s))
        voice = sum(np.sin(n * glide) / n for n in range(1, 20)) * (1 + np.sin(2 * np.pi * 4 * time_s))
        samples = (0.02 * voice + random.uniform(0, 0.02) * random.standard_normal(len(time_s))).astype(np.float32)
        _, theirs, slices = package.embed_utterance(samples, return_partials=True)
        spectra = mels(np.pad(samples, (0, max(0, slices[-1].stop - len(samples)))))
        frames = [slice(piece.start // HOP_SAMPLES, piece.stop // HOP_SAMPLES) for piece in slices]
        ours = encoder.embed(np.stack([spectra[piece] for piece in frames]))
        cosines += list(np.sum(theirs * ours, axis=1))
    return float(min(cosines))


if __name__ == "__main__":
    main()
