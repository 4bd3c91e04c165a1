"""A batch script for SLURM: an array of slices or parts, or one job of several nodes."""

from ariel_tf.training.launching.work import SEARCH_PORT, SECONDS_TO_SAVE, Machine, Work


def script(work: Work, machine: Machine) -> str:
    """Return the script for `sbatch`.

    Args:
        work: work of the job.
        machine: resources of each task.
    """
    array, nodes = work.way in ("slices", "parts"), work.count if work.way in ("workers", "search") else 1
    options = [f"--job-name={machine.name}", "--output=%x-%j.log"]
    if array:
        options[1:] = [f"--array=1-{work.count}", "--output=%x-%A_%a.log"]
    options += [f"--nodes={nodes} --ntasks-per-node=1 --cpus-per-task={machine.cpus}", f"--mem={machine.memory}"]
    options += [f"--gpus-per-node={machine.gpus}"] if machine.gpus else []
    # A training saves when it receives TERM; submit the same script again to resume it.
    options += [f"--time={machine.hours}", f"--signal=TERM@{SECONDS_TO_SAVE}", "--requeue"]
    lines = ["#!/bin/bash", *(f"#SBATCH {option}" for option in options)]
    if work.then:
        lines += ["# Afterwards, on one machine (sbatch --dependency=afterok:JOB):", f"#   {work.then}"]
    return "\n".join([*lines, *_start(work), ""])


def _start(work: Work) -> list[str]:
    if work.way == "workers":
        return [f"srun --kill-on-bad-exit=0 {work.command('')}"]
    if work.way == "search":
        chief, worker = work.of_search("$CHIEF", "$SLURM_PROCID")
        return [
            f'export CHIEF="$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1):{SEARCH_PORT}"',
            "cat > \"ariel-$SLURM_JOB_ID.sh\" <<'END'",
            'if [ "$SLURM_PROCID" = 0 ]; then',
            f"  exec {chief}",
            "fi",
            f"exec {worker}",
            "END",
            'srun --kill-on-bad-exit=0 bash -e "ariel-$SLURM_JOB_ID.sh"',
        ]
    return [f"srun {work.command('$SLURM_ARRAY_TASK_ID')}"]
