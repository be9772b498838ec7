#include "trainer/config/custom_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <stdexcept>

#include "trainer/config/layer_types.h"

namespace lockstep {
namespace {

// The value of an attribute in a const or a mutable LayerSpec.
template <class Value>
auto field(const std::string& name) {
  return [name](auto& layer) -> auto& {
    return std::get<Value>(std::get<CustomSpec>(layer.layer).attributes.values.at(name));
  };
}

Interval<double> interval_of(const NumberAttribute& kind) {
  return {.least = kind.least, .most = kind.most, .above = kind.above, .below = kind.below};
}

Entry<LayerSpec> entry_of(const Attribute& it, const WholeAttribute& kind) {
  const Interval<std::int64_t> interval{.least = kind.least, .most = kind.most};
  return whole<LayerSpec>(it.name, field<std::int64_t>(it.name), interval, it.meaning);
}
Entry<LayerSpec> entry_of(const Attribute& it, const NumberAttribute& kind) {
  return number<LayerSpec>(it.name, field<double>(it.name), interval_of(kind), it.meaning);
}
Entry<LayerSpec> entry_of(const Attribute& it, const FlagAttribute& /*kind*/) {
  return boolean<LayerSpec>(it.name, field<bool>(it.name), it.meaning);
}
Entry<LayerSpec> entry_of(const Attribute& it, const WordAttribute& kind) {
  Words<std::string> words;
  for (const std::string& each : kind.words) words.known.emplace_back(each, each);
  return word<LayerSpec, std::string>(it.name, field<std::string>(it.name), std::move(words), it.meaning);
}

bool allows(const WholeAttribute& kind, std::int64_t value) {
  return Interval<std::int64_t>{.least = kind.least, .most = kind.most}.contains(value);
}
bool allows(const NumberAttribute& kind, double value) {
  return interval_of(kind).contains(value);
}
bool allows(const FlagAttribute& /*kind*/, bool /*value*/) {
  return true;
}
bool allows(const WordAttribute& kind, const std::string& value) {
  return std::ranges::count(kind.words, value) > 0;
}

// What is wrong with a type, or nothing.
std::string flaw_of(const CustomLayer& type) {
  if (!is_name(type.word)) return "its word is not made of letters, digits and '_'";
  if (!is_name(type.default_name)) return "its default name is not made of letters, digits and '_'";
  if (type.word == "name" || find_layer_type(type.word) != nullptr) return "its word is taken";
  if (!type.make) return "it has no `make`";
  std::set<std::string> names;
  for (const Attribute& attribute : type.attributes) {
    if (!is_name(attribute.name)) return "the name of an attribute is not made of letters, digits and '_'";
    if (!names.insert(attribute.name).second)
      return fmt::format("two attributes are called '{}'", attribute.name);
    const auto* word = std::get_if<WordAttribute>(&attribute.kind);
    if (word != nullptr && word->words.empty()) return fmt::format("'{}' has no words", attribute.name);
    const bool fits = std::visit(
        [](const auto& kind) { return !kind.otherwise || allows(kind, *kind.otherwise); }, attribute.kind);
    if (!fits) return fmt::format("the default of '{}' is none of its values", attribute.name);
  }
  return "";
}

}  // namespace

void register_layer(CustomLayer type) {
  if (type.default_name.empty()) type.default_name = type.word;
  if (const std::string flaw = flaw_of(type); !flaw.empty()) {
    throw std::invalid_argument(fmt::format("layer type '{}': {}", type.word, flaw));
  }
  LayerType entry{.word = type.word,
                  .default_name = type.default_name,
                  .meaning = type.meaning,
                  .fresh = {},
                  .attributes = {},
                  .required = {}};
  for (const Attribute& attribute : type.attributes) {
    entry.attributes.push_back(
        std::visit([&](const auto& kind) { return entry_of(attribute, kind); }, attribute.kind));
    const bool has_default =
        std::visit([](const auto& kind) { return kind.otherwise.has_value(); }, attribute.kind);
    if (!has_default) entry.required.push_back(attribute.name);
  }
  entry.fresh.layer = default_spec(std::make_shared<const CustomLayer>(std::move(type)));
  add_layer_type(std::move(entry));
}

}  // namespace lockstep
