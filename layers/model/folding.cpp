#include "layers/model/folding.h"

#include <cmath>

namespace lockstep {
namespace {

using Tensors = std::map<std::string, NamedTensor>;

// What a batch_norm does to a channel: x ↦ scale · x + shift.
struct ChannelMaps {
  std::vector<double> scale, shift;
};

// Takes a tensor out of the network; `otherwise` for each channel where it has none.
std::vector<float> take(Tensors& tensors, const std::string& name, std::size_t channels, float otherwise) {
  const auto node = tensors.extract(name);
  return node.empty() ? std::vector<float>(channels, otherwise) : node.mapped().values;
}

ChannelMaps take_norm(Tensors& tensors, const std::string& path, double eps) {
  const std::size_t channels = tensors.at(path + ".running_mean").values.size();
  const std::vector<float> mean = take(tensors, path + ".running_mean", channels, 0);
  const std::vector<float> variance = take(tensors, path + ".running_var", channels, 1);
  const std::vector<float> gamma = take(tensors, path + ".weight", channels, 1);
  const std::vector<float> beta = take(tensors, path + ".bias", channels, 0);
  ChannelMaps maps;
  for (std::size_t c = 0; c < channels; ++c) {
    maps.scale.push_back(gamma[c] / std::sqrt(static_cast<double>(variance[c]) + eps));
    maps.shift.push_back(beta[c] - maps.scale[c] * mean[c]);
  }
  return maps;
}

void apply(const ChannelMaps& maps, Tensors& tensors, const std::string& path) {
  const std::size_t channels = maps.scale.size();
  NamedTensor& weight = tensors.at(path + ".weight");
  NamedTensor& bias = tensors[path + ".bias"];
  if (bias.values.empty()) bias = {{weight.dims.front()}, std::vector<float>(channels, 0.0F)};

  const std::size_t weights_a_channel = weight.values.size() / channels;
  for (std::size_t i = 0; i < weight.values.size(); ++i) {
    weight.values[i] = static_cast<float>(maps.scale[i / weights_a_channel] * weight.values[i]);
  }
  for (std::size_t c = 0; c < channels; ++c) {
    bias.values[c] = static_cast<float>(maps.scale[c] * bias.values[c] + maps.shift[c]);
  }
}

// The layer's switch for a bias, if it is one that a batch_norm can be folded into.
bool* bias_of(LayerSpec& spec) {
  if (auto* const conv = std::get_if<Conv2dSpec>(&spec.layer)) return &conv->bias;
  if (auto* const linear = std::get_if<LinearSpec>(&spec.layer)) return &linear->bias;
  return nullptr;
}

class Folding {
 public:
  explicit Folding(InferenceNetwork& network) : tensors_(network.tensors), eps_(network.eps) {}

  void fold(std::vector<LayerSpec>& layers, const std::string& prefix) {
    std::vector<LayerSpec> left;
    LayerSpec* before = nullptr;  // in `left`: whose output the next layer sees, dropouts aside
    left.reserve(layers.size());
    for (LayerSpec& spec : layers) {
      bool* const bias = before == nullptr ? nullptr : bias_of(*before);
      if (bias != nullptr && std::holds_alternative<BatchNormSpec>(spec.layer)) {
        *bias = true;
        apply(take_norm(tensors_, prefix + spec.name, eps_), tensors_, prefix + before->name);
        continue;
      }
      fold_inside(spec, prefix + spec.name);
      left.push_back(std::move(spec));
      if (!std::holds_alternative<DropoutSpec>(left.back().layer)) before = &left.back();
    }
    layers = std::move(left);
  }

 private:
  void fold_inside(LayerSpec& spec, const std::string& path) {
    auto* const residual = std::get_if<ResidualSpec>(&spec.layer);
    if (residual == nullptr) return;
    fold(residual->shortcut, shortcut_path(path) + ".");
    fold(residual->body, path + ".");
  }

  Tensors& tensors_;
  double eps_;
};

}  // namespace

void fold_batch_norms(InferenceNetwork& network) {
  Folding(network).fold(network.layers, "");
  network.folded = true;
}

}  // namespace lockstep
