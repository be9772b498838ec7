#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "layers/tensor/shape.h"

// A network as a user writes it: plain values. The builder turns it into a graph.
namespace lockstep {

struct Conv2dSpec {
  std::int64_t out = 0;
  std::int64_t kernel = 3;
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t groups = 1;
  bool bias = false;
  bool normal_start = false;  // of the weights, with the variance 2 / fan_out; else uniform, see Parameter
};
struct LinearSpec {
  std::int64_t out = 0;
  bool bias = true;
};
struct BatchNormSpec {
  bool affine = true;
};
struct ReluSpec {};
struct MaxPoolSpec {
  std::int64_t window = 2;
  std::int64_t stride = 0;  // 0: the window
  std::int64_t padding = 0;
};
struct AvgPoolSpec {
  std::int64_t window = 2;
  std::int64_t stride = 0;
  std::int64_t padding = 0;
};
struct GlobalAvgPoolSpec {};
struct FlattenSpec {};
struct DropoutSpec {
  double probability = 0.5;
};

struct LayerSpec;
// body(x) + shortcut(x); an empty shortcut is the identity.
struct ResidualSpec {
  std::vector<LayerSpec> body;
  std::vector<LayerSpec> shortcut;
};

// What was given for the attributes of a custom layer, and the defaults of the others, by name. The readers
// throw std::logic_error where the layer's type has no such attribute of that kind.
struct Attributes {
  using Value = std::variant<std::int64_t, double, bool, std::string>;

  std::int64_t whole(const std::string& name) const;
  double number(const std::string& name) const;
  bool flag(const std::string& name) const;
  const std::string& word(const std::string& name) const;

  std::map<std::string, Value> values;
};

struct CustomLayer;
// A layer that does not come with lockstep, see custom_layer.h.
struct CustomSpec {
  std::shared_ptr<const CustomLayer> type;
  Attributes attributes;
};

struct LayerSpec {
  std::string name;  // unique in its list; parameters are called "<path of names>.weight"
  std::variant<Conv2dSpec, LinearSpec, BatchNormSpec, ReluSpec, MaxPoolSpec, AvgPoolSpec, GlobalAvgPoolSpec,
               FlattenSpec, DropoutSpec, ResidualSpec, CustomSpec>
      layer;
};

struct ModelSpec {
  std::string name;                            // one of zoo_names(); empty: `layers`
  std::vector<LayerSpec> layers;               // the last one's output are the logits: 1x1x<classes>
  std::vector<std::int64_t> hidden{256, 128};  // mlp
  double dropout = 0;                          // before the last layer of a network with a name
};

}  // namespace lockstep
