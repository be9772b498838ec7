#include <fmt/format.h>

#include <limits>
#include <string>

#include "comm/nccl/nccl.h"
#include "layers/model/zoo.h"
#include "trainer/config/keys.h"
#include "trainer/config/layer_list.h"
#include "trainer/config/layer_types.h"
#include "trainer/config/normalization.h"
#include "trainer/config/optimizer_rules.h"

// The table of all keys. A new key is added here, and nowhere else: parsing, checks, printing and
// configs/README.md follow.
namespace lockstep {

std::vector<Key> make_keys();

namespace {

using Whole = Interval<std::int64_t>;
using Number = Interval<double>;
constexpr std::int64_t million = 1'000'000;
constexpr std::int64_t billion = 1'000'000'000;
constexpr Whole count{1, billion};
constexpr Number positive{.least = 0, .above = true};
constexpr Number below_one{.least = 0, .most = 1, .below = true};

// What determines the result is part of a checkpoint, and a resumed run must share it.
Key result(Entry<Config> entry, std::vector<std::string> known_as = {}) {
  return {std::move(entry), Key::Result::yes, {}, {}, std::move(known_as)};
}

// What changes no bit of the result.
Key free(Entry<Config> entry, std::vector<std::string> known_as = {}) {
  return {std::move(entry), Key::Result::no, {}, {}, std::move(known_as)};
}

// What decides when early stopping ends a run.
Key ends_early(Entry<Config> entry, std::vector<std::string> known_as = {}) {
  return {std::move(entry), Key::Result::with_early_stopping, {}, {}, std::move(known_as)};
}

// What another value than the default changes is on GPUs alone, so models from before it was there are as
// they were.
Key on_gpus(Entry<Config> entry) {
  return {std::move(entry), Key::Result::on_gpus, {}, {}, {}};
}

// Of this key and `other`, one is set at any time.
Key exclusive(std::string other, std::function<void(Config&)> clear, Key key) {
  key.meaning += fmt::format("; not together with `{}`", other);
  key.excludes = std::move(other);
  key.clear = std::move(clear);
  return key;
}

// A member by name, of a const or a mutable Config.
#define FIELD(member) ([](auto& config) -> auto& { return config.member; })

std::vector<Key> run_keys() {
  return {
      result(scalar<Config>("seed", "whole number", "0 to 2^64 - 1",
                            "start of everything random: weights, order of samples, augmentation, dropout",
                            FIELD(seed), "a whole number, 0 to 18446744073709551615", as_seed),
             {"random_seed"}),
      free(file_path<Config>("run_dir", FIELD(run_dir), false, "folder that the run writes"),
           {"output", "output_dir"}),
  };
}

Words<std::string> model_names() {
  Words<std::string> names;
  for (const std::string& name : zoo_names()) names.known.emplace_back(name, name);
  return names;
}

std::vector<Key> model_keys() {
  Entry<Config> layers{.path = "model.layers",
                       .type = "list of layers",
                       .range = "see below",
                       .meaning = "a network of your own",
                       .read = [](const YAML::Node& value, const Place& place,
                                  Config& config) { read_layers(value, place, config.model.layers); },
                       .write =
                           [](const Config& config) {
                             return config.model.layers.empty() ? Json(nullptr)
                                                                : write_layers(config.model.layers);
                           }};
  return {
      exclusive(
          "model.layers", [](Config& config) { config.model.name.clear(); },
          result(word<Config, std::string>("model.name", FIELD(model.name), model_names(),
                                           "a network that comes with the program"),
                 {"arch"})),
      exclusive(
          "model.name", [](Config& config) { config.model.layers.clear(); }, result(std::move(layers))),
      result(list<Config, std::int64_t>("model.hidden", FIELD(model.hidden), Whole{1, million},
                                        "whole number", as_whole, "`mlp`: units of each hidden layer")),
      result(number<Config>("model.dropout", FIELD(model.dropout), below_one,
                            "share of values dropped before the last layer of a network with a name")),
  };
}

std::vector<Key> batch_keys() {
  return {
      result(whole<Config>("batch.global", FIELD(batch.global), Whole{1, million},
                           "samples of an optimizer step, over all workers"),
             {"size", "batch_size"}),
      result(whole<Config>("batch.shards", FIELD(batch.shards), Whole{1, most_shards},
                           "slices of the batch, the unit of work: at least as many as workers ever used")),
  };
}

std::vector<Key> normalization_keys() {
  Entry<Config> sync{
      .path = "normalization.sync",
      .type = "word or whole number",
      .range = "global, local, or 1 to batch.shards",
      .meaning =
          "shards that share their statistics in BatchNorm: all, none, or groups of so many neighbours",
      .read = read_sync,
      .write = write_sync};
  Entry<Config> running_stats{
      .path = "normalization.running_stats",
      .type = "list of words",
      .range = "ema, ema:M (M 0 to 1), cumulative, precise",
      .meaning =
          "ways to keep the statistics that inference uses, the first is the primary one: `ema` a moving "
          "average (at normalization.momentum, or M), `cumulative` the plain average since the start, "
          "`precise` computed anew from the weights at evaluations and saves",
      .read = read_running_stats,
      .write = write_running_stats};
  return {
      result(std::move(sync)),
      result(std::move(running_stats)),
      result(number<Config>("normalization.momentum", FIELD(normalization.momentum), Number{0, 1},
                            "weight of the newest batch in the moving average `ema`")),
      result(number<Config>("normalization.eps", FIELD(normalization.eps), positive,
                            "added to the variance before the square root"),
             {"epsilon"}),
      result(whole<Config>("normalization.precise_batches", FIELD(normalization.precise_batches), count,
                           "`precise` statistics come from so many batches, the first of epoch 0, without "
                           "augmentation; at most an epoch's")),
      result(whole<Config>("normalization.freeze_after_epochs", FIELD(normalization.freeze_after_epochs),
                           Whole{0, million},
                           "epochs after which running statistics stay as they are, and training "
                           "normalizes with the primary one's; 0: never")),
  };
}

std::vector<Key> data_keys() {
  using Dataset = DataConfig::Dataset;
  const Words<Dataset> datasets{.known = {{"fashion_mnist", Dataset::fashion_mnist},
                                          {"idx", Dataset::idx},
                                          {"cifar10", Dataset::cifar10},
                                          {"image_folder", Dataset::image_folder},
                                          {"synthetic", Dataset::synthetic}},
                                .refused = {}};
  using OnCorrupt = DataConfig::OnCorrupt;
  const Words<OnCorrupt> on_corrupt{.known = {{"fail", OnCorrupt::fail}, {"skip", OnCorrupt::skip}},
                                    .refused = {}};
  const Number any{std::numeric_limits<double>::lowest()};
  return {
      result(word<Config, Dataset>(
                 "data.dataset", FIELD(data.dataset), datasets,
                 "what to learn from: Fashion-MNIST, other files in its format (IDX, plain or "
                 ".gz), CIFAR-10 (its binary version), a folder of pictures (JPEG and PNG, one folder "
                 "a class), or made-up images"),
             {"name"}),
      free(file_path<Config>("data.path", FIELD(data.path), true,
                             "folder of the data; empty: where Debian's package of fashion_mnist puts it"),
           {"dir", "root"}),
      free(whole<Config>("data.max_mib", FIELD(data.max_mib), Whole{1, million},
                         "most MiB that one packed file (.gz, PNG, JPEG) may unpack to")),
      result(number<Config>("data.validation", FIELD(data.validation), below_one,
                            "share of the training set kept for evaluations; 0: they use the test set")),
      result(boolean<Config>("data.drop_last", FIELD(data.drop_last),
                             "skip the last batch of an epoch where it is short")),
      free(whole<Config>("data.threads", FIELD(data.threads), Whole{1, 1024},
                         "threads of a worker that read, decode and augment images"),
           {"num_workers"}),
      result(word<Config, OnCorrupt>(
          "data.on_corrupt", FIELD(data.on_corrupt), on_corrupt,
          "`image_folder`: a picture that cannot be decoded ends the run with exit code 3 when it is "
          "read, or is left out, named and counted; to that end all are decoded at the start")),
      result(list<Config, double>(
          "data.mean", FIELD(data.mean), any, "number", as_number,
          "a value a channel, taken from pixels scaled to 0 to 1; goes with data.std; both "
          "empty: the training set's")),
      result(list<Config, double>("data.std", FIELD(data.deviation), positive, "number", as_number,
                                  "a value a channel, that pixels are then divided by; goes with data.mean"),
             {"deviation"}),
      result(
          whole<Config>("data.augment.pad_crop", FIELD(data.augment.pad_crop), Whole{0, 1024},
                        "training images get so many black pixels a side, then a random cut to their size")),
      result(boolean<Config>("data.augment.flip", FIELD(data.augment.flip),
                             "mirror training images left to right, every second at random")),
      result(list<Config, double>(
          "data.augment.crop_scale", FIELD(data.augment.crop_scale),
          Number{.least = 0, .most = 1, .above = true}, "number", as_number,
          "training images are random crops, scaled back to their size, that have so much of the area, least "
          "and most: [0.08, 1] is usual for pictures; empty: none")),
      result(list<Config, double>("data.augment.crop_ratio", FIELD(data.augment.crop_ratio), positive,
                                  "number", as_number, "their width / height, least and most")),
      result(number<Config>("data.augment.brightness", FIELD(data.augment.brightness), Number{0, 1000},
                            "training images get their brightness times 1 ± so much at random")),
      result(number<Config>("data.augment.contrast", FIELD(data.augment.contrast), Number{0, 1000},
                            "the same of the contrast")),
      result(number<Config>("data.augment.saturation", FIELD(data.augment.saturation), Number{0, 1000},
                            "the same of the saturation")),
      result(number<Config>("data.augment.hue", FIELD(data.augment.hue), Number{0, 0.5},
                            "training images get their hue shifted by ± so much of the color circle")),
      result(whole<Config>("data.image.height", FIELD(data.image.height), Whole{1, 4096},
                           "`image_folder`: rows that pictures are scaled and cut to")),
      result(whole<Config>("data.image.width", FIELD(data.image.width), Whole{1, 4096},
                           "`image_folder`: columns")),
      result(scalar<Config>("data.image.channels", "whole number", "1 or 3",
                            "`image_folder`: gray, or colors", FIELD(data.image.channels), "1 or 3",
                            [](const YAML::Node& value) {
                              const auto read = as_whole(value);
                              return read && (*read == 1 || *read == 3) ? read : std::nullopt;
                            })),
      result(number<Config>(
          "data.image.crop", FIELD(data.image.crop), Number{.least = 0.01, .most = 1},
          "`image_folder`: share of the shorter side that evaluation keeps; 0.875 scales to 256 "
          "and cuts out 224")),
      result(whole<Config>("data.synthetic.samples", FIELD(data.synthetic.samples), count,
                           "`synthetic`: training images")),
      result(whole<Config>("data.synthetic.test_samples", FIELD(data.synthetic.test_samples), count,
                           "`synthetic`: test images")),
      result(whole<Config>("data.synthetic.height", FIELD(data.synthetic.height), Whole{1, 4096},
                           "`synthetic`: rows of an image")),
      result(whole<Config>("data.synthetic.width", FIELD(data.synthetic.width), Whole{1, 4096},
                           "`synthetic`: columns of an image")),
      result(whole<Config>("data.synthetic.channels", FIELD(data.synthetic.channels), Whole{1, 1024},
                           "`synthetic`: values a pixel")),
      result(whole<Config>("data.synthetic.classes", FIELD(data.synthetic.classes), Whole{2, million},
                           "`synthetic`: different labels")),
  };
}

std::vector<Key> optimizer_keys() {
  using Name = OptimizerConfig::Name;
  const Words<Name> names{.known = {{"sgd", Name::sgd}, {"adamw", Name::adamw}}, .refused = {}};
  Entry<Config> rules{
      .path = "optimizer.rules",
      .type = "list of rules",
      .range = "each `{match: pattern, lr_scale: number, weight_decay: number}`, numbers at least 0",
      .meaning =
          "other values for the parameters whose whole name fits a pattern (`*` stands for any characters, "
          "`?` for "
          "one, `[abc]` for one of these; some name must fit): `lr_scale` is a factor of the learning rate, "
          "0 freezes; "
          "`weight_decay` takes the place of optimizer.weight_decay, for biases and the parameters of "
          "normalization "
          "too. Of the rules that fit and have the value, the last wins",
      .read = [](const YAML::Node& value, const Place& place,
                 Config& config) { read_rules(value, place, config.optimizer.rules); },
      .write = [](const Config& config) { return write_rules(config.optimizer.rules); }};
  return {
      result(word<Config, Name>("optimizer.name", FIELD(optimizer.name), names, "rule of the update")),
      result(
          number<Config>("optimizer.lr", FIELD(optimizer.lr), Number{0}, "learning rate after the warm-up"),
          {"learning_rate"}),
      result(number<Config>("optimizer.momentum", FIELD(optimizer.momentum), below_one, "`sgd`: momentum")),
      result(boolean<Config>("optimizer.nesterov", FIELD(optimizer.nesterov), "`sgd`: Nesterov's momentum")),
      result(number<Config>(
          "optimizer.weight_decay", FIELD(optimizer.weight_decay), Number{0},
          "pull of the weights towards 0: with `sgd` part of the gradient, with `adamw` apart")),
      result(boolean<Config>("optimizer.decay_all", FIELD(optimizer.decay_all),
                             "decay biases and the parameters of normalization too")),
      result(std::move(rules), {"param_groups", "parameter_groups"}),
      result(number<Config>(
                 "optimizer.clip_norm", FIELD(optimizer.clip_norm), Number{0},
                 "scale the gradient of all parameters together down to this L2 norm where it is longer, "
                 "as PyTorch's `clip_grad_norm_` does; `grad_norm` in metrics.jsonl is the norm before; "
                 "0: never"),
             {"max_grad_norm", "gradient_clip_val", "grad_clip"}),
      result(number<Config>("optimizer.beta1", FIELD(optimizer.beta1), below_one,
                            "`adamw`: decay of the mean gradient")),
      result(number<Config>("optimizer.beta2", FIELD(optimizer.beta2), below_one,
                            "`adamw`: decay of the mean squared gradient")),
      result(number<Config>("optimizer.eps", FIELD(optimizer.eps), positive,
                            "`adamw`: added to the root of the mean squared gradient")),
  };
}

std::vector<Key> schedule_keys() {
  using Decay = ScheduleConfig::Decay;
  const Words<Decay> decays{.known = {{"constant", Decay::constant},
                                      {"cosine", Decay::cosine},
                                      {"linear", Decay::linear},
                                      {"step", Decay::step}},
                            .refused = {}};
  return {
      exclusive(
          "schedule.steps", [](Config& config) { config.schedule.epochs.reset(); },
          result(whole<Config>("schedule.epochs", FIELD(schedule.epochs), Whole{1, million},
                               "length of the run in passes over the training set"),
                 {"epoch", "max_epochs", "num_epochs"})),
      exclusive(
          "schedule.epochs", [](Config& config) { config.schedule.steps.reset(); },
          result(whole<Config>("schedule.steps", FIELD(schedule.steps), count,
                               "length of the run in optimizer steps"),
                 {"max_steps"})),
      result(number<Config>("schedule.warmup_epochs", FIELD(schedule.warmup_epochs),
                            Number{0, static_cast<double>(million)},
                            "epochs, or part of one, in which the learning rate first rises"),
             {"warmup"}),
      result(
          word<Config, Decay>("schedule.decay", FIELD(schedule.decay), decays,
                              "the learning rate after the warm-up: level, half a cosine down to 0, a line "
                              "down to 0, or steps")),
      result(number<Config>("schedule.step_epochs", FIELD(schedule.step_epochs),
                            Number{.least = 0, .most = million, .above = true},
                            "decay `step`: epochs between two steps")),
      result(number<Config>("schedule.step_factor", FIELD(schedule.step_factor),
                            Number{.least = 0, .most = 1, .above = true},
                            "decay `step`: factor of each step")),
  };
}

std::vector<Key> loss_keys() {
  return {result(number<Config>("loss.label_smoothing", FIELD(loss.label_smoothing), below_one,
                                "share of the target spread evenly over all classes"))};
}

std::vector<Key> evaluation_keys() {
  using Metric = EvaluationConfig::Metric;
  const Words<Metric> metrics{.known = {{"loss", Metric::loss}, {"accuracy", Metric::accuracy}},
                              .refused = {}};
  return {
      exclusive(
          "evaluation.every_steps", [](Config& config) { config.evaluation.every_epochs.reset(); },
          ends_early(whole<Config>("evaluation.every_epochs", FIELD(evaluation.every_epochs),
                                   Whole{1, million}, "epochs between two evaluations"))),
      exclusive(
          "evaluation.every_epochs", [](Config& config) { config.evaluation.every_steps.reset(); },
          ends_early(whole<Config>("evaluation.every_steps", FIELD(evaluation.every_steps), count,
                                   "steps between two evaluations"))),
      result(whole<Config>("evaluation.batch", FIELD(evaluation.batch), Whole{1, million},
                           "samples evaluated at a time, over all workers")),
      ends_early(
          word<Config, Metric>("evaluation.metric", FIELD(evaluation.metric), metrics,
                               "by what an evaluation is better than another: the lower `val_loss` or the "
                               "higher `val_accuracy`"),
          {"monitor"}),
      free(boolean<Config>("evaluation.batch_statistics", FIELD(evaluation.batch_statistics),
                           "evaluate once more, normalizing each batch with its own statistics as training "
                           "does: `val_accuracy.batch`")),
  };
}

std::vector<Key> comm_keys() {
  using Backend = CommConfig::Backend;
  using Overlap = CommConfig::Overlap;
  Words<Backend> backends{.known = {{"auto", Backend::automatic},
                                    {"mpi", Backend::mpi},
                                    {"nccl", Backend::nccl},
                                    {"threads", Backend::threads}},
                          .refused = {}};
  if (!has_nccl()) {
    backends.refused = {{"nccl",
                         "not in this build, which has no CUDA: configure with cmake --preset cuda "
                         "(scripts/cuda_toolkit.sh brings what that needs), or use auto"}};
  }
  const Words<Overlap> overlaps{
      .known = {{"auto", Overlap::automatic}, {"on", Overlap::on}, {"off", Overlap::off}}, .refused = {}};
  return {
      free(word<Config, Backend>(
          "comm.backend", FIELD(comm.backend), backends,
          "how workers talk; auto: by MPI under a launcher, with device gpu by NCCL, else as threads; nccl: "
          "gradients between GPUs, one a worker, in a build with CUDA")),
      free(number<Config>("comm.bucket_mib", FIELD(comm.bucket_mib), Number{.least = 0.001, .most = 1024},
                          "gradients are summed in pieces of so many MiB")),
      free(word<Config, Overlap>("comm.overlap", FIELD(comm.overlap), overlaps,
                                 "exchange gradients while the backward pass still computes")),
      free(number<Config>(
               "comm.timeout_s", FIELD(comm.timeout_s), Number{.least = 0, .most = million, .above = true},
               "seconds to wait for another worker, or for a run directory in use, before giving up"),
           {"timeout"}),
      free(whole<Config>("comm.check_every", FIELD(comm.check_every), Whole{0, billion},
                         "steps between two checks that all workers hold the same state; 0: only before a "
                         "save, which is always checked")),
      free(boolean<Config>("comm.check_order", FIELD(comm.check_order),
                           "see at every exchange between processes that all workers make the same one")),
  };
}

std::vector<Key> compute_keys() {
  const Words<ComputeOn> devices{.known = {{"cpu", ComputeOn::cpu}, {"gpu", ComputeOn::gpu}}, .refused = {}};
  const Words<Precision> precisions{
      .known = {{"fp32", Precision::fp32}, {"bf16", Precision::bf16}, {"tf32", Precision::tf32}},
      .refused = {}};
  return {
      on_gpus(word<Config, ComputeOn>(
          "device", FIELD(device), devices,
          "what trains: processors, or one GPU of NVIDIA's a worker, in a build with CUDA; the two give "
          "other bits. Whatever trained a model, evaluate, predict and export use it on a processor")),
      free(whole<Config>("threads", FIELD(threads), Whole{1, 1024},
                         "computing threads of a worker; of one with a GPU, as many queues there"),
           {"num_threads"}),
      result(
          word<Config, Precision>(
              "precision", FIELD(precision), precisions,
              "numbers in which training keeps activations and their gradients, and which convolutions and "
              "linear layers multiply; weights, optimizer, statistics, the loss and all sums are in fp32 or "
              "better, and so are evaluations. bf16 needs a processor with AVX-512, or a GPU; tf32, for "
              "GPUs, rounds what is multiplied to 10 bits and keeps fp32"),
          {"dtype"}),
  };
}

std::vector<Key> checkpoint_keys() {
  return {
      exclusive(
          "checkpoint.every_steps", [](Config& config) { config.checkpoint.every_epochs.reset(); },
          free(whole<Config>("checkpoint.every_epochs", FIELD(checkpoint.every_epochs), Whole{1, million},
                             "epochs between two checkpoints"))),
      exclusive(
          "checkpoint.every_epochs", [](Config& config) { config.checkpoint.every_steps.reset(); },
          free(whole<Config>("checkpoint.every_steps", FIELD(checkpoint.every_steps), count,
                             "steps between two checkpoints"))),
      free(whole<Config>("checkpoint.keep", FIELD(checkpoint.keep), Whole{1, million},
                         "checkpoints kept, the newest; older ones are deleted")),
      free(boolean<Config>(
               "checkpoint.best", FIELD(checkpoint.best),
               "keep the model of the best evaluation, by evaluation.metric, as best.safetensors; needs "
               "data.validation"),
           {"save_best", "save_best_only"}),
  };
}

std::vector<Key> plan_keys() {
  return {
      free(boolean<Config>("plan.fuse", FIELD(plan.fuse),
                           "run neighbouring operations in one pass over memory")),
      free(boolean<Config>("plan.recompute", FIELD(plan.recompute),
                           "compute normalized activations again in the backward pass, to save memory")),
      free(whole<Config>("plan.memory_mib", FIELD(plan.memory_mib), Whole{0, billion},
                         "most MiB that a worker may use; 0: what the machine has free")),
  };
}

std::vector<Key> train_keys() {
  using OnDivergence = TrainConfig::OnDivergence;
  const Words<OnDivergence> on_divergence{
      .known = {{"stop", OnDivergence::stop}, {"skip", OnDivergence::skip}}, .refused = {}};
  return {
      free(whole<Config>("train.log_every", FIELD(train.log_every), count,
                         "steps between two lines of metrics.jsonl")),
      free(whole<Config>("train.digest_every", FIELD(train.digest_every), Whole{0, billion},
                         "steps between two lines of digests.jsonl; 0: none")),
      free(whole<Config>("train.stop_at_step", FIELD(train.stop_at_step), Whole{0, billion},
                         "save and leave with exit code 75 after so many steps; 0: never")),
      free(duration<Config>("train.max_time", FIELD(train.max_time), Number{.least = 0, .most = billion},
                            "save and leave with exit code 75 once the run has lasted so long, by rank 0's "
                            "clock, with what it reads at the start; 0: never"),
           {"max_duration", "time_limit"}),
      free(file_path<Config>(
               "train.init_from", FIELD(train.init_from), true,
               "safetensors file whose weights and running statistics a new run begins with, ours or "
               "torchvision's; not its path but its digest is kept in checkpoints, and a resumed run "
               "needs it no more; empty: random weights"),
           {"pretrained", "weights"}),
      result(number<Config>(
                 "train.weight_ema", FIELD(train.weight_ema), below_one,
                 "share that a moving average of the weights and running statistics keeps of itself in a "
                 "step, such as 0.999; the averaged model is evaluated too, `val_loss.ema_weights`, and "
                 "written to final_ema.safetensors; 0: there is none"),
             {"ema", "ema_decay"}),
      ends_early(whole<Config>(
          "train.early_stopping.patience", FIELD(train.early_stopping.patience), Whole{0, million},
          "end the run, as finished, after so many evaluations in a row that were not better "
          "than the best before them, by evaluation.metric; needs data.validation; a resumed run "
          "may have more; 0: never")),
      ends_early(number<Config>("train.early_stopping.min_delta", FIELD(train.early_stopping.min_delta),
                                Number{0}, "a better evaluation is better by more than this")),
      free(word<Config, OnDivergence>(
          "train.on_divergence", FIELD(train.on_divergence), on_divergence,
          "after a step that gives NaN or infinity: end the run with exit code "
          "5, or undo the step, count it and "
          "go on with the next batch, until 10 steps in a row went so. Where weights give no "
          "finite `precise` statistics, or an evaluation no finite loss, the run ends all the same")),
  };
}
#undef FIELD

}  // namespace

std::vector<Key> make_keys() {
  std::vector<Key> all;
  for (const auto group :
       {run_keys, model_keys, batch_keys, normalization_keys, data_keys, optimizer_keys, schedule_keys,
        loss_keys, evaluation_keys, comm_keys, compute_keys, checkpoint_keys, plan_keys, train_keys}) {
    std::vector<Key> more = group();
    std::move(more.begin(), more.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace lockstep
