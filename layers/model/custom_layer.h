#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "layers/model/spec.h"
#include "layers/nn/layer.h"
#include "layers/tensor/shape.h"

// A type of layers that somebody else brings along: described here, made by the graph's builder, and run by
// the plan like any other. docs/adding_a_layer.md shows how to write one.
namespace lockstep {

// What an attribute may be. One without `otherwise` must be given.
struct WholeAttribute {
  std::int64_t least = 0;
  std::int64_t most = 1'000'000;
  std::optional<std::int64_t> otherwise = std::nullopt;
};
struct NumberAttribute {
  double least = std::numeric_limits<double>::lowest();
  double most = std::numeric_limits<double>::max();
  bool above = false;  // `least` itself is out
  bool below = false;  // `most` itself is out
  std::optional<double> otherwise = std::nullopt;
};
struct FlagAttribute {
  std::optional<bool> otherwise = std::nullopt;
};
struct WordAttribute {
  std::vector<std::string> words;  // one of these
  std::optional<std::string> otherwise = std::nullopt;
};

struct Attribute {
  std::string name;  // letters, digits and '_'
  std::variant<WholeAttribute, NumberAttribute, FlagAttribute, WordAttribute> kind;
  std::string meaning;  // for the manual
};

// Where a layer is to stand.
struct LayerPlace {
  std::string name;        // its path of names: "layer1.0.prelu"
  SampleShape input;       // of a sample
  std::uint64_t seed = 0;  // of the run: the key of what it draws at random (layers/tensor/random.h)
};

struct CustomLayer {
  std::string word;          // what a layer list calls it: "prelu". Letters, digits and '_'
  std::string default_name;  // unnamed ones are called prelu1, prelu2, …; empty: `word`
  std::string meaning;       // for the manual
  std::vector<Attribute> attributes;
  // Makes the layer for an input of this shape; its output() is what shape inference goes on with. Throws
  // UsageError, naming the layer and the shape, where that does not fit. The layer has one input, is of
  // Kind::compute, and declares at most max_parameters parameters.
  std::function<std::unique_ptr<Layer>(const LayerPlace& place, const Attributes& attributes)> make;
  bool knows_bf16 = false;  // its kernels go by KernelShape::element; else a model in bf16 is a UsageError
};

// One with all its defaults; what must be given is 0, false or the first of the words.
CustomSpec default_spec(std::shared_ptr<const CustomLayer> type);

// The layer, checked: throws UsageError, naming it, where `make` gave back what no plan could run.
std::unique_ptr<Layer> make_layer(const CustomSpec& spec, const LayerPlace& place);

}  // namespace lockstep
