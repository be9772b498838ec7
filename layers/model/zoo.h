#pragma once

#include <cstdint>
#include <vector>

#include "layers/model/spec.h"

namespace lockstep {

// The layers of a model by name (mlp, cnn, resnet20), parameters named as torchvision names them.
// Throws UsageError for any other name.
std::vector<LayerSpec> zoo_layers(const ModelSpec& spec, std::int64_t classes);

}  // namespace lockstep
