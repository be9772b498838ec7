#include "trainer/loop/inference.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <yaml-cpp/yaml.h>

#include <optional>
#include <vector>

#include "comm/base/error.h"
#include "trainer/config/config.h"
#include "trainer/config/environment.h"
#include "trainer/loop/evaluate.h"

namespace lockstep {
namespace {

// data.path of a configuration; nothing where the file is none, or is not there.
std::optional<std::string> data_path_in(const std::filesystem::path& config) {
  try {
    const YAML::Node root = YAML::LoadFile(config.string());
    if (!root.IsMap() || !root["data"].IsMap()) return std::nullopt;
    const Expansion path = expand_variables(root["data"]["path"].as<std::string>());
    if (path.wrong.empty()) return path.text;
  } catch (const YAML::Exception&) {
  }
  return std::nullopt;
}

bool leaves_model_alone(std::string_view setting) {
  for (const std::string_view start : {"data.", "evaluation.batch=", "threads=", "plan.", "comm."}) {
    if (setting.starts_with(start)) return true;
  }
  return false;
}

Config as_used_here(const Config& config, std::span<const std::string> settings) {
  for (const std::string& setting : settings) {
    if (leaves_model_alone(setting)) continue;
    throw UsageError(
        fmt::format("--set {}: the model is used as it was trained; keys that may be set here are "
                    "those of data, plan and comm, evaluation.batch and threads",
                    setting));
  }
  return with_settings(config, settings);
}

// So that no file makes us ask for memory that it does not fill itself.
void check_promise(const SafetensorsFile& contents, const ModelOptions& options, const std::string& name) {
  std::uint64_t bytes = 0;
  for (const TensorView& tensor : contents.tensors()) bytes += tensor.bytes.size();
  const std::uint64_t needed = state_bytes(options);
  if (needed <= bytes) return;
  throw DataError(fmt::format("{}: the model of its metadata has tensors of {} bytes, the file of only {}",
                              name, needed, bytes));
}

// A model as the file's metadata has it; what does not fit together there is the file's fault.
ModelOptions described_model(const Config& config, const Facts& facts, const SafetensorsFile& contents,
                             const std::string& name, Element precision) {
  ModelOptions options = model_options(config, facts.input);
  options.inference = precision;
  try {
    check_promise(contents, options, name);
  } catch (const UsageError& error) {
    throw DataError(fmt::format("{}: the model of its metadata cannot be made: {}", name, error.what()));
  }
  return options;
}

}  // namespace

Transform Trained::transform() const {
  return {facts.input.shape, facts.normalization, config.data.augment, config.seed};
}

std::size_t Trained::entry(const std::string& name) const {
  if (name.empty()) return 0;
  if (name == "batch") return batch_statistics;
  std::vector<std::string> names;
  for (const RunningStatistics& kept : config.normalization.running_stats) {
    if (kept.name == name) return names.size();
    names.push_back(kept.name);
  }
  throw UsageError(fmt::format("--running-stats {}: the model keeps {}; or batch, for each batch's own", name,
                               fmt::join(names, ", ")));
}

std::size_t Trained::kept_entry(const std::string& name) const {
  if (name != "batch") return entry(name);
  throw UsageError(
      fmt::format("--running-stats batch: is for evaluate alone; here the model needs statistics of "
                  "its own, such as {}",
                  config.normalization.running_stats.front().name));
}

std::string data_path_of_run(const std::filesystem::path& file) {
  const auto folder = std::filesystem::absolute(file).parent_path();
  for (const auto& place : {folder, folder.parent_path()}) {
    if (auto path = data_path_in(place / "config.yaml")) return *path;
  }
  return "";
}

Trained open_trained(const std::filesystem::path& file, std::span<const std::string> settings) {
  return open_trained(SafetensorsFile::read(file), file.string(), settings);
}

Trained open_trained(const SafetensorsFile& contents, const std::string& name,
                     std::span<const std::string> settings, Element precision) {
  require_precision(precision);
  Facts facts = read_facts(contents.metadata(), name);
  Config config = as_used_here(read_config(contents.metadata(), name), settings);
  Model model(described_model(config, facts, contents, name, precision), 1, 0);
  load_tensors(contents, name, model.state(), Purpose::inference);
  return {std::move(config), std::move(facts), std::move(model)};
}

}  // namespace lockstep
