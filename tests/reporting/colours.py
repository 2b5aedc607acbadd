"""The colours of a page, read off its style."""

import re


def read_colours(page: str, scheme: str) -> dict[str, str]:
    """Name to #rrggbb in a scheme, light or dark."""
    colours = {}
    for is_dark, block in re.findall(r"(@media \(prefers-color-scheme: dark\) \{ )?:root \{(.*?)\}", page, re.DOTALL):
        if not is_dark or scheme == "dark":
            colours |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    return colours


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.1) of #rrggbb."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, two: str) -> float:
    """WCAG 2.1, from 1 to 21."""
    low, high = sorted((luminance(one), luminance(two)))
    return (high + 0.05) / (low + 0.05)
