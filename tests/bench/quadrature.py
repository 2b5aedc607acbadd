"""How near integrated gradients come to those of 512 steps: quadrature.py FOLDER [SET...]

Models and texts are those of explanations.py, the label is the predicted one, all in fp32. Of what `explain` takes from so many places to begin with, and of
the nodes of Gauss and Legendre, as many as captum takes (50, transformers-interpret's number, among them), for every text the absolute differences of its
tokens' evidence, in parts of their absolute sum: median, 90th percentile and largest, and how many steps were taken on average."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))

from explanations import DEFAULT_SETS, prepare

from doxa.explaining.explainer import Wanted
from doxa.explaining.integrated_gradients import explain_by_integrated_gradients
from doxa.explaining.loading import load_explainer
from doxa.explaining.methods import METHODS, Method
from doxa.explaining.paths import walk
from doxa.explaining.task import Evidence, Task, Tools
from doxa.inference.loading import Request

N_TEXTS = 40
REFERENCE = 512
STEPS, NODES = (8, 16, 32), (16, 32, 50)


def main() -> None:
    folder, *names = sys.argv[1:]
    for name in names or DEFAULT_SETS:
        tasks, tools = take_tasks(*prepare(Path(folder) / name, name))
        truths = [course.slopes.mean(axis=0) for course in walk(tasks, tools, [(np.arange(REFERENCE) + 0.5) / REFERENCE] * len(tasks))]
        print(f"\n{name}: {len(tasks)} texts\n{'steps':40} median    90 %   largest   taken on average")
        for steps in STEPS:
            found = explain_by_integrated_gradients(tasks, replace(tools, steps=steps))
            tell(f"explain --steps {steps}", [own.scores for own in found], truths, np.mean([own.about["steps"] for own in found]))
        for n in NODES:
            nodes, weights = np.polynomial.legendre.leggauss(n)
            courses = walk(tasks, tools, [(nodes + 1) / 2] * len(tasks))
            tell(f"{n} nodes of Gauss and Legendre", [weights @ course.slopes / 2 for course in courses], truths, n)


def take_tasks(model: Path, texts: Path) -> tuple[list[Task], Tools]:
    """What `explain` would ask of the first texts, by token."""
    taken = SimpleNamespace()

    def take(tasks: list[Task], tools: Tools) -> list[Evidence]:
        taken.tasks, taken.tools = tasks, tools
        return [Evidence(np.zeros(len(task.units))) for task in tasks]

    METHODS["taken"] = Method(take, "gradients")
    wanted = Wanted((), method="taken", unit="token", with_faithfulness=False)
    stream, _, _ = load_explainer(Request(str(model), "cpu", "torch", "fp32"), wanted, 16, 0, 0, None)
    stream.explainer.explain([(json.loads(line)["text"],) for line in texts.read_text(encoding="utf-8").splitlines()[:N_TEXTS]])
    return [task for task in taken.tasks if len(task.layout.windows) == 1], taken.tools


def tell(name: str, found: list[np.ndarray], truths: list[np.ndarray], n_steps: float) -> None:
    missed = [100 * np.abs(one - other).sum() / np.abs(other).sum() for one, other in zip(found, truths)]
    print(f"{name:40} {np.median(missed):5.2f} % {np.percentile(missed, 90):6.2f} % {max(missed):6.2f} %   {n_steps:6.1f}", flush=True)


if __name__ == "__main__":
    main()
