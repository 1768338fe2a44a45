"""How every trained network is opened: on one thread, because pools scale by processes and sums must come out alike."""

from typing import Any


def device_of(wish: str | None) -> str:
    """The device a network runs on: the one wished for, or a GPU where there is one, or the processor."""
    import torch

    return wish or ("cuda" if torch.cuda.is_available() else "cpu")


def no_bars() -> None:
    """transformers draws no progress bars from here on: in a worker nobody watches them."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def opened(weights: bytes) -> Any:
    """An onnxruntime session over the bytes of an ONNX file, quiet and ready to run."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(weights, options, providers=["CPUExecutionProvider"])
