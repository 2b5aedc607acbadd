"""Integrated gradients along ways whose integrals are known: numbers that change all at once, oscillate, hardly change, or are seen through noise."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from doxa.explaining.integrated_gradients import explain_by_integrated_gradients
from doxa.explaining.layout import Layout
from doxa.explaining.target import Target
from doxa.explaining.task import Task, Tools
from doxa.explaining.units import Unit
from doxa.model.heads import Head
from doxa.text.frame import Window


class Curve:
    """Gradients of a number whose three tokens gain amounts that are known at every place of the way, `noise` of each number apart."""

    def __init__(self, gained, slopes, noise: float = 0.0, mixed=None):
        self.gained, self.own_slopes, self.noise, self.mixed, self.n_seen = gained, slopes, noise, mixed, 0
        self.chance = np.random.default_rng(0)

    def logits(self, points):
        numbers = [self.gained(point.share).sum() + self.noise * self.chance.normal() for point in points]
        return np.array(numbers, dtype=np.float64)[:, None]

    def slopes(self, points, pull):
        self.n_seen += len(points)
        pull(list(range(len(points))), self.logits(points))
        yield list(range(len(points))), np.array([self.own_slopes(point.share) for point in points])


def explained(curve: Curve, steps: int = 16):
    layout = Layout(np.arange(3), 3, False, (Window([0, 1, 2], None, 1.0),), (np.arange(3),), np.ones(1))
    task = Task(layout, [Unit(i, i + 1, (i,)) for i in range(3)], 3, Target(Head("value", "number"), slice(0, 1), None))
    tools = replace(Tools(None, None, 9, steps=steps), gradients=curve)
    [found] = explain_by_integrated_gradients([task], tools)
    return found


def leap(where: float, width: float, heights=(5.0, -2.0, 1.0)):
    """Tokens that all do their part within `width` of the way."""
    heights = np.array(heights)
    return (lambda a: heights * expit((a - where) / width)), (lambda a: heights * expit((a - where) / width) * expit((where - a) / width) / width)


@pytest.mark.parametrize("where", [0.02, 0.31, 0.5, 0.77, 0.99])
@pytest.mark.parametrize("width", [0.2, 0.03, 0.01, 0.004])
def test_a_leap_is_found_and_followed(where, width):
    """Evenly spread places see a leap of a hundredth of the way only where there are hundreds."""
    curve = Curve(*leap(where, width))
    found = explained(curve)
    gained = curve.gained(1.0) - curve.gained(0.0)
    assert np.abs(found.scores - gained).sum() < 0.03 * np.abs(gained).sum()
    assert found.about["steps"] == curve.n_seen <= (20 if width == 0.2 else 60)
    assert found.about["delta"] == pytest.approx(found.scores.sum() - gained.sum(), abs=1e-9)


def test_smooth_ways_take_no_step_more():
    """A polynomial of the third degree is integrated exactly from four places."""
    weights = np.array([1.0, -3.0, 2.0])
    found = explained(Curve(lambda a: weights * a**4, lambda a: weights * 4 * a**3), steps=4)
    assert found.about["steps"] == 4 and found.scores == pytest.approx(weights, abs=1e-9) and found.about["delta"] == pytest.approx(0, abs=1e-9)


def test_ups_and_downs_that_cancel_are_seen():
    """One oscillation after another adds up to nothing: the sum is right by chance at any number of places, the parts are not."""
    heights = np.array([2.0, 1.0, 0.5])
    curve = Curve(lambda a: heights * np.sin(26 * np.pi * a) + 0.3 * a, lambda a: heights * 26 * np.pi * np.cos(26 * np.pi * a) + 0.3)
    found = explained(curve, steps=8)
    assert found.about["steps"] > 26 and found.scores == pytest.approx([0.3] * 3, abs=0.05)


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_few_steps_are_enough_to_begin_with(steps):
    found = explained(Curve(*leap(0.4, 0.2)), steps)
    gained = np.subtract(*[leap(0.4, 0.2)[0](a) for a in (1.0, 0.0)])
    assert np.abs(found.scores - gained).sum() < 0.1 * np.abs(gained).sum() and abs(found.about["delta"]) <= 0.02 * np.abs(found.scores).sum()


def test_noise_of_a_coarse_precision_is_not_chased():
    """In bf16 numbers are off by hundredths of a nat: more places would not lessen that. A number that never adds up ends all the same."""
    mixed = explained(Curve(*leap(0.5, 0.1, (0.6, -0.2, 0.2)), noise=0.004, mixed="bf16"))
    assert mixed.about["steps"] <= 24
    hopeless = explained(Curve(*leap(0.5, 0.1), noise=3.0))
    assert hopeless.about["steps"] <= 512
