"""The commands to try: tiny ones, and what has to be there before."""

from support.steps.trials import Scenario

TINY = ["--spots", "1", "--photons", "1", "--jobs", "1"]
SIMULATE = ["pipelines.simulate", "DATA", "--planets", "10", *TINY]
FEW = ["pipelines.simulate", "DATA", "--planets", "2", *TINY]
TEXT = ["pipelines.simulate", "TEXT", "--planets", "2", *TINY, "--format=text"]
CONVERT = ["pipelines.convert", "--light-curves", "TEXT/noisy_train", "--params", "TEXT/params_train", "--out", "OUT"]
SMALL = ["--model=baseline", "--data", "DATA", "--set", "first=4", "--set", "second=4"]
WIDE = ["--data", "DATA", "--model", "linear", "--set", "units=4", "--wavelength", "joint"]


def train(run: str, *options: str) -> list[str]:
    return ["ariel_tf.train", *SMALL, "--epochs", "2", "--run", run, *options]


def search(run: str, *options: str) -> list[str]:
    return ["tuning.search", *SMALL[:3], "--epochs", "1", "--trials", "2", "--run", run, *options]


def upload(dataset: str) -> list[str]:
    return ["pipelines.upload", "DATA", "--project", "proj", "--dataset", dataset]


EVERY = 10**9  # all pairs of a step and a fault
JOINT = ["ariel_tf.train", *WIDE, "--epochs", "1", "--run", "joint"]
PREDICT = ["ariel_tf.predict", "joint", "--data", "DATA", "--out"]
# Trainings that take no steps: what is on the disk does not depend on them, and they are several times faster.
PRETENDED = {"pretended": True}
PREDICTED = [SIMULATE, ["support.sound_predictions", "DATA", "p.csv"]]
SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("pretended training", ["support.pretended_run", "run"], most=EVERY),
        Scenario("simulate text", TEXT, most=EVERY),
        Scenario("convert", [*CONVERT, "--jobs", "1"], [TEXT], most=100),
        Scenario("simulate", SIMULATE, most=60),
        Scenario("simulate --overwrite", [*SIMULATE, "--seed", "1", "--overwrite"], [SIMULATE], 40),
        Scenario("arrays", ["pipelines.arrays", "DATA", "--layout", "rows"], [SIMULATE], 40),
        Scenario("predict csv", [*PREDICT, "p.csv"], [SIMULATE, JOINT], 20, PRETENDED),
        Scenario("predict parquet", [*PREDICT, "p.parquet"], [SIMULATE, JOINT], 20, PRETENDED),
        Scenario("predict txt", [*PREDICT, "p.txt"], [SIMULATE, JOINT], 20, PRETENDED),
        # It writes nothing, so its reads are what the disk can refuse.
        Scenario("submission", ["ariel_tf.submission", "p.csv", "--data", "DATA"], PREDICTED, 40, {"reads": True}),
        Scenario("export keras", ["ariel_tf.export", "joint", "m.keras"], [SIMULATE, JOINT], 8, PRETENDED),
        Scenario("export savedmodel", ["ariel_tf.export", "joint", "m"], [SIMULATE, JOINT], 6, PRETENDED),
        Scenario(
            "export --overwrite",
            ["ariel_tf.export", "joint", "m", "--overwrite"],
            [SIMULATE, JOINT, ["ariel_tf.export", "joint", "m"]],
            6,
            PRETENDED,
        ),
        # Steps and pictures are real.
        Scenario("train", train("run"), [SIMULATE], how={"drawn": True}),
        Scenario("train, no steps", train("run"), [SIMULATE], 40, PRETENDED),
        Scenario("train joint", ["ariel_tf.train", *WIDE, "--epochs", "2", "--run", "run"], [SIMULATE], 20, PRETENDED),
        Scenario(
            "train list", train("run", "--wavelength", "3,7", "--stack", "no", "--jobs", "1"), [SIMULATE], 20, PRETENDED
        ),
        Scenario("train stack", train("run", "--wavelength", "3,7", "--stack", "yes"), [SIMULATE]),
        Scenario(
            "ensemble average",
            ["ariel_tf.ensemble", "average", "a", "b", "--run", "mean"],
            [SIMULATE, train("a"), train("b", "--seed", "1")],
            20,
            PRETENDED,
        ),
        Scenario(
            "ensemble kfold",
            ["ariel_tf.ensemble", "kfold", "--splits", "2", *SMALL, "--epochs", "1", "--run", "folds"],
            [SIMULATE],
            20,
            PRETENDED,
        ),
        Scenario("trees", ["ariel_tf.trees", "--data", "DATA", "--wavelength", "3", "--run", "trees"], [SIMULATE]),
        Scenario("search", search("found"), [SIMULATE], 40, PRETENDED),
        # Its steps are requests, and the other end of a connection can be gone.
        Scenario("upload", upload("trial"), [FEW], 40, {"connections": True}, "trial"),
        Scenario("download", ["pipelines.download", "bigquery://proj/kept", "OUT"], [FEW, upload("kept")], 40),
    )
}
# Those that need the emulator of BigQuery.
REMOTE = ("upload", "download")
