#include "trainer/loop/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "comm/base/error.h"
#include "comm/base/text.h"
#include "trainer/checkpoint/strict_json.h"
#include "trainer/config/config.h"

namespace lockstep {
namespace {

using nlohmann::json;

constexpr std::string_view format_version = "1";

template <class T>
ModelTensor scalar(const std::string& name, DType dtype, T& value) {
  return {name, dtype, {}, std::as_writable_bytes(std::span(&value, 1))};
}

const std::string& entry(const Metadata& metadata, const std::string& key, const std::string& file) {
  const auto found = metadata.find(key);
  if (found == metadata.end()) {
    throw DataError(
        fmt::format("{}: its metadata has no '{}'; it was not written by lockstep train", file, key));
  }
  return found->second;
}

// Whether a JSON value is what a fact is made of; if so, it is in `fact`.
bool take(const json& value, std::int64_t& fact) {
  constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > most) return false;
  fact = value.get<std::int64_t>();
  return true;
}
bool take(const json& value, double& fact) {
  if (!value.is_number()) return false;
  fact = value.get<double>();
  return true;
}
bool take(const json& value, std::string& fact) {
  if (!value.is_string()) return false;
  fact = value.get<std::string>();
  return true;
}
template <class T>
bool take(const json& value, std::vector<T>& fact) {
  if (!value.is_array()) return false;
  fact.resize(value.size());
  for (std::size_t i = 0; i < fact.size(); ++i) {
    if (!take(value[i], fact[i])) return false;
  }
  return true;
}

template <class T>
void read(const Metadata& metadata, const std::string& key, const std::string& file,
          std::string_view expected, T& fact) {
  constexpr std::size_t deepest = 1;  // a list
  const std::string& text = entry(metadata, key, file);
  std::string reason;
  try {
    if (take(parse_strictly(text, deepest), fact)) return;
  } catch (const JsonError& wrong) {
    reason = fmt::format(" (it {})", wrong.what());
  }
  throw DataError(fmt::format("{}: the '{}' of its metadata is '{}', not {}{}", file, key, printable(text),
                              expected, reason));
}

void check_version(const Metadata& metadata, const std::string& file) {
  const std::string& version = entry(metadata, "format_version", file);
  if (version == format_version) return;
  throw DataError(fmt::format("{}: its format version is '{}', this program reads {}", file,
                              printable(version), format_version));
}

bool passed_over(std::string_view name, Purpose purpose) {
  if (purpose == Purpose::resume) return false;
  if (name.starts_with("optimizer.") || name.starts_with("train.") || name.starts_with("ema_weights."))
    return true;
  return purpose == Purpose::weights && name.starts_with("stats.");
}

// Rows, columns and channels of an image that a machine can hold.
SampleShape image_shape(const std::vector<std::int64_t>& sizes, const std::string& file) {
  constexpr std::int64_t most = 1 << 30;  // values
  std::int64_t room = sizes.size() == 3 ? most : 0;
  for (const std::int64_t size : sizes) room = size > 0 ? room / size : 0;
  if (room > 0) return {sizes[0], sizes[1], sizes[2]};
  throw DataError(fmt::format(
      "{}: the 'input_shape' of its metadata is {}, not three sizes of at least 1 and at most {} values",
      file, printable(to_string(sizes)), most));
}

void check_together(const Facts& facts, const std::string& file) {
  const auto channels = static_cast<std::size_t>(facts.input.shape.channels);
  const std::size_t means = facts.normalization.mean.size();
  const std::size_t deviations = facts.normalization.deviation.size();
  if (means != channels || deviations != channels) {
    throw DataError(fmt::format("{}: its metadata has images of {} channels, but {} means and {} deviations",
                                file, channels, means, deviations));
  }
  const auto divides = [](double deviation) { return deviation > 0; };
  if (!std::ranges::all_of(facts.normalization.deviation, divides)) {
    throw DataError(
        fmt::format("{}: the 'input_deviation' of its metadata has a value that is not above 0", file));
  }
  if (facts.input.classes < 1 || std::cmp_not_equal(facts.class_names.size(), facts.input.classes)) {
    throw DataError(fmt::format("{}: its metadata has {} classes, but names of {}", file, facts.input.classes,
                                facts.class_names.size()));
  }
}

// "\n  missing: a, b, c … and 40 more", or nothing. Every tensor of a usual network finds its place in it.
std::string listed(std::string_view title, const std::vector<std::string>& names) {
  constexpr std::size_t most = 400;
  if (names.empty()) return "";
  const auto end = names.begin() + static_cast<std::ptrdiff_t>(std::min(most, names.size()));
  const std::string rest = names.size() > most ? fmt::format(" … and {} more", names.size() - most) : "";
  return fmt::format("\n  {}: {}{}", title, fmt::join(names.begin(), end, ", "), rest);
}

}  // namespace

std::vector<ModelTensor> training_state(Model& model, Optimizer& optimizer, Counters& counters) {
  std::vector<ModelTensor> tensors = model.state();
  for (const OptimizerState& state : optimizer.state()) {
    for (const Parameter& parameter : model.parameters()) {
      const auto values = state.values.subspan(parameter.offset, parameter.count());
      tensors.push_back({fmt::format("optimizer.{}.{}", state.name, parameter.name), DType::f32,
                         parameter.dims, std::as_writable_bytes(values)});
    }
  }
  tensors.push_back(scalar("train.step", DType::i64, counters.step));
  tensors.push_back(scalar("train.skipped", DType::i64, counters.skipped));
  tensors.push_back(scalar("train.skipped_in_a_row", DType::i64, counters.skipped_in_a_row));
  if (counters.early_stopping) {
    EarlyStopping& evaluations = *counters.early_stopping;
    tensors.push_back(scalar("train.evaluated_step", DType::i64, evaluations.step));
    tensors.push_back(scalar("train.best_step", DType::i64, evaluations.best_step));
    tensors.push_back(scalar("train.best", DType::f64, evaluations.best));
    tensors.push_back(scalar("train.evaluations_since_best", DType::i64, evaluations.not_better));
  }
  return tensors;
}

Metadata describe(const Config& config, const Facts& facts) {
  // JSON brings back every double exactly.
  const SampleShape& shape = facts.input.shape;
  Metadata metadata{
      {"format_version", std::string(format_version)},
      {"config", result_json(config)},
      {"model", config.model.name.empty() ? "layers" : config.model.name},
      {"input_shape", fmt::format("[{},{},{}]", shape.height, shape.width, shape.channels)},
      {"input_mean", json(facts.normalization.mean).dump()},
      {"input_deviation", json(facts.normalization.deviation).dump()},
      {"classes", fmt::format("{}", facts.input.classes)},
      {"class_names", json(facts.class_names).dump()},
      {"train_samples", fmt::format("{}", facts.samples)},
      {"train_digest", facts.train_digest},
      {"step", fmt::format("{}", facts.step)},
      {"epoch", fmt::format("{}", facts.epoch)},
  };
  if (!facts.init_digest.empty()) metadata["init_digest"] = facts.init_digest;
  return metadata;
}

Metadata with_score(Metadata metadata, const Score& score) {
  metadata["val_loss"] = json(score.loss).dump();
  metadata["val_accuracy"] = json(score.accuracy).dump();
  return metadata;
}

Score read_score(const Metadata& metadata, const std::string& file) {
  Score score;
  read(metadata, "val_loss", file, "a number", score.loss);
  read(metadata, "val_accuracy", file, "a number", score.accuracy);
  return score;
}

Facts read_facts(const Metadata& metadata, const std::string& file) {
  check_version(metadata, file);
  Facts facts;
  constexpr std::string_view whole = "a whole number, at least 0";
  constexpr std::string_view numbers = "a list of numbers";
  std::vector<std::int64_t> shape;
  read(metadata, "input_shape", file, "a list of whole numbers: rows, columns, channels", shape);
  read(metadata, "classes", file, whole, facts.input.classes);
  read(metadata, "input_mean", file, numbers, facts.normalization.mean);
  read(metadata, "input_deviation", file, numbers, facts.normalization.deviation);
  read(metadata, "class_names", file, "a list of texts", facts.class_names);
  read(metadata, "train_samples", file, whole, facts.samples);
  read(metadata, "step", file, whole, facts.step);
  read(metadata, "epoch", file, whole, facts.epoch);
  facts.train_digest = entry(metadata, "train_digest", file);
  if (metadata.contains("init_digest")) facts.init_digest = metadata.at("init_digest");
  facts.input.shape = image_shape(shape, file);
  check_together(facts, file);
  return facts;
}

Config read_config(const Metadata& metadata, const std::string& file) {
  check_version(metadata, file);
  const std::string& config = entry(metadata, "config", file);
  try {
    return from_result_json(config);
  } catch (const DataError& error) {
    throw DataError(fmt::format("{}: {}", file, error.what()));
  }
}

void save_tensors(const std::filesystem::path& file, const std::vector<ModelTensor>& tensors,
                  const Metadata& metadata) {
  std::vector<TensorView> views;
  views.reserve(tensors.size());
  for (const ModelTensor& tensor : tensors) {
    views.push_back({tensor.name, tensor.dtype, tensor.dims, tensor.bytes});
  }
  write_safetensors(file, views, metadata);
}

bool load_tensors(const SafetensorsFile& file, const std::string& name,
                  const std::vector<ModelTensor>& tensors, Purpose purpose) {
  std::vector<std::string> missing;
  std::vector<std::string> derived;  // of the missing
  std::vector<std::string> unexpected;
  std::vector<std::string> different;
  std::set<std::string_view> wanted;
  for (const ModelTensor& tensor : tensors) {
    if (!wanted.insert(tensor.name).second) continue;
    const TensorView* found = file.find(tensor.name);
    if (found == nullptr) {
      (tensor.derived ? derived : missing).push_back(tensor.name);
    } else if (found->dims != tensor.dims) {
      different.push_back(fmt::format("{} is {} in the file, {} in the model", tensor.name,
                                      printable(to_string(found->dims)), to_string(tensor.dims)));
    } else if (found->dtype != tensor.dtype) {
      different.push_back(fmt::format("{} has another type of elements", tensor.name));
    }
  }
  for (const TensorView& tensor : file.tensors()) {
    if (wanted.contains(tensor.name) || passed_over(tensor.name, purpose)) continue;
    unexpected.push_back(printable(tensor.name));
  }
  const bool lacks_derived = !derived.empty();
  const auto all_derived = std::ranges::count_if(tensors, &ModelTensor::derived);
  if (lacks_derived && (purpose != Purpose::resume || std::cmp_less(derived.size(), all_derived))) {
    missing.insert(missing.end(), derived.begin(), derived.end());
  }
  if (!missing.empty() || !unexpected.empty() || !different.empty()) {
    const std::string_view stopped =
        "\n  A run that is asked to stop saves without making precise statistics; --resume makes them";
    throw DataError(fmt::format("{}: its tensors do not fit the model; nothing was loaded{}{}{}{}", name,
                                listed("missing", missing), listed("unexpected", unexpected),
                                listed("different", different), lacks_derived ? stopped : ""));
  }
  for (const ModelTensor& tensor : tensors) {
    if (lacks_derived && tensor.derived) continue;
    std::memcpy(tensor.bytes.data(), file.find(tensor.name)->bytes.data(), tensor.bytes.size());
  }
  return !lacks_derived;
}

}  // namespace lockstep
