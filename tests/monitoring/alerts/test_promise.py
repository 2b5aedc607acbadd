"""How the promise is read and shared out."""

import pytest

from doxa.errors import UsageError
from doxa.monitoring.alerts.promise import newly_spent, parse_promise


def test_reads_numbers_and_spans():
    assert parse_promise("1/week").in_seconds(7 * 86_400) == 1
    assert parse_promise("0.5/day").in_seconds(2 * 86_400) == 1
    assert parse_promise("2 per year").in_seconds(365.25 * 86_400) == 2


@pytest.mark.parametrize("text", ["", "1", "0/week", "-1/week", "1/fortnight", "nan/week", "1/week/day"])
def test_refuses_what_is_no_promise(text):
    with pytest.raises(UsageError, match="1/week"):
        parse_promise(text)


@pytest.mark.parametrize("looks", [[1.0], [0.3, 0.31, 0.5, 1.0], [i / 100 for i in range(1, 101)], [0.99, 1.0], [0.0, 0.04, 2.0]])
def test_looks_at_a_bucket_spend_its_chances_once(looks):
    spent = total = 0.0
    for elapsed in looks:
        gain = newly_spent(elapsed, spent)
        total += gain
        spent = elapsed if gain else spent
    assert total == pytest.approx(1.0)
