"""The recipe `gpu` as a whole, as somebody runs it: every model in its published format, tiny and untrained.

The models say nonsense, so what is held here is that nonsense in every branch harms nothing, and that whatever the
records say can be followed to where it comes from.
"""

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from jobs.cli import cli
from jobs.doctor import models_in
from jobs.recipes import gpu
from pipeline.annotate import standing
from pipeline.route import fingerprint
from schemas.record import Branch, Outcome, Record
from schemas.shard import Status, shards_in
from schemas.store import Store, store_at
from schemas.weights import MODELS, content_hash
from tests.chat_server import ChatServer, Request
from tests.honest_writer import facts_of, told, writes
from tests.make_models import MAKERS, write_models
from tests.recipes import gpu_on_processors
from tests.runs import annotated, files_of, records_of, rows_of

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
RECIPE = f"{ROOT}/tests/recipes.py:gpu_on_processors"
WRITER = "Qwen/Qwen3-30B-A3B-Instruct-2507"
INVENTED = "A priest rings the bells of a cathedral."
NOBODY = "http://127.0.0.1:9/v1"  # where no server is


def invents(request: Request) -> object:
    """An honest answer, and a sentence that is in no fact."""
    answer = writes(request)
    if "claims" in answer:
        answer["claims"].append(told(INVENTED, facts_of(request)[0]))
    return answer


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    return write_models(tmp_path_factory.mktemp("models"), models_in(gpu()))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    """People who talk, a piece of music with claps after it, and a siren and something like a voice in the rain."""
    from jobs.demo import at_db, clap, music, over, rain, sequence, silence, siren, voice

    folder = tmp_path_factory.mktemp("recordings")
    sample = Path(next(iter(find_spec("pyannote").submodule_search_locations))) / "audio" / "sample" / "sample.wav"
    talk, rate_hz = soundfile.read(sample)
    soundfile.write(folder / "talk.wav", talk[5 * rate_hz : 20 * rate_hz], rate_hz)
    drawn = np.random.default_rng(7)
    concert = sequence([silence(1), music(9), silence(2), *[clap(drawn) for _ in range(4)], silence(1)])
    street = over(
        at_db(rain(drawn, 14), -44), sequence([silence(1), siren(3), silence(2), voice(drawn, 6, 140), silence(2)])
    )
    for name, samples in {"concert.flac": concert, "street.ogg": street}.items():
        soundfile.write(folder / name, np.clip(samples, -0.99, 0.99), 16_000)
    return folder


@dataclass(frozen=True, kw_only=True)
class Run:
    printed: str
    store: Store
    asked: list[Request]

    @property
    def records(self) -> list[Record]:
        return records_in(self.store)


def records_in(store: Store) -> list[Record]:
    assert [row for row in rows_of(store) if row.status is Status.FAILURE] == []
    return records_of(store)


def earmark(*arguments: object, **variables: str) -> subprocess.CompletedProcess[str]:
    settings = os.environ | {"HF_HUB_OFFLINE": "1", "COLUMNS": "200", "EARMARK_LLM_URL": NOBODY} | variables
    return subprocess.run(
        [sys.executable, "-m", "jobs", *map(str, arguments)],
        cwd=ROOT,
        env=settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )


def typed(*arguments: object, **variables: str) -> tuple[int, str]:
    """Exit code and what is printed, of a command that starts no workers, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ({"HF_HUB_OFFLINE": "1", "EARMARK_LLM_URL": NOBODY, MODELS: ""} | variables).items():
            patch.setenv(name, value)
        result = CliRunner().invoke(cli, [str(argument) for argument in arguments], catch_exceptions=False)
    return result.exit_code, result.output


@pytest.fixture(scope="module")
def run(models, recordings, tmp_path_factory) -> Run:
    output = tmp_path_factory.mktemp("run") / "out"
    with ChatServer(invents, model=WRITER) as server:
        done = earmark(
            "annotate", recordings, output, "--recipe", RECIPE, "--models", models, EARMARK_LLM_URL=server.url
        )
        assert done.returncode == 0, done.stdout
        return Run(printed=done.stdout, store=store_at(str(output)), asked=list(server.requests))


def locally(models, recordings, output, **variables) -> Store:
    """The same lots through the same route in this process, where the models are loaded already."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {MODELS: str(models), "HF_HUB_OFFLINE": "1", "EARMARK_LLM_URL": NOBODY, **variables}.items():
            patch.setenv(name, value)
        store = annotated(recordings, output, gpu_on_processors())
    assert standing(store).is_done
    return store


def test_every_model_of_the_recipe_can_be_made_small():
    assert {weights.name for weights in models_in(gpu())} <= set(MAKERS)


def test_the_gear_decides_nothing_of_what_is_made():
    assert fingerprint(gpu()) == fingerprint(gpu_on_processors())


def test_every_branch_speaks_or_says_why_not(run):
    records = run.records
    assert len(records) >= 4
    for record in records:
        for annotation in (record.branches.speech, record.branches.sound, record.branches.music):
            assert annotation is not None
            assert annotation.outcome is Outcome.OK or (annotation.outcome is Outcome.SKIPPED and annotation.reason)
    for branch in Branch:
        spoken = [record.branches.get(branch) for record in records]
        assert any(one.outcome is Outcome.OK and one.facts for one in spoken), branch


def test_provenance_names_every_model_by_what_is_in_its_files(run, models):
    names = {weights.name: f"{weights.name}@{content_hash(models / weights.name)}" for weights in models_in(gpu())}
    everything = "+".join(model for record in run.records for model in record.provenance.models).split("+")
    assert set(names.values()) <= set(everything)
    for record in run.records:
        said = "+".join(record.provenance.models).split("+")
        assert WRITER in {name.partition("@")[0] for name in said}
        assert names["MIT/ast-finetuned-audioset-10-10-0.4593"] in said
        assert names["laion/larger_clap_general"] in said
        for branch in Branch:
            annotation = record.branches.get(branch)
            assert annotation.outcome is not Outcome.OK or set(annotation.model.split("+")) <= set(said)
        assert record.provenance.config == fingerprint(gpu())
        assert len(record.provenance.prompts) >= 2
        assert all(
            re.fullmatch(r"[0-9a-f]{64}", prompt.removeprefix("sha256:")) for prompt in record.provenance.prompts
        )


def test_what_the_language_model_invents_is_rejected_and_the_rest_can_be_followed(run):
    assert run.asked
    written = 0
    for record in run.records:
        for claim in record.caption.claims:
            assert [record.branches.fact(evidence) for evidence in claim.evidence]
            assert "cathedral" not in claim.text
        if record.caption.merger.startswith(WRITER):
            written += 1
        (invented,) = [one for one in record.caption.rejected if one.text == INVENTED]
        assert invented.reason
    assert written, [record.caption.note for record in run.records]


def test_the_audio_is_asked_of_the_claims(run):
    claims = [claim for record in run.records for claim in record.caption.claims]
    names = {check.name for claim in claims for check in claim.checks}
    assert names == {"clap", "events"}
    assert all(0 <= check.score <= 1 for claim in claims for check in claim.checks)


def test_the_run_prints_its_steps_and_nothing_that_libraries_say(run):
    printed = run.printed.splitlines()
    assert [line.split()[0] for line in printed if "audio-h" not in line][1:-2].count("speech") == 1
    for noise in ("Warning", "warn", "Loading weights", "it/s", "Traceback", "telemetry", "torchcodec"):
        assert noise not in run.printed


def test_running_again_does_nothing_and_says_so(run, models, recordings):
    before = {one.name: one.etag for one in run.store.list()}
    code, printed = typed("annotate", recordings, run.store.root, "--recipe", RECIPE, "--models", models)
    assert code == 0
    assert printed.startswith("nothing is left to do")
    after = {one.name: one.etag for one in run.store.list()}
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} <= {"README.md"}


def test_status_and_inspect_read_well(run):
    code, printed = typed("status", run.store.root)
    assert code == 0
    assert "0 failures" in printed.splitlines()[-1]
    code, printed = typed("inspect", run.store.root)
    assert code == 0
    assert f"left out: {INVENTED}" in printed
    for record in run.records:
        assert record.caption.merger in printed
        assert not record.caption.note or record.caption.note in printed
        for branch in Branch:
            assert (record.branches.get(branch).reason or "") in printed


def test_the_same_lots_in_one_process_make_the_same_bytes(run, models, recordings, tmp_path):
    with ChatServer(invents, model=WRITER) as server:
        store = locally(models, recordings, tmp_path / "again", EARMARK_LLM_URL=server.url)
    assert list(shards_in(store)) == list(shards_in(run.store))
    assert records_in(store) == run.records
    assert files_of(store) == files_of(run.store)


DESCRIBED = "A hall in which something falls shut."


@pytest.fixture(scope="module")
def served(models, recordings, tmp_path_factory):
    """The street alone, with a served captioner and without the language model that merges."""
    output = tmp_path_factory.mktemp("served")
    with ChatServer(lambda request: DESCRIBED, model="ears") as server:
        store = locally(
            models,
            recordings / "street.ogg",
            output / "out",
            EARMARK_CAPTIONER_URL=server.url,
            EARMARK_CAPTIONER_MODEL="ears",
        )
        return records_in(store), list(server.requests)


def test_without_the_language_model_templates_tell_the_same_facts_and_say_so(served):
    records, _ = served
    assert records
    for record in records:
        assert record.caption.claims
        assert record.caption.merger.startswith("templates")
        assert WRITER in record.caption.note


def test_a_served_captioner_takes_the_place_of_the_loaded_one(served):
    records, asked = served
    assert all(request.sounds for request in asked)
    assert any(record.branches.sound.caption == DESCRIBED for record in records)
    for record in records:
        models = "+".join(record.provenance.models)
        assert "ears@served" in models
        assert "MOSS" not in models


def test_the_doctor_finds_everything(models):
    with ChatServer(model=WRITER) as server:
        code, printed = typed("doctor", "--recipe", "gpu", "--models", models, EARMARK_LLM_URL=server.url)
    assert code == 0, printed
    for weights in models_in(gpu()):
        assert re.search(rf"^ok +{re.escape(weights.name)} ", printed, re.MULTILINE)
    assert "missing" not in printed


def test_a_model_that_is_not_there_is_one_sentence_with_its_name_and_the_command(models, recordings, tmp_path):
    lacking = tmp_path / "models"
    absent = models_in(gpu())[-1]
    for weights in models_in(gpu()):
        (lacking / weights.name).parent.mkdir(parents=True, exist_ok=True)
        if weights != absent:
            (lacking / weights.name).symlink_to(models / weights.name)
    cache = str(tmp_path / "cache")
    said = earmark("annotate", recordings, tmp_path / "out", "--recipe", RECIPE, "--models", lacking, HF_HOME=cache)
    assert said.returncode == 1
    (sentence,) = [line for line in said.stdout.splitlines() if line.strip()]
    assert sentence.startswith(f"error: the model {absent.name} is not on this machine")
    assert absent.fetching() in sentence
    assert not (tmp_path / "out" / "shards").exists()
