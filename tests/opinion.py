"""Predictions over time, as JSON Lines, of which the truth is known."""

import datetime as dt
import json

import numpy as np

START = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)  # a Monday


def make_day(generator: np.random.Generator, day: int, topics: dict[str, tuple[float, float]], **fields) -> list[dict]:
    """The records of a day: for every topic about so many texts with such a share of negative ones."""
    records = []
    for topic, (mean, share) in topics.items():
        for i in range(generator.poisson(mean)):
            moment = START + dt.timedelta(days=day, seconds=int(generator.integers(86_400)))
            word = "".join(chr(97 + letter) for letter in generator.integers(26, size=12))
            records.append({"id": f"{day}-{topic}-{i}", "text": f"{word} on {topic}", "timestamp": moment.isoformat(), **fields, "prediction": {
                "topic": {"label": topic, "score": 0.9},
                "sentiment": {"label": "negative" if generator.random() < share else "neutral", "score": round(float(generator.random()), 4)}}})
    return sorted(records, key=lambda record: record["timestamp"])


def make_days(first: int, last: int, topics: dict[str, tuple[float, float]], seed: int = 1, **fields) -> list[dict]:
    """Days `first` up to `last`; a day's records depend on the seed and the day alone."""
    return [record for day in range(first, last) for record in make_day(np.random.default_rng([seed, day]), day, topics, **fields)]


def make_hours(first: int, last: int, topics: dict[str, tuple[float, float]], seed: int = 1, start: dt.datetime = START, **fields) -> list[dict]:
    """Hours `first` up to `last` since `start`: the number of texts of an hour follows the time of day, few at night."""
    records = []
    for hour in range(first, last):
        generator, begins = np.random.default_rng([seed, 7, hour]), start + dt.timedelta(hours=hour)
        part = 1.0 + 0.9 * np.sin(2 * np.pi * (begins.hour - 9) / 24)
        for record in make_day(generator, 0, {topic: (mean * part, share) for topic, (mean, share) in topics.items()}, **fields):
            second = dt.timedelta(seconds=int(generator.integers(3600)))
            records.append(record | {"id": f"h{hour}-{record['id']}", "timestamp": (begins + second).isoformat()})
    return sorted(records, key=lambda record: record["timestamp"])


def lines(records: list[dict]) -> bytes:
    return b"".join(json.dumps(record, ensure_ascii=False).encode() + b"\n" for record in records)
