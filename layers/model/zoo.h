#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "layers/model/spec.h"

namespace lockstep {

// What the networks that come with the program are called.
std::vector<std::string> zoo_names();

// The layers of one of them, parameters named as torchvision names them. Throws UsageError for any other
// name.
std::vector<LayerSpec> zoo_layers(const ModelSpec& spec, std::int64_t classes);

}  // namespace lockstep
