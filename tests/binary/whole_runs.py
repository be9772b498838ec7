#!/usr/bin/env python3
"""What users do with the binary, from the command line to files and exit codes."""

import collections
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from binary import MPIRUN, Cases, command, expect, pixels, run, write_png
from stops import Running

COMMANDS = ["train", "evaluate", "predict", "export", "inspect", "compare", "config", "bench"]
USAGE, DATA, STOPPED = 2, 3, 75

cases = Cases()


def must(code, result):
    expect(result.code == code, f"code {result.code} instead of {code}: {result.command}\n{result.err}")
    return result


def metrics(room):
    return [json.loads(line) for line in (room.run / "metrics.jsonl").read_text().splitlines()]


def result_files(room):
    return {name: sum_ for name, sum_ in room.snapshot().items() if name.endswith(".safetensors")}


@cases
def help_of_every_command(room):
    for name in COMMANDS:
        told = must(0, run(name, "--help")).out
        expect(f"lockstep {name}" in told, f"{name} --help does not show how it is called:\n{told}")


@cases
def train_alone_is_one_worker(room):
    room.train()
    files = sorted(file.name for file in room.run.iterdir())
    for name in ["config.yaml", "metrics.jsonl", "checkpoints", "final.safetensors"]:
        expect(name in files, f"{name} is not among {files}")
    latest = (room.run / "checkpoints" / "latest").read_text().strip()
    expect(latest == room.last_checkpoint().name, f"latest names {latest}")


@cases
def evaluate_repeats_what_training_wrote(room):
    room.train("--set", "threads=2", workers=2)
    written = [line for line in metrics(room) if "val_accuracy" in line][-1]
    told = json.loads(must(0, run("evaluate", room.final(), "--json")).out)
    expect(told["samples"] == 40, f"counted {told['samples']} of 40 test images")
    expect(told["accuracy"] == written["val_accuracy"], f"{told} after {written}")
    expect(told["loss"] == written["val_loss"], f"{told} after {written}")


@cases
def evaluate_picks_the_running_statistics(room):
    entries = ["ema", "ema:0.5", "cumulative", "precise"]
    room.train("--set", f"normalization.running_stats=[{', '.join(entries)}]",
               "--set", "evaluation.batch_statistics=true", workers=2)
    written = [line for line in metrics(room) if "val_accuracy" in line][-1]
    losses = set()
    for entry in [*entries, "batch"]:
        told = json.loads(must(0, run("evaluate", room.final(), "--running-stats", entry, "--json")).out)
        expect(told["loss"] == written[f"val_loss.{entry}"], f"{entry}: {told} after {written}")
        expect(told["accuracy"] == written[f"val_accuracy.{entry}"], f"{entry}: {told} after {written}")
        losses.add(told["loss"])
    expect(len(losses) == 5, f"two entries gave the same loss: {written}")
    must(USAGE, run("evaluate", room.final(), "--set", "evaluation.batch_statistics=true"))
    told = must(USAGE, run("evaluate", room.final(), "--running-stats", "cumulativ")).err
    expect("the model keeps ema, ema:0.5, cumulative, precise" in told, told)


@cases
def bf16_is_of_training_alone(room):
    if "avx512bw" not in Path("/proc/cpuinfo").read_text():
        return  # refused there: bad_input.py
    room.train(workers=2)
    exact = result_files(room)
    room.train("--overwrite", "--set", "precision=bf16", workers=2)
    expect(result_files(room) != exact, "bf16 gave the files of fp32")
    written = [line for line in metrics(room) if "val_accuracy" in line][-1]
    ask = lambda *words: json.loads(must(0, run("evaluate", room.final(), "--json", *words)).out)
    told = ask()
    expect((told["accuracy"], told["loss"]) == (written["val_accuracy"], written["val_loss"]), f"{told}, not {written}")
    in_bf16 = ask("--precision", "bf16")["loss"]
    expect(0 < abs(in_bf16 - told["loss"]) < 0.05 * told["loss"], f"in bf16 {in_bf16} after {told}")
    # The file is good for processors that could not have trained it.
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    try:
        expect(abs(ask()["loss"] - told["loss"]) < 1e-3, "another loss with AVX2")
        must(0, run("predict", room.final(), room.data / room.TEST_IMAGES, "--index", "3"))
        must(0, run("inspect", room.final(), "--plan"))
        must(0, run("export", room.final(), "--onnx", room.folder / "net.onnx"))
    finally:
        del os.environ["ONEDNN_MAX_CPU_ISA"]


@cases
def bf16_is_resumed_in_bf16(room):
    if "avx512bw" not in Path("/proc/cpuinfo").read_text():
        return
    in_bf16 = ["--set", "precision=bf16"]
    room.train(*in_bf16)
    whole = result_files(room)
    must(STOPPED, run("train", room.config, "--overwrite", "--set", "train.stop_at_step=3", *in_bf16))
    told = must(DATA, run("train", room.config, "--resume")).err
    expect("precision" in told and "bf16" in told and "fp32" in told, told)
    room.train("--resume", *in_bf16, workers=2)
    expect(whole.items() <= result_files(room).items(), "other files than without the stop")


@cases
def bench_step_gives_a_model_the_images_that_it_is_made_for(room):
    resnet18 = ["bench", "step", "--model", "resnet18", "--window-ms", "1"]
    few = ["--batch", "2", "--set", "batch.shards=2"]
    told = must(0, run(*resnet18, *few, timeout=150)).out
    expect(told.startswith("resnet18 on 224x224x3: ") and "batch 2," in told, told)
    # How many there are in a batch shows in the memory that they need.
    no_room = ["--set", "plan.memory_mib=1"]
    usual, sixteen, eight = (must(2, run(*resnet18, *no_room, *batch)).err
                             for batch in ([], ["--batch", "16"], ["--batch", "8"]))
    expect(usual == sixteen != eight, f"{usual}{sixteen}{eight}")


@cases
def bench_step_makes_images_like_those_of_the_data_set(room):
    """Whatever the model is made for, and without the data."""
    folder = ["--set", "data.dataset=image_folder", "--set", "data.image={height: 24, width: 20, channels: 3}"]
    for model, settings, images in [("resnet20", [room.config], "28x28x1"), ("mlp", [*folder], "24x20x3")]:
        nowhere = ["--set", "data.path=nowhere"]
        told = must(0, run("bench", "step", *settings, "--model", model, *nowhere, "--window-ms", "1", timeout=150)).out
        expect(told.startswith(f"{model} on {images}: "), told)


@cases
def predict_answers_for_one_image(room):
    room.train()
    images = room.data / room.TEST_IMAGES
    told = json.loads(must(0, run("predict", room.final(), images, "--index", "3", "--top", "2", "--json")).out)
    expect(told, "no answer")


@cases
def predict_sees_pictures_as_it_sees_idx(room):
    room.train()
    files = []
    for i in range(3):
        files.append(room.folder / f"picture{i}")  # its content tells what it is, not its name
        write_png(files[i], 28, 28, pixels(40, 28)[i * 784 : (i + 1) * 784])
    ask = lambda *words: json.loads(must(0, run("predict", room.final(), *words, "--top", "10", "--json")).out)
    told = ask(room.data / room.TEST_IMAGES, *files)["predictions"]
    expect([t["index"] for t in told] == [*range(40), 0, 0, 0], f"indices {[t['index'] for t in told]}")
    expect([t["file"] for t in told[40:]] == [str(file) for file in files], f"files {told[40:]}")
    # The last digits may depend on an image's place among those that are computed at once.
    plain = lambda t: [(guess["name"], round(guess["probability"], 5)) for guess in t["top"]]
    for idx, picture in zip(told, told[40:]):
        expect(plain(idx) == plain(picture), f"{picture} instead of {idx}")
    sums = [sum(guess["probability"] for guess in t["top"]) for t in told]
    expect(all(abs(s - 1) < 1e-9 for s in sums), f"probabilities of all classes add up to {sums}")
    many = ask(*files * 50)["predictions"]
    expect([t["top"][0]["name"] for t in many] == [t["top"][0]["name"] for t in told[40:]] * 50, "150 pictures at once")


@cases
def predict_prints_a_table(room):
    room.train()
    lines = must(0, run("predict", room.final(), room.data / room.TEST_IMAGES, "--top", "2")).out.splitlines()
    expect(len(lines) == 1 + 2 * 40, f"{len(lines)} lines")
    expect(lines[0].split() == ["file", "index", "class", "probability"], lines[0])
    expect(lines[3].split()[1] == "1" and lines[3].index(" 1 ") == lines[1].index(" 0 "), f"{lines[1]}\n{lines[3]}")


@cases
def predict_shows_any_file_name(room):
    room.train()
    file = room.folder / os.fsdecode(b"\x1b[2J \xff")
    write_png(file, 28, 28, pixels(1, 28))
    table = must(0, run("predict", room.final(), file)).out
    expect(table.splitlines()[1].startswith(f"{room.folder}/?[2J ?  "), table)
    [told] = json.loads(must(0, run("predict", room.final(), file, "--json")).out)["predictions"]
    expect(told["file"] == f"{room.folder}/\x1b[2J \ufffd", told)


@cases
def predict_leaves_out_what_it_is_told_to(room):
    room.train()
    good, cut = room.folder / "good", room.folder / "cut"
    write_png(good, 28, 28, pixels(1, 28))
    cut.write_bytes(good.read_bytes()[:60])
    skip = ["--set", "data.on_corrupt=skip"]
    told = must(0, run("predict", room.final(), cut, good, room.folder / "nothing", "--json", *skip))
    expect([t["file"] for t in json.loads(told.out)["predictions"]] == [str(good)], told.out)
    left_out = [line for line in told.err.splitlines() if "left out: " in line]
    expect(len(left_out) == 2 and f"{cut}: cannot be decoded" in left_out[0] and "nothing" in left_out[1], told.err)
    told = must(DATA, run("predict", room.final(), cut, *skip))
    expect("none of the files" in told.err and not told.out, f"{told.out}{told.err}")


@cases
def predict_picks_the_running_statistics(room):
    room.train("--set", "normalization.running_stats=[ema, cumulative]")
    probabilities = set()
    for entry in ["ema", "cumulative"]:
        told = json.loads(must(0, run("predict", room.final(), room.data / room.TEST_IMAGES, "--index", "0", "--json",
                                      "--running-stats", entry)).out)
        probabilities.add(told["predictions"][0]["top"][0]["probability"])
    expect(len(probabilities) == 2, f"both entries gave {probabilities}")


@cases
def export_gives_equal_files_of_equal_runs(room):
    first, second = (room.folder / name for name in ("first.onnx", "second.onnx"))
    room.train(workers=2)
    must(0, run("export", room.final(), "--onnx", first))
    room.train("--overwrite")
    second.write_text("an older file")
    must(0, run("export", room.final(), "--onnx", second))
    expect(first.read_bytes() == second.read_bytes(), "equal runs gave other files")
    must(0, run("export", room.last_checkpoint(), "--onnx", second))
    expect(first.read_bytes() == second.read_bytes(), "the last checkpoint gave another file")
    must(0, run("export", room.final(), "--onnx", second, "--no-fold"))
    expect(first.read_bytes() != second.read_bytes(), "--no-fold changed nothing")


@cases
def effective_config_trains_the_same(room):
    room.train("--set", "seed=7")
    first = result_files(room)
    text = must(0, run("config", room.run / "config.yaml")).out
    room.config.write_text(text)
    room.train("--overwrite")
    expect(result_files(room) == first, "the run's own config.yaml gave other files")


@cases
def paths_name_environment_variables(room):
    text = room.config.read_text()
    room.config.write_text(text.replace(f"path: {room.folder}/data", 'path: "${LOCKSTEP_TEST_ROOM}/data"')
                           .replace(f"run_dir: {room.folder}/run", "run_dir: ${LOCKSTEP_TEST_ROOM:-/nowhere}/run"))
    told = must(USAGE, run("train", room.config, workers=2)).err
    expect("config.yaml:4:" in told and "data.path: the environment has no LOCKSTEP_TEST_ROOM" in told, told)
    os.environ["LOCKSTEP_TEST_ROOM"] = str(room.folder)
    try:
        room.train(workers=2)
    finally:
        del os.environ["LOCKSTEP_TEST_ROOM"]
    expect(f"path: {room.folder}/data" in (room.run / "config.yaml").read_text(), "another path in config.yaml")
    must(0, run("evaluate", room.final()))


@cases
def another_seed_gives_another_answer(room):
    room.train()
    first = result_files(room)
    room.train("--overwrite", "--set", "seed=2")
    expect(result_files(room) != first, "the seed changed nothing")


@cases
def overwrite_leaves_other_files_alone(room):
    room.train()
    notes = room.run / "notes.txt"
    notes.write_text("mine")
    room.train("--overwrite", "--set", "schedule.steps=2")
    expect(notes.read_text() == "mine", "a file that is not the run's was touched")
    expect(room.last_checkpoint().name == "step-00000002.safetensors", "an old checkpoint was left")


@cases
def resume_without_a_checkpoint_starts_afresh(room):
    room.train("--resume")
    expect(room.final().exists(), "no final.safetensors")


@cases
def resume_of_a_finished_run_says_so(room):
    room.train()
    before = room.snapshot()
    result = room.train("--resume")
    expect("finished" in result.err, f"does not say that it is finished: {result.err}")
    expect(room.snapshot() == before, "a finished run was changed")


@cases
def metrics_go_on_without_gap_or_repeat(room):
    every = ["--set", "train.log_every=1"]
    must(STOPPED, run("train", room.config, "--set", "train.stop_at_step=3", *every))
    room.train("--resume", *every)
    steps = [line["step"] for line in metrics(room) if "loss" in line]
    expect(steps == [1, 2, 3, 4], f"steps {steps}")


@cases
def compare_finds_the_first_difference(room):
    digests = ["--set", "train.digest_every=1"]
    other = room.folder / "other"
    room.train(*digests)
    room.train(*digests, "--set", f"run_dir={other}", workers=2)
    must(0, run("compare", room.run, other))
    room.train(*digests, "--set", f"run_dir={other}", "--set", "optimizer.lr=0.06", "--overwrite")
    told = must(6, run("compare", room.run, other))
    expect("step 1" in told.out + told.err, f"does not name the step: {told.out}{told.err}")


@cases
def json_is_alone_on_standard_output(room):
    room.train()
    for arguments in [["evaluate", room.final()], ["inspect", room.final()], ["inspect", room.config]]:
        json.loads(must(0, run(*arguments, "--json")).out)


@cases
def an_answer_that_cannot_be_written_is_an_error(room):
    room.train()
    for arguments in [["evaluate", room.final(), "--json"], ["inspect", room.final(), "--json"], ["config", "--keys"]]:
        with open("/dev/full", "w") as full:
            result = subprocess.run(command(arguments), stdout=full, stderr=subprocess.PIPE, text=True)
        told = f"{result.args}: {result.stderr}"
        expect(result.returncode == DATA, f"code {result.returncode} from {told}")
        expect("standard output" in result.stderr, told)


@cases
def a_file_above_its_size_limit_is_an_error(room):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, hard))
    try:
        told = must(DATA, run("train", room.config)).err
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    expect(".safetensors" in told, f"does not name the file: {told}")


@cases
def a_save_that_fails_is_told_and_tried_again(room):
    every = ["--set", "checkpoint.every_steps=1", "--set", "checkpoint.keep=10"]
    room.train(*every, workers=2)
    undisturbed = result_files(room)
    blocked = room.run / "checkpoints" / "step-00000002.safetensors"
    for file in room.run.rglob("*.safetensors"):
        file.unlink()
    (blocked / "in_the_way").mkdir(parents=True)
    (room.run / "checkpoints" / "latest").unlink()
    told = room.train(*every, "--resume", workers=2).err
    expect("step 2: the checkpoint could not be saved" in told and str(blocked) in told, told)
    expect("step-00000001.safetensors is whole, and loads" in told and "; 1 save failed" in told, told)
    expect(told.count("could not be saved") == 1, f"more than one message: {told}")
    expect(result_files(room).items() <= undisturbed.items(), "other files than without the failure")


def picture_folder(room, corrupt):
    folder = room.folder / "pictures"
    for half, count in {"train": 20, "test": 9}.items():
        for i in range(count):
            place = folder / half / "ab"[i % 2]
            place.mkdir(parents=True, exist_ok=True)
            write_png(place / f"{i:02}.png", 30 + i, 32, pixels(2, 40)[i : i + (30 + i) * 32])
    broken = folder / "train" / "b" / "07.png"
    if corrupt:
        broken.write_bytes(broken.read_bytes()[:70])
    settings = ["data.dataset=image_folder", f"data.path={folder}", "data.image.height=28", "data.image.width=28",
                "data.image.channels=1", "data.mean=[0.5]", "data.std=[0.2]", "batch.global=10", "batch.shards=2",
                "evaluation.batch=9"]
    return broken, [word for setting in settings for word in ("--set", setting)]


@cases
def a_corrupt_picture_ends_the_run_that_reads_it(room):
    broken, settings = picture_folder(room, corrupt=True)
    for workers in (None, 2):
        told = must(DATA, run("train", room.config, *settings, "--overwrite", workers=workers)).err
        expect(told.count(f"{broken}: cannot be decoded as PNG") == 1, told)


@cases
def corrupt_pictures_are_left_out_named_and_counted(room):
    broken, settings = picture_folder(room, corrupt=True)
    others = sorted((room.folder / "pictures" / "train" / "a").glob("*.png"))
    for file in others:
        file.write_bytes(file.read_bytes()[:70])
    settings += ["--set", "data.on_corrupt=skip"]
    answers = []
    for workers in (None, 2):
        told = room.train(*settings, "--overwrite", workers=workers).err
        for file in [broken, *others]:
            expect(told.count(f"left out: {file}") == 1, told)
        expect("11 corrupt image(s) left out" in told and "on 9 samples" in told, told)
        answers.append(result_files(room))
    expect(answers[0] == answers[1], "two workers gave other files than one")
    told = must(0, run("evaluate", room.final(), "--json"))
    expect(json.loads(told.out)["samples"] == 9 and f"left out: {broken}" in told.err, f"{told.out}{told.err}")


@cases
def pictures_are_evaluated_and_predicted_alike(room):
    _, settings = picture_folder(room, corrupt=False)
    room.train(*settings, "--set", "data.augment.crop_scale=[0.3, 1]", "--set", "data.threads=2")
    written = [line for line in metrics(room) if "val_accuracy" in line][-1]
    told = json.loads(must(0, run("evaluate", room.final(), "--json")).out)
    expect(told["samples"] == 9 and told["loss"] == written["val_loss"], f"{told} after {written}")
    files = sorted((room.folder / "pictures" / "test").rglob("*.png"))
    guesses = json.loads(must(0, run("predict", room.final(), *files, "--json")).out)["predictions"]
    right = sum(guess["top"][0]["name"] == file.parent.name for guess, file in zip(guesses, files))
    expect(right == round(told["accuracy"] * 9), f"predict is right {right} times, evaluate says {told}")


# A call by which a file is opened for writing, made, moved or removed, as strace shows it.
WRITES = re.compile(r"^(\d+ +)?(open(at)?\(.*O_(WRONLY|RDWR|CREAT)|(creat|rename|mkdir|unlink|rmdir|link|symlink|truncate"
                    r"|chmod|mknod)\w*\()")


def written(trace):
    lines = trace.read_text(errors="replace").splitlines()
    return {path for line in lines if WRITES.match(line) for path in re.findall(r'"([^"]*)"', line)}


def traced(room, trace):
    return ["strace", "-f", "-o", str(trace), "-e", "trace=%file", *command(["train", room.config, "--overwrite"])]


def written_by_two_ranks(room):
    traces = [room.folder / f"trace{rank}" for rank in range(2)]
    ranks = [traced(room, trace) for trace in traces]
    subprocess.run([MPIRUN, "-n", "1", *ranks[0], ":", "-n", "1", *ranks[1]], check=True, stderr=subprocess.PIPE)
    return [written(trace) for trace in traces]


# Under a launcher: its standard error, which may be a terminal to draw on, and what is Open MPI's own, the folders of
# sessions and the memory that ranks share.
OF_A_LAUNCHER = re.compile(rf"/proc/\d+/fd/2|{re.escape(tempfile.gettempdir())}(/ompi\.[^/]+\.{os.getuid()}(/.*)?)?"
                           r"|/dev/shm/(vader_segment|open_mpi)\.[^/]+")


@cases
def nothing_outside_the_run_directory_is_written(room):
    subprocess.run(traced(room, room.folder / "trace"), check=True, stderr=subprocess.PIPE)
    alone = written(room.folder / "trace")
    by_rank = written_by_two_ranks(room)
    for paths in [alone, by_rank[0]]:
        expect(str(room.final()) in paths, f"saw only {paths}")
    of_us = {*alone, *(path for paths in by_rank for path in paths if not OF_A_LAUNCHER.fullmatch(path))}
    outside = [path for path in of_us - {str(room.run), "/dev/null"} if not path.startswith(f"{room.run}/")]
    expect(not outside, f"wrote {outside}")


@cases
def only_rank_0_writes(room):
    by_rank = [{path for path in paths if path.startswith(str(room.folder))} for paths in written_by_two_ranks(room)]
    expect(any("final.safetensors" in path for path in by_rank[0]), f"rank 0 wrote {by_rank[0]}")
    expect(not by_rank[1], f"rank 1 wrote {by_rank[1]}")


@cases
def beside_computing_and_loading_only_the_watchdog_runs(room):
    for computing, loading in [(1, 1), (2, 1), (1, 2)]:
        running = Running(room, None, "--set", f"threads={computing}", "--set", f"data.threads={loading}")
        tasks = Path(f"/proc/{running.process.pid}/task").glob("*/comm")
        names = collections.Counter(task.read_text().strip() for task in tasks)
        running.process.send_signal(signal.SIGTERM)
        code, err = running.end()
        expect(code == STOPPED, f"code {code}: {err}")
        expect(names["watchdog"] == 1 and names.total() == computing + loading + 1,
               f"{dict(names)} with {computing} computing and {loading} loading")
        shutil.rmtree(room.run)


@cases
def whether_exchange_overlaps_is_decided_by_idle_cores_and_told(room):
    cores = os.sysconf("SC_NPROCESSORS_ONLN")
    idle = "yes" if cores >= 2 else "no"
    for overlap, threads, told in [("auto", 1, idle), ("auto", cores // 2 + 1, "no"), ("on", 1, "yes"), ("off", 1, "no")]:
        settings = ["--set", f"comm.overlap={overlap}", "--set", f"threads={threads}"]
        log = room.train("--overwrite", *settings, workers=2).err
        expect(f"exchange overlaps backward: {told}" in log, f"not '{told}' with {overlap} and {threads} threads:\n{log}")


@cases
def files_follow_the_umask(room):
    before = os.umask(0o027)
    try:
        room.train("--set", "train.digest_every=1")
    finally:
        os.umask(before)
    for path in [room.run, *room.run.rglob("*")]:
        mode = path.stat().st_mode & 0o777
        expect(mode == (0o750 if path.is_dir() else 0o640), f"{path} has mode {mode:o}")


@cases
def a_checkpoint_needs_nothing_beside_it(room):
    room.train()
    images = room.data / room.TEST_IMAGES
    path = ["--set", f"data.path={room.data}"]
    for text in ["services: {web: {image: x}}", "a: [1", "data: {path: nowhere, strange: 1}"]:
        (room.run / "config.yaml").write_text(text)
        must(0, run("predict", room.final(), images, "--index", "0"))
        must(0, run("inspect", room.final(), "--plan"))
        must(0, run("evaluate", room.final(), *path))
    told = must(DATA, run("evaluate", room.final())).err
    expect("nowhere" in told, f"does not look where config.yaml says: {told}")


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
