#include "trainer/loop/checkpoint.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "comm/base/error.h"
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

template <class T>
T read(const Metadata& metadata, const std::string& key, const std::string& file) {
  const std::string& text = entry(metadata, key, file);
  try {
    return json::parse(text).get<T>();
  } catch (const json::exception& error) {
    throw DataError(
        fmt::format("{}: the '{}' of its metadata cannot be read: {} ({})", file, key, text, error.what()));
  }
}

void check_version(const Metadata& metadata, const std::string& file) {
  const std::string& version = entry(metadata, "format_version", file);
  if (version == format_version) return;
  throw DataError(
      fmt::format("{}: its format version is {}, this program reads {}", file, version, format_version));
}

bool only_for_training(std::string_view name) {
  return name.starts_with("optimizer.") || name.starts_with("train.");
}

// "\n  missing: a, b, c … and 40 more", or nothing.
std::string listed(std::string_view title, const std::vector<std::string>& names) {
  constexpr std::size_t most = 8;
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
  return tensors;
}

Metadata describe(const Config& config, const Facts& facts) {
  // JSON brings back every double exactly.
  const SampleShape& shape = facts.input.shape;
  return {
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
}

Facts read_facts(const Metadata& metadata, const std::string& file) {
  check_version(metadata, file);
  Facts facts;
  const auto shape = read<std::array<std::int64_t, 3>>(metadata, "input_shape", file);
  facts.input = {{shape[0], shape[1], shape[2]}, read<std::int64_t>(metadata, "classes", file)};
  facts.normalization.mean = read<std::vector<double>>(metadata, "input_mean", file);
  facts.normalization.deviation = read<std::vector<double>>(metadata, "input_deviation", file);
  facts.class_names = read<std::vector<std::string>>(metadata, "class_names", file);
  facts.samples = read<std::int64_t>(metadata, "train_samples", file);
  facts.train_digest = entry(metadata, "train_digest", file);
  facts.step = read<std::int64_t>(metadata, "step", file);
  facts.epoch = read<std::int64_t>(metadata, "epoch", file);

  const auto channels = static_cast<std::size_t>(std::max<std::int64_t>(shape[2], 0));
  if (std::min({shape[0], shape[1], shape[2], facts.input.classes}) < 1 ||
      facts.normalization.mean.size() != channels || facts.normalization.deviation.size() != channels ||
      facts.class_names.size() != static_cast<std::size_t>(facts.input.classes)) {
    throw DataError(
        fmt::format("{}: the input shape, normalization and classes of its metadata do not fit each "
                    "other",
                    file));
  }
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

void load_tensors(const SafetensorsFile& file, const std::string& name,
                  const std::vector<ModelTensor>& tensors, bool model_alone) {
  std::vector<std::string> missing;
  std::vector<std::string> unexpected;
  std::vector<std::string> different;
  std::set<std::string_view> wanted;
  for (const ModelTensor& tensor : tensors) {
    wanted.insert(tensor.name);
    const TensorView* found = file.find(tensor.name);
    if (found == nullptr) {
      missing.push_back(tensor.name);
    } else if (found->dims != tensor.dims) {
      different.push_back(fmt::format("{} is {} in the file, {} in the model", tensor.name,
                                      to_string(found->dims), to_string(tensor.dims)));
    } else if (found->dtype != tensor.dtype) {
      different.push_back(fmt::format("{} has another type of elements", tensor.name));
    }
  }
  for (const TensorView& tensor : file.tensors()) {
    if (wanted.contains(tensor.name) || (model_alone && only_for_training(tensor.name))) continue;
    unexpected.push_back(tensor.name);
  }
  if (!missing.empty() || !unexpected.empty() || !different.empty()) {
    throw DataError(fmt::format("{}: its tensors do not fit the model; nothing was loaded{}{}{}", name,
                                listed("missing", missing), listed("unexpected", unexpected),
                                listed("different", different)));
  }
  for (const ModelTensor& tensor : tensors) {
    std::memcpy(tensor.bytes.data(), file.find(tensor.name)->bytes.data(), tensor.bytes.size());
  }
}

}  // namespace lockstep
