#include "layers/model/parameter_table.h"

#include <algorithm>

#include "layers/tensor/buffer.h"

namespace lockstep {

ParameterTable::ParameterTable(const Graph& graph, bool final_norms) {
  std::vector<const Layer*> backward;
  for (const Node& node : graph.nodes) backward.push_back(node.layer.get());
  std::ranges::reverse(backward);

  const auto outside = [&](const Layer* layer) {
    return final_norms && layer->kind() == Layer::Kind::batch_norm;
  };
  for (const Layer* layer : backward) {
    if (!outside(layer)) append(*layer);
  }
  bucketed_ = parameters_.size();
  bucketed_floats_ = floats_;
  for (const Layer* layer : backward) {
    if (outside(layer)) append(*layer);
  }
}

void ParameterTable::append(const Layer& layer) {
  const auto first = static_cast<std::int64_t>(parameters_.size());
  for (Parameter parameter : layer.parameters()) {
    parameter.offset = floats_;
    floats_ += aligned_floats(parameter.count());
    parameters_.push_back(std::move(parameter));
  }
  ranges_[&layer] = {first, static_cast<std::int64_t>(parameters_.size())};
}

std::vector<Range> ParameterTable::bucketed_tensors() const {
  std::vector<Range> tensors;
  for (std::size_t i = 0; i < bucketed_; ++i) {
    const std::size_t end = i + 1 < parameters_.size() ? parameters_[i + 1].offset : floats_;
    tensors.push_back({static_cast<std::int64_t>(parameters_[i].offset), static_cast<std::int64_t>(end)});
  }
  return tensors;
}

}  // namespace lockstep
