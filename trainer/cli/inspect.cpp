#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "layers/ops/threads.h"
#include "trainer/cli/arguments.h"
#include "trainer/cli/commands.h"
#include "trainer/cli/inspect_table.h"
#include "trainer/config/config.h"
#include "trainer/data/dataset.h"
#include "trainer/loop/digests.h"
#include "trainer/loop/inference.h"
#include "trainer/loop/known_input.h"
#include "trainer/loop/setup.h"
#include "trainer/optim/optimizer.h"

namespace lockstep {
namespace {

using nlohmann::ordered_json;

Usage usage() {
  Usage usage;
  usage.command = "inspect";
  usage.synopsis = "CHECKPOINT|CONFIG.yaml [--digest] [--plan] [--json]";
  usage.purpose =
      "Shows the tensors and the metadata of a checkpoint, or those that a configuration starts with and the "
      "memory that its plan needs on one worker.";
  usage.example = "lockstep inspect runs/fashion_mnist/final.safetensors --digest";
  usage.options = {
      {"digest", "", "a digest of each tensor, and one of all"},
      {"plan", "", "how a step of the model runs: segments, operations, what is kept"},
      {"json", "", "print one JSON object: tensors, metadata, digest, plan"},
  };
  usage.operands = {"CHECKPOINT|CONFIG.yaml"};
  usage.required_operands = 1;
  return usage;
}

const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::u8:
      return "u8";
    case DType::i32:
      return "i32";
    case DType::i64:
      return "i64";
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
  }
  return "";
}

template <class T>
void add_range(ordered_json& row, std::span<const std::byte> bytes) {
  const std::size_t count = bytes.size() / sizeof(T);
  if (count == 0) return;
  T least{};
  T most{};
  double sum = 0;
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    least = i == 0 ? value : std::min(least, value);
    most = i == 0 ? value : std::max(most, value);
    sum += static_cast<double>(value);
  }
  row["min"] = least;
  row["max"] = most;
  row["mean"] = sum / static_cast<double>(count);
}

void add_range(ordered_json& row, const TensorView& tensor) {
  switch (tensor.dtype) {
    case DType::u8:
      return add_range<std::uint8_t>(row, tensor.bytes);
    case DType::i32:
      return add_range<std::int32_t>(row, tensor.bytes);
    case DType::i64:
      return add_range<std::int64_t>(row, tensor.bytes);
    case DType::f32:
      return add_range<float>(row, tensor.bytes);
    case DType::f64:
      return add_range<double>(row, tensor.bytes);
  }
}

// Tensors with their ranges, and with `digests` a digest of each and one of all (names and digests, in
// order).
ordered_json describe_tensors(const std::vector<TensorView>& tensors, bool digests) {
  ordered_json report;
  std::string all;
  for (const TensorView& tensor : tensors) {
    ordered_json row{{"name", tensor.name},
                     {"dtype", name_of(tensor.dtype)},
                     {"shape", tensor.dims},
                     {"values", elements(tensor.dims)},
                     {"bytes", tensor.bytes.size()}};
    add_range(row, tensor);
    if (digests) {
      row["digest"] = digest(tensor.bytes);
      all += fmt::format("{} {}\n", tensor.name, row["digest"].get<std::string>());
    }
    report["tensors"].push_back(std::move(row));
  }
  if (digests) report["digest"] = digest(std::as_bytes(std::span(all)));
  return report;
}

ordered_json inspect_checkpoint(const std::string& path, bool digests, bool plan) {
  const SafetensorsFile file = SafetensorsFile::read(path);
  ordered_json report = describe_tensors(file.tensors(), digests);
  for (const auto& [key, value] : file.metadata()) report["metadata"][key] = value;
  if (plan) report["plan"] = open_trained(path, {}).model.describe_plan();
  return report;
}

InputFacts input_of(const Config& config) {
  if (const auto known = known_input(config.data)) return *known;
  const Datasets data = open_datasets(config.data, config.seed);
  return {data.train->shape(), data.train->classes()};
}

ordered_json inspect_config(const std::string& path, bool digests, bool plan) {
  const Config config = load_config(path, {});
  require_precision(config);
  Model model(model_options(config, input_of(config)), 1, 0);
  model.initialize();
  std::vector<TensorView> tensors;
  for (const ModelTensor& tensor : model.state()) {
    tensors.push_back({tensor.name, tensor.dtype, tensor.dims, tensor.bytes});
  }
  ordered_json report = describe_tensors(tensors, digests);
  report["plan_bytes"] = model.memory_bytes(workload(config));
  if (plan) report["plan"] = model.describe_plan();
  return report;
}

}  // namespace

int run_inspect(const std::vector<std::string>& arguments) {
  const auto options = parse_arguments(usage(), arguments);
  if (!options) return 0;
  require_one_worker("inspect");
  prepare_compute_thread();

  const std::string& path = options->operands()[0];
  const bool is_config = path.ends_with(".yaml") || path.ends_with(".yml");
  const ordered_json report = is_config
                                  ? inspect_config(path, options->has("digest"), options->has("plan"))
                                  : inspect_checkpoint(path, options->has("digest"), options->has("plan"));
  if (options->has("json")) {
    fmt::print("{}\n", report.dump());
  } else {
    fmt::print("{}", inspect_table(report));
  }
  return 0;
}

}  // namespace lockstep
