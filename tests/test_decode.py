"""Any container, rate and layout becomes the same mono sound; broken bytes become a sentence."""

import io

import av
import numpy as np
import pytest
import soundfile
import soxr

from pipeline.decode import decode, probe, reading
from schemas.errors import DecodeError
from tests.make import RATE_HZ, beeps, quiet, tone, wav_bytes

CONTAINERS = [
    pytest.param("wav", "pcm_s16le", 44_100, id="wav"),
    pytest.param("wav", "pcm_f32le", 48_000, id="float wav"),
    pytest.param("wav", "pcm_s24le", 96_000, id="24-bit wav"),
    pytest.param("flac", "flac", 44_100, id="flac"),
    pytest.param("mp3", "libmp3lame", 44_100, id="mp3"),
    pytest.param("ogg", "vorbis", 44_100, id="ogg"),
    pytest.param("ogg", "libopus", 48_000, id="opus"),
    pytest.param("mp4", "aac", 48_000, id="m4a"),
    pytest.param("adts", "aac", 48_000, id="aac"),
    pytest.param("webm", "libopus", 48_000, id="webm"),
    pytest.param("matroska", "flac", 48_000, id="mkv"),
]
PROGRAMME = beeps((1_000, 1_500), (5_000, 5_200), (21_000, 22_000), (27_500, 27_800), duration_ms=30_000)


def encoded(samples: np.ndarray, container: str, codec: str, rate_hz: int, *, video: bool = False) -> bytes:
    """`samples` at RATE_HZ in any container, in stereo."""
    buffer = io.BytesIO()
    if codec == "vorbis":  # libsndfile has the better encoder
        stereo = np.tile(soxr.resample(samples, RATE_HZ, rate_hz), (2, 1)).T
        with soundfile.SoundFile(buffer, "w", rate_hz, 2, format="OGG", subtype="VORBIS") as file:
            for start in range(0, len(stereo), rate_hz):
                file.write(stereo[start : start + rate_hz])
        return buffer.getvalue()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate_hz, layout="stereo")
        picture = out.add_stream("mpeg4", rate=5, width=32, height=32, pix_fmt="yuv420p") if video else None
        if picture:
            for _ in range(5 * len(samples) // RATE_HZ):
                frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
                out.mux(picture.encode(frame))
            out.mux(picture.encode())
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="stereo", rate=rate_hz)
        frame = av.AudioFrame.from_ndarray(np.float32(np.tile(samples, (2, 1))), format="fltp", layout="stereo")
        frame.rate = RATE_HZ
        fifo = av.AudioFifo()
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            piece.pts = None
            fifo.write(piece)
        size = stream.codec_context.frame_size or 1_024
        while (piece := fifo.read(size, partial=True)) is not None:
            out.mux(stream.encode(piece))
        out.mux(stream.encode())
    return buffer.getvalue()


def heard(samples: np.ndarray) -> list[tuple[int, int]]:
    """Where it sounds, to the nearest 100 ms."""
    loud = np.abs(samples[: len(samples) // 1_600 * 1_600]).reshape(-1, 1_600).max(axis=1) > 0.05
    edges = np.flatnonzero(np.diff(loud, prepend=False, append=False)).reshape(-1, 2)
    return [(int(a) * 100, int(b) * 100) for a, b in edges]


@pytest.mark.parametrize(("container", "codec", "rate_hz"), CONTAINERS)
def test_every_container_gives_the_same_sound_at_the_same_time(container, codec, rate_hz):
    data = encoded(PROGRAMME, container, codec, rate_hz)
    info = probe(io.BytesIO(data))
    assert (info.rate_hz, info.channels) == (rate_hz, 2)
    assert info.duration_ms == pytest.approx(30_000, abs=120)
    samples = decode(io.BytesIO(data), RATE_HZ).waveform.samples
    for (start_ms, end_ms), (a, b) in zip(heard(samples), heard(PROGRAMME), strict=True):
        assert (start_ms, end_ms) == (pytest.approx(a, abs=100), pytest.approx(b, abs=100))


@pytest.mark.parametrize(("container", "codec", "rate_hz"), CONTAINERS)
def test_a_stretch_found_by_seeking_is_the_stretch_of_the_whole(container, codec, rate_hz):
    data = encoded(PROGRAMME, container, codec, rate_hz)
    whole = decode(io.BytesIO(data), RATE_HZ).waveform.samples
    part = decode(io.BytesIO(data), RATE_HZ, 20_500, 22_500).waveform
    assert part.start_ms == 20_500
    assert len(part.pcm) == 2_000 * 16
    middle = part.samples[100 * 16 : -100 * 16]  # the resampler begins afresh at a seam
    first = (20_500 + 100) * 16
    shifted = [whole[first + shift : first + shift + len(middle)] for shift in range(-16, 17)]
    # WebM stamps whole milliseconds, so a stretch of it may lie up to one off
    assert min(np.sqrt(np.mean((middle - there) ** 2)) for there in shifted) < 0.02


def test_the_same_stretch_twice_is_the_same_bytes():
    data = encoded(PROGRAMME, "ogg", "vorbis", 44_100)
    one, two = (decode(io.BytesIO(data), RATE_HZ, 4_000, 9_000).waveform.pcm for _ in range(2))
    assert one.tobytes() == two.tobytes()


def test_the_sound_of_a_video_is_heard():
    samples = decode(io.BytesIO(encoded(PROGRAMME, "mp4", "aac", 48_000, video=True)), RATE_HZ).waveform.samples
    assert len(heard(samples)) == 4


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 192_000])
def test_any_rate_keeps_pitch_and_length(rate_hz):
    samples = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate_hz * 2) / rate_hz)
    sound = decode(io.BytesIO(wav_bytes(samples, rate_hz)), RATE_HZ).waveform
    assert len(sound.pcm) == 2 * RATE_HZ
    assert np.argmax(np.abs(np.fft.rfft(sound.samples))) / 2 == pytest.approx(440, abs=1)


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_channels_are_averaged(channels):
    samples = np.zeros((RATE_HZ, channels))
    samples[:, 0] = tone(1_000)
    sound = decode(io.BytesIO(wav_bytes(samples)), RATE_HZ).waveform
    np.testing.assert_allclose(sound.samples, tone(1_000) / channels, atol=1e-3)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_any_sample_format_keeps_its_level(subtype):
    sound = decode(io.BytesIO(wav_bytes(tone(500), subtype=subtype)), RATE_HZ).waveform
    np.testing.assert_allclose(sound.samples, tone(500), atol=0.01)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        pytest.param(b"", "cannot|not audio", id="nothing"),
        pytest.param(b"this is a text file\n" * 50, "not audio", id="text"),
        pytest.param(bytes(4_096), "not audio|no sound", id="zeros"),
        pytest.param(b"RIFF\x00\x00\x00\x00WAVEfmt ", "not audio|no sound", id="a header alone"),
        pytest.param(wav_bytes(quiet(0)), "no sound|zero|not audio", id="no samples"),
    ],
)
def test_what_is_no_audio_is_told_in_a_sentence(data, words):
    with pytest.raises(DecodeError, match=words):
        _ = probe(io.BytesIO(data)), decode(io.BytesIO(data), RATE_HZ)


def test_a_video_without_sound_is_told():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        picture = out.add_stream("mpeg4", rate=5, width=32, height=32, pix_fmt="yuv420p")
        out.mux(picture.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        out.mux(picture.encode())
    with pytest.raises(DecodeError, match="no sound track; it holds video"):
        probe(io.BytesIO(buffer.getvalue()))


def test_twenty_milliseconds_are_a_recording():
    assert decode(io.BytesIO(wav_bytes(tone(20))), RATE_HZ).waveform.duration_ms == 20


def test_a_few_bad_samples_become_zero_and_are_counted():
    samples = tone(1_000)
    samples[100:110] = np.nan
    samples[200] = np.inf
    decoded = decode(io.BytesIO(wav_bytes(samples, subtype="FLOAT")), RATE_HZ)
    assert decoded.num_repaired == 11
    assert np.isfinite(decoded.waveform.samples).all()


def test_a_recording_of_bad_samples_is_refused_with_their_number():
    samples = tone(1_000)
    samples[::2] = np.nan
    with pytest.raises(DecodeError, match="8000 of 16000 samples are not numbers"):
        decode(io.BytesIO(wav_bytes(samples, subtype="FLOAT")), RATE_HZ)


@pytest.mark.parametrize(("container", "codec", "rate_hz"), CONTAINERS)
@pytest.mark.parametrize("kept", [0.02, 0.5, 0.9])
def test_a_truncated_file_gives_what_there_is_or_a_sentence(container, codec, rate_hz, kept):
    data = encoded(PROGRAMME, container, codec, rate_hz)
    try:
        sound = decode(io.BytesIO(data[: int(kept * len(data))]), RATE_HZ).waveform
    except DecodeError:
        return
    assert 0 < sound.duration_ms <= 30_100


def test_a_wav_cut_short_says_so():
    data = wav_bytes(tone(2_000))
    assert "header promises 64044 bytes, and there are 32022" in str(decode(io.BytesIO(data[:32_022]), RATE_HZ).trouble)
    assert decode(io.BytesIO(data), RATE_HZ).trouble is None


def test_bytes_gone_bad_in_the_middle_cost_no_more_than_themselves():
    data = bytearray(encoded(PROGRAMME, "flac", "flac", 44_100))
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    decoded = decode(io.BytesIO(bytes(data)), RATE_HZ)
    assert decoded.waveform.duration_ms > 20_000


def test_what_is_read_is_not_rounded():
    """A tone far below the last of sixteen bits, at a rate of its own, out of two channels and from 0.5 s on."""
    faint = (1e-6 * np.sin(np.arange(44_100) / 7)).astype(np.float32)
    file = io.BytesIO()
    soundfile.write(file, np.stack([faint, -3 * faint], axis=1), 44_100, format="WAV", subtype="FLOAT")
    file.seek(0)
    with reading(file, start_ms=500) as reader:
        assert reader.rate_hz == 44_100
        heard = np.concatenate(list(reader.blocks()))
    np.testing.assert_allclose(heard, -faint[22_050:], atol=1e-12)
