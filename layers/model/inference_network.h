#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "layers/model/model.h"
#include "layers/model/spec.h"
#include "layers/tensor/shape.h"

namespace lockstep {

struct NamedTensor {
  Dims dims;
  std::vector<float> values;
};

// A trained network as inference and other programs need it, in plain values: its layers, its parameters, and
// one entry of running statistics.
struct InferenceNetwork {
  std::vector<LayerSpec> layers;
  SampleShape input;
  std::int64_t classes = 0;
  double eps = 0;  // of every batch_norm
  std::map<std::string, NamedTensor>
      tensors;          // "bn1.weight", "bn1.running_mean": PyTorch's names and layouts
  bool folded = false;  // batch norms are part of the layers before them, and bits are no longer training's
};

// A copy of a model's values, with the running statistics of entry `entry`.
InferenceNetwork inference_network(Model& model, std::size_t entry);

// A model for `Model::predict` with entry 0, on one worker: of a folded network a deployed one.
Model make_model(const InferenceNetwork& network);

// The path of names of what stands in the shortcut of a residual block, as the graph's builder has it.
std::string shortcut_path(std::string_view block);

}  // namespace lockstep
