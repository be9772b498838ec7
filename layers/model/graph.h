#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "layers/model/spec.h"
#include "layers/nn/layer.h"

namespace lockstep {

// A value that flows through the network: the images (value 0) or a node's output.
using ValueId = int;

struct Node {
  std::unique_ptr<Layer> layer;
  std::vector<ValueId> inputs;
  ValueId output = 0;
  bool knows_bf16 = true;     // its kernels go by KernelShape::element
  bool knows_devices = true;  // and by KernelShape::device
};

// Nodes in an order in which every input comes before its user. The last node's output are the logits.
struct Graph {
  explicit Graph(const SampleShape& images);

  // Throws UsageError where a sample's values, all together, are more than any memory could hold. Below that,
  // the bytes of a whole batch fit 64 bits.
  ValueId add(std::unique_ptr<Layer> layer, std::vector<ValueId> inputs);
  ValueId logits() const { return nodes.back().output; }

  std::vector<SampleShape> values;
  std::vector<Node> nodes;

 private:
  void append(const SampleShape& value, std::string_view whose);
  std::int64_t room_ = std::int64_t{1} << 36;  // for more values of a sample
};

// Builds the graph of a specification; shapes are inferred on the way. In a residual block the shortcut comes
// before the body, so that the block's sum can join the body's last batch_norm. Throws UsageError naming the
// layer and both shapes where something does not fit.
Graph build_graph(const ModelSpec& spec, const SampleShape& images, std::int64_t classes, std::uint64_t seed);

}  // namespace lockstep
