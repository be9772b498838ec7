#include "layers/model/inference_network.h"

#include <fmt/format.h>

#include <cstring>
#include <span>

#include "layers/model/zoo.h"

namespace lockstep {
namespace {

NamedTensor copy_of(const ModelTensor& tensor) {
  NamedTensor copy{.dims = tensor.dims, .values = std::vector<float>(tensor.bytes.size() / sizeof(float))};
  std::memcpy(copy.values.data(), tensor.bytes.data(), tensor.bytes.size());
  return copy;
}

}  // namespace

InferenceNetwork inference_network(Model& model, std::size_t entry) {
  const ModelOptions& options = model.options();
  InferenceNetwork network{.layers = options.spec.layers,
                           .input = options.input,
                           .classes = options.classes,
                           .eps = options.eps,
                           .tensors = {},
                           .folded = false};
  if (!options.spec.name.empty()) network.layers = zoo_layers(options.spec, options.classes);

  constexpr std::string_view others = "stats.";
  const std::string chosen = fmt::format("{}{}.", others, options.running_statistics[entry].name);
  for (const ModelTensor& tensor : model.state()) {
    if (tensor.dtype != DType::f32) continue;  // counts of batches
    // The first entry has PyTorch's names; another one takes its place by coming behind it.
    if (entry > 0 && tensor.name.starts_with(chosen)) {
      network.tensors[tensor.name.substr(chosen.size())] = copy_of(tensor);
    } else if (!tensor.name.starts_with(others)) {
      network.tensors[tensor.name] = copy_of(tensor);
    }
  }
  return network;
}

Model make_model(const InferenceNetwork& network) {
  ModelOptions options;
  options.spec.layers = network.layers;
  options.input = network.input;
  options.classes = network.classes;
  options.eps = network.eps;
  options.shards = 1;
  options.statistics_group = 1;
  options.deployed = network.folded;
  Model model(options, 1, 0);
  for (const ModelTensor& tensor : model.state()) {
    if (tensor.dtype != DType::f32) continue;
    std::memcpy(tensor.bytes.data(), network.tensors.at(tensor.name).values.data(), tensor.bytes.size());
  }
  return model;
}

std::string shortcut_path(std::string_view block) {
  return fmt::format("{}.downsample", block);
}

}  // namespace lockstep
