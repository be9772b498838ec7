#pragma once

#include <yaml-cpp/yaml.h>

#include <string>
#include <vector>

#include "layers/model/spec.h"
#include "trainer/config/entry.h"

// `model.layers`: a network as a YAML list. Every item is one map, {conv2d: {out: 16}, name: conv1}, or the
// bare word of a layer that needs no attributes, relu. Residual blocks hold lists of their own.
namespace lockstep {

void read_layers(const YAML::Node& value, const Place& place, std::vector<LayerSpec>& layers);

}  // namespace lockstep
