#include "layers/model/custom_layer.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "comm/base/error.h"

namespace lockstep {
namespace {

template <class Value>
const Value& value_of(const Attributes& attributes, const std::string& name, const char* kind) {
  const auto found = attributes.values.find(name);
  const Value* value = found == attributes.values.end() ? nullptr : std::get_if<Value>(&found->second);
  if (value == nullptr) throw std::logic_error(fmt::format("a layer has no {} called '{}'", kind, name));
  return *value;
}

Attributes::Value default_of(const WholeAttribute& kind) {
  return kind.otherwise.value_or(0);
}
Attributes::Value default_of(const NumberAttribute& kind) {
  return kind.otherwise.value_or(0);
}
Attributes::Value default_of(const FlagAttribute& kind) {
  return kind.otherwise.value_or(false);
}
Attributes::Value default_of(const WordAttribute& kind) {
  return kind.otherwise ? *kind.otherwise : kind.words.at(0);
}

// What makes it unfit for a plan, or nothing.
std::string flaw_of(const Layer* layer, const LayerPlace& place) {
  if (layer == nullptr) return "nothing";
  if (layer->name() != place.name) return fmt::format("one called '{}'", layer->name());
  if (layer->input() != place.input) return "one for the input " + to_string(layer->input());
  const SampleShape& output = layer->output();
  if (std::min({output.height, output.width, output.channels}) < 1) {
    return "one with the output " + to_string(output);
  }
  if (layer->kind() != Layer::Kind::compute) return "one of a kind that is not for compute";
  const std::size_t parameters = layer->parameters().size();
  if (parameters > max_parameters) {
    return fmt::format("one with {} parameters, and a kernel has room for {}", parameters, max_parameters);
  }
  return "";
}

}  // namespace

std::int64_t Attributes::whole(const std::string& name) const {
  return value_of<std::int64_t>(*this, name, "whole number");
}
double Attributes::number(const std::string& name) const {
  return value_of<double>(*this, name, "number");
}
bool Attributes::flag(const std::string& name) const {
  return value_of<bool>(*this, name, "flag");
}
const std::string& Attributes::word(const std::string& name) const {
  return value_of<std::string>(*this, name, "word");
}

CustomSpec default_spec(std::shared_ptr<const CustomLayer> type) {
  CustomSpec spec;
  for (const Attribute& attribute : type->attributes) {
    spec.attributes.values[attribute.name] =
        std::visit([](const auto& kind) { return default_of(kind); }, attribute.kind);
  }
  spec.type = std::move(type);
  return spec;
}

std::unique_ptr<Layer> make_layer(const CustomSpec& spec, const LayerPlace& place) {
  std::unique_ptr<Layer> layer = spec.type->make(place, spec.attributes);
  const std::string flaw = flaw_of(layer.get(), place);
  if (flaw.empty()) return layer;
  throw UsageError(
      fmt::format("layer '{}' ({}), for the input {}: the program that brings this layer made {}", place.name,
                  spec.type->word, to_string(place.input), flaw));
}

}  // namespace lockstep
