#pragma once

#include <map>
#include <span>
#include <string>

#include "layers/model/inference_network.h"

namespace lockstep {

// The bytes of an ONNX file of a network.
//   images  [batch, channels, height, width]: raw values 0 … 255; (images / 255 − mean) / deviation a channel
//           comes first in the graph
//   logits  [batch, classes]
// Constants have the names of the network's tensors, nodes those of its layers; a batch_norm that is still in
// it becomes a BatchNormalization, a dropout nothing. Equal networks give equal bytes. Throws UsageError
// where the network is larger than the format allows.
std::string onnx_file(const InferenceNetwork& network, std::span<const double> mean,
                      std::span<const double> deviation, const std::map<std::string, std::string>& metadata);

}  // namespace lockstep
