"""The point of it: what is rewarded becomes more frequent. `benchmarks.rl` is the same at length."""

import pytest
import torch

from benchmarks.rl import reinforced, scored, taught

torch.set_num_threads(1)


@pytest.mark.slow
def test_a_model_of_careless_teachers_becomes_better_than_they_are():
    model = taught(seed=2, steps=150)
    before = scored(model, temperature=1.0)
    reports = list(reinforced(model, seed=2, steps=25))
    after = scored(model, temperature=1.0)
    assert 0.2 < before.reward < 0.7  # they teach it partly
    assert after.reward > before.reward + 0.15
    assert after.format > before.format + 0.1
    begun, ended = reports[:5], reports[-5:]
    assert sum(one.reward_mean for one in ended) > sum(one.reward_mean for one in begun) + 5 * 0.15
    assert not sum(one.skipped_updates for one in reports)
