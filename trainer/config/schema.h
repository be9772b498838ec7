#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "layers/model/running_statistics.h"
#include "layers/model/spec.h"
#include "layers/tensor/element.h"

// The configuration of a run as plain values. YAML becomes these structs once; nothing else reads YAML.
// configs/README.md has every key with its type, range, default and meaning; the defaults stand here.
namespace lockstep {

struct BatchConfig {
  std::int64_t global = 256;
  std::int64_t shards = 8;
};

struct NormalizationConfig {
  std::string sync = "global";  // "global", "local", or a number of shards as text
  std::vector<RunningStatistics> running_stats{{}};
  double momentum = 0.1;
  double eps = 1e-5;
  std::int64_t precise_batches = 32;     // of training, that `precise` is made from
  std::int64_t freeze_after_epochs = 0;  // 0: never

  bool keeps_precise() const {
    return std::ranges::any_of(running_stats, [](const RunningStatistics& entry) {
      return entry.kind == RunningStatistics::Kind::precise;
    });
  }
};

struct AugmentConfig {
  std::int64_t pad_crop = 0;  // pixels of zero padding a side before a random crop to the original size
  bool flip = false;          // left-right, with probability one half
  std::vector<double> crop_scale = {};  // least and most share of the area of a random crop; empty: none
  std::vector<double> crop_ratio{3.0 / 4, 4.0 / 3};     // least and most width / height of it
  double brightness = 0, contrast = 0, saturation = 0;  // factors of 1 ± so much
  double hue = 0;                                       // ± so much of a turn
  bool jitters() const { return brightness > 0 || contrast > 0 || saturation > 0 || hue > 0; }
};

// Of an image folder.
struct ImageConfig {
  std::int64_t height = 224, width = 224, channels = 3;
  double crop = 0.875;  // share of the shorter side that evaluation keeps
};

struct SyntheticConfig {
  std::int64_t samples = 10'000;
  std::int64_t test_samples = 1'000;
  std::int64_t height = 28, width = 28, channels = 1;
  std::int64_t classes = 10;
};

struct DataConfig {
  enum class Dataset : std::uint8_t { fashion_mnist, idx, cifar10, image_folder, synthetic };
  enum class OnCorrupt : std::uint8_t { fail, skip };
  Dataset dataset = Dataset::fashion_mnist;
  std::string path;             // empty: the data set's default
  std::int64_t max_mib = 4096;  // most that one packed file may unpack to
  double validation = 0;
  bool drop_last = false;
  int threads = 1;  // of a worker, that read samples
  OnCorrupt on_corrupt = OnCorrupt::fail;
  std::vector<double> mean,
      deviation;  // a value a channel, of pixels scaled to [0, 1]; empty: of the training set
  AugmentConfig augment;
  ImageConfig image;
  SyntheticConfig synthetic;

  // Share of a picture's shorter side that a network trained on this data is to see.
  double kept_of_picture() const { return dataset == Dataset::image_folder ? image.crop : 1; }
};

// What is special about the parameters whose names a pattern fits.
struct OptimizerRule {
  std::string match;                   // a glob pattern
  std::optional<double> lr_scale;      // factor of the learning rate
  std::optional<double> weight_decay;  // in place of optimizer.weight_decay
};

struct OptimizerConfig {
  enum class Name : std::uint8_t { sgd, adamw };
  Name name = Name::sgd;
  double lr = 0.1;
  double momentum = 0.9;  // sgd
  bool nesterov = true;   // sgd
  double weight_decay = 5e-4;
  double clip_norm = 0;                           // 0: gradients stay as they are
  bool decay_all = false;                         // biases and norm parameters too
  std::vector<OptimizerRule> rules;               // the last that fits and gives a value wins
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  // adamw
};

struct ScheduleConfig {
  enum class Decay : std::uint8_t { constant, cosine, linear, step };
  std::optional<std::int64_t> epochs = 5;  // exactly one of epochs and steps
  std::optional<std::int64_t> steps;
  double warmup_epochs = 0;
  Decay decay = Decay::cosine;
  double step_epochs = 30;  // decay: step
  double step_factor = 0.1;
};

struct LossConfig {
  double label_smoothing = 0;
};

struct EvaluationConfig {
  enum class Metric : std::uint8_t { loss, accuracy };
  std::optional<std::int64_t> every_epochs = 1;  // exactly one of the two
  std::optional<std::int64_t> every_steps;
  std::int64_t batch = 256;
  bool batch_statistics = false;
  Metric metric = Metric::loss;  // what is best is best by this
};

struct CommConfig {
  enum class Backend : std::uint8_t { automatic, mpi, nccl, threads };
  enum class Overlap : std::uint8_t { automatic, on, off };
  Backend backend = Backend::automatic;
  double bucket_mib = 4;
  Overlap overlap = Overlap::automatic;
  double timeout_s = 60;
  std::int64_t check_every = 100;  // steps between checks that all hold the same state; 0: only before saves
  bool check_order = true;
};

struct CheckpointConfig {
  std::optional<std::int64_t> every_epochs = 1;  // exactly one of the two
  std::optional<std::int64_t> every_steps;
  std::int64_t keep = 3;
  bool best = false;  // keep the model of the best evaluation too
};

struct PlanConfig {
  bool fuse = true;
  bool recompute = true;
  std::int64_t memory_mib = 0;  // most that one worker may use; 0: what the machine has free
};

struct EarlyStoppingConfig {
  std::int64_t patience = 0;  // evaluations without a better one; 0: never
  double min_delta = 0;       // by how much a better one is better
};

struct TrainConfig {
  enum class OnDivergence : std::uint8_t { stop, skip };
  OnDivergence on_divergence = OnDivergence::stop;
  std::string init_from;          // file of the weights that a run begins with; empty: random ones
  std::int64_t log_every = 10;    // steps between lines of metrics.jsonl
  std::int64_t digest_every = 0;  // steps between lines of digests.jsonl; 0: never
  std::int64_t stop_at_step = 0;  // save, and exit with 75, after this step; 0: never
  double max_time = 0;            // the same after so many seconds
  double weight_ema = 0;          // share that the average of the weights keeps a step; 0: there is none
  EarlyStoppingConfig early_stopping;
};

// What convolutions and linear layers multiply in training: numbers of fp32; of bf16, as activations are
// then; or of fp32 rounded to tf32's 10 bits, which GPUs can.
enum class Precision : std::uint8_t { fp32, bf16, tf32 };
enum class ComputeOn : std::uint8_t { cpu, gpu };

// What a precision keeps activations in.
constexpr Element element_of(Precision precision) {
  return precision == Precision::bf16 ? Element::bf16 : Element::f32;
}

struct Config {
  std::uint64_t seed = 1;
  std::string run_dir = "runs/default";
  ModelSpec model{.name = "cnn", .layers = {}};
  BatchConfig batch;
  NormalizationConfig normalization;
  DataConfig data;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  LossConfig loss;
  EvaluationConfig evaluation;
  CommConfig comm;
  ComputeOn device = ComputeOn::cpu;  // trains; a worker has one GPU
  int threads = 1;                    // a worker
  Precision precision = Precision::fp32;
  CheckpointConfig checkpoint;
  PlanConfig plan;
  TrainConfig train;
};

}  // namespace lockstep
