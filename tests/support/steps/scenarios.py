"""The commands to try: tiny ones, and what has to be there before."""

from support.steps.trials import Scenario

SIMULATE = ["pipelines.simulate", "DATA", "--planets", "10", "--spots", "1", "--photons", "1", "--jobs", "1"]
TEXT = [
    "pipelines.simulate",
    "TEXT",
    "--planets",
    "2",
    "--spots",
    "1",
    "--photons",
    "1",
    "--jobs",
    "1",
    "--format=text",
]
CONVERT = ["pipelines.convert", "--light-curves", "TEXT/noisy_train", "--params", "TEXT/params_train", "--out", "OUT"]
SMALL = ["--model=baseline", "--data", "DATA", "--set", "first=4", "--set", "second=4"]
WIDE = ["--data", "DATA", "--model", "linear", "--set", "units=4", "--wavelength", "joint"]


def train(run: str, *options: str) -> list[str]:
    return ["ariel_tf.train", *SMALL, "--epochs", "2", "--run", run, *options]


EVERY = 10**9  # all pairs of a step and a fault
JOINT = ["ariel_tf.train", *WIDE, "--epochs", "1", "--run", "joint"]
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("pretended training", ["support.pretended_run", "run"], most=EVERY),
        Scenario("simulate text", TEXT, most=EVERY),
        Scenario("convert", [*CONVERT, "--jobs", "1"], [TEXT], most=100),
        Scenario("simulate", SIMULATE, most=60),
        Scenario("simulate --overwrite", [*SIMULATE, "--seed", "1", "--overwrite"], [SIMULATE]),
        Scenario("predict csv", ["ariel_tf.predict", "joint", "--data", "DATA", "--out", "p.csv"], [SIMULATE, JOINT]),
        Scenario(
            "predict parquet", ["ariel_tf.predict", "joint", "--data", "DATA", "--out", "p.parquet"], [SIMULATE, JOINT]
        ),
        Scenario("predict txt", ["ariel_tf.predict", "joint", "--data", "DATA", "--out", "p.txt"], [SIMULATE, JOINT]),
        Scenario("export keras", ["ariel_tf.export", "joint", "m.keras"], [SIMULATE, JOINT]),
        Scenario("export savedmodel", ["ariel_tf.export", "joint", "m"], [SIMULATE, JOINT]),
        Scenario(
            "export --overwrite",
            ["ariel_tf.export", "joint", "m", "--overwrite"],
            [SIMULATE, JOINT, ["ariel_tf.export", "joint", "m"]],
        ),
        Scenario("train", train("run"), [SIMULATE]),
        Scenario("train joint", ["ariel_tf.train", *WIDE, "--epochs", "2", "--run", "run"], [SIMULATE]),
        Scenario("train list", train("run", "--wavelength", "3,7", "--stack", "no", "--jobs", "1"), [SIMULATE]),
        Scenario("train stack", train("run", "--wavelength", "3,7", "--stack", "yes"), [SIMULATE]),
        Scenario(
            "ensemble average",
            ["ariel_tf.ensemble", "average", "a", "b", "--run", "mean"],
            [SIMULATE, train("a"), train("b", "--seed", "1")],
        ),
        Scenario(
            "ensemble kfold",
            ["ariel_tf.ensemble", "kfold", "--splits", "2", *SMALL, "--epochs", "1", "--run", "folds"],
            [SIMULATE],
        ),
        Scenario("trees", ["ariel_tf.trees", "--data", "DATA", "--wavelength", "3", "--run", "trees"], [SIMULATE]),
        Scenario(
            "search",
            ["tuning.search", *SMALL[:3], "--epochs", "1", "--trials", "2", "--run", "found"],
            [SIMULATE],
        ),
    )
}
