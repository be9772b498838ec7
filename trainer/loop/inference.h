#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "layers/model/model.h"
#include "trainer/checkpoint/safetensors.h"
#include "trainer/config/schema.h"
#include "trainer/loop/checkpoint.h"

namespace lockstep {

// A trained model as one machine uses it, from a file that `train` wrote and nothing else.
struct Trained {
  Config config;
  Facts facts;
  Model model;

  Transform transform() const;
  // The index of an entry of normalization.running_stats ("ema", "cumulative"), the first where empty;
  // batch_statistics for "batch". Throws UsageError, naming those that were kept.
  std::size_t entry(const std::string& name) const;
  // The same, of those that are kept: a UsageError for "batch" too.
  std::size_t kept_entry(const std::string& name) const;
};

// Reads a checkpoint or a final.safetensors. The model computes in `precision`, whatever it was trained in.
// `settings` as --set has them, of keys that change no result of
// the model (data, evaluation.batch, threads, plan, comm); another one is a UsageError. A checkpoint does not
// know its data.path.
Trained open_trained(const std::filesystem::path& file, std::span<const std::string> settings);
Trained open_trained(const SafetensorsFile& contents, const std::string& name,
                     std::span<const std::string> settings, Element precision = Element::f32);

// Where the run of a checkpoint read its data: data.path of the config.yaml beside final.safetensors and
// above checkpoints/. Empty where there is none; a file that is no configuration is passed over.
std::string data_path_of_run(const std::filesystem::path& file);

}  // namespace lockstep
