"""The learning rate in closed form, beside transformers' schedulers."""

from __future__ import annotations

import pytest

from doit.trainers.optimizing import learning_rate, warmup_steps
from doit.trainers.spec import Optimizer


def theirs(settings: Optimizer, steps: int) -> list[float]:
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=settings.lr)
    name = "constant_with_warmup" if settings.schedule == "constant" else settings.schedule
    scheduler = get_scheduler(name, optimizer, warmup_steps(settings, steps), steps)
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize("warmup", [0, 0.03, 0.1, 7])
def test_the_rate_is_that_of_transformers(schedule: str, warmup: float) -> None:
    settings = Optimizer(lr=3e-4, schedule=schedule, warmup=warmup)

    ours = [learning_rate(settings, step, 61) for step in range(61)]

    assert ours == pytest.approx(theirs(settings, 61), rel=1e-9, abs=1e-15)


def test_doits_rate_falls_to_its_floor() -> None:
    """From 1e-5 to 1e-6 in a line, without warm-up (arXiv 2310.19651)."""
    settings = Optimizer(lr=1e-5, final_lr=1e-6, schedule="linear", warmup=0)

    assert learning_rate(settings, 0, 100) == 1e-5
    assert learning_rate(settings, 50, 100) == pytest.approx(5.5e-6)
    assert learning_rate(settings, 99, 100) == pytest.approx(1e-6 + 9e-8)
    assert learning_rate(settings, 100, 100) == pytest.approx(1e-6)


def test_warmup_is_a_part_or_a_number_of_steps() -> None:
    assert warmup_steps(Optimizer(warmup=0.03), 1000) == 30
    assert warmup_steps(Optimizer(warmup=0.03), 10) == 1
    assert warmup_steps(Optimizer(warmup=100), 1000) == 100
    assert learning_rate(Optimizer(lr=1.0, warmup=0.03), 15, 1000) == 0.5
