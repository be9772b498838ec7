#include "trainer/config/layer_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "trainer/config/layer_types.h"

namespace lockstep {

namespace {

// Aliases of YAML may make a short file into an endless network.
constexpr std::size_t deepest = 16;
constexpr std::size_t most_layers = 10'000;

const Entry<LayerSpec>* find_attribute(const LayerType& type, const std::string& word) {
  const auto& all = type.attributes;
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& it) { return it.path == word; });
  return found == all.end() ? nullptr : &*found;
}

std::vector<std::string> type_words() {
  std::vector<std::string> words;
  for (const LayerType& type : layer_types()) words.push_back(type.word);
  return words;
}

// The text of a key, or a mistake and nothing: of what is no word, or stands there twice.
std::optional<std::string> key_text(const YAML::Node& key, const Place& place, std::set<std::string>& seen) {
  auto text = as_text(key);
  if (!text) {
    place.expected(key, "a word as key");
    return std::nullopt;
  }
  if (!seen.insert(*text).second) {
    place.mistake(key, "duplicate key " + in_quotes(*text));
    return std::nullopt;
  }
  return text;
}

// Reads lists of layers, nested ones too, and counts what it has read.
class LayerReader {
 public:
  // Answers nothing where the list is no list.
  void read_list(const YAML::Node& list, const Place& place, bool may_be_empty,
                 std::vector<LayerSpec>& layers);

 private:
  std::optional<LayerSpec> read_layer(const YAML::Node& item, const Place& place);
  std::optional<LayerSpec> read_map(const YAML::Node& map, const Place& place);
  void read_attributes(const YAML::Node& value, const YAML::Node& item, const Place& place,
                       const LayerType& type, LayerSpec& layer);
  void read_branch(const std::string& name, const YAML::Node& value, const Place& place,
                   ResidualSpec& residual);

  std::size_t depth_ = 0;
  std::size_t layers_ = 0;
};

// Gives names to the unnamed and tells which stand there twice. `nodes` are the layers' places in the file.
void settle_names(std::vector<LayerSpec>& layers, const std::vector<std::pair<YAML::Node, Place>>& nodes) {
  std::map<std::string, int> counts;
  std::set<std::string> names;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const std::string& word = layer_type_of(layers[i]).default_name;
    const int number = ++counts[word];
    if (layers[i].name.empty()) layers[i].name = fmt::format("{}{}", word, number);
    if (!names.insert(layers[i].name).second) {
      nodes[i].second.mistake(nodes[i].first,
                              fmt::format("another layer of this list is called '{}' already; "
                                          "give one of them another 'name'",
                                          layers[i].name));
    }
  }
}

void LayerReader::read_list(const YAML::Node& list, const Place& place, bool may_be_empty,
                            std::vector<LayerSpec>& layers) {
  if (!list.IsSequence()) return place.expected(list, "a list of layers");
  if (list.size() == 0 && !may_be_empty)
    return place.mistake(list, "expected at least one layer; found none");
  if (depth_ == deepest) {
    return place.mistake(list, fmt::format("residual blocks may be nested {} deep at most", deepest));
  }
  ++depth_;
  std::vector<LayerSpec> read;
  std::vector<std::pair<YAML::Node, Place>> nodes;
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (layers_ == most_layers) {
      place.item(i).mistake(list[i], fmt::format("a network may have {} layers at most", most_layers));
      break;
    }
    ++layers_;
    if (auto layer = read_layer(list[i], place.item(i))) {
      read.push_back(std::move(*layer));
      nodes.emplace_back(list[i], place.item(i));
    }
  }
  settle_names(read, nodes);
  layers = std::move(read);
  --depth_;
}

std::optional<LayerSpec> LayerReader::read_layer(const YAML::Node& item, const Place& place) {
  if (item.IsMap()) return read_map(item, place);
  const auto word = as_text(item);
  if (!word) {
    place.expected(item, "a layer, as in {conv2d: {out: 16}} or relu");
    return std::nullopt;
  }
  const LayerType* type = find_layer_type(*word);
  if (type == nullptr) {
    place.mistake(item, fmt::format("unknown layer {}; did you mean '{}'?", in_quotes(*word),
                                    nearest(*word, type_words())));
    return std::nullopt;
  }
  LayerSpec layer = type->fresh;
  read_attributes({}, item, place.key(*word), *type, layer);
  return layer;
}

std::optional<LayerSpec> LayerReader::read_map(const YAML::Node& map, const Place& place) {
  std::optional<LayerSpec> layer;
  std::string name;
  std::set<std::string> seen;
  bool all_known = true;
  for (const auto& entry : map) {
    const YAML::Node key = entry.first;
    const YAML::Node value = entry.second;
    const auto word = key_text(key, place, seen);
    if (!word) continue;
    const LayerType* type = find_layer_type(*word);
    if (type != nullptr && layer) {
      place.mistake(key, fmt::format("one item of the list is one layer; '{}' begins a second one", *word));
    } else if (type != nullptr) {
      layer = type->fresh;
      read_attributes(value, key, place.key(*word), *type, *layer);
    } else if (*word == "name") {
      name = as_text(value).value_or("");
      if (!is_name(name)) place.key("name").expected(value, "letters, digits and '_'");
    } else {
      all_known = false;
      auto words = type_words();
      words.emplace_back("name");
      place.mistake(
          key, fmt::format("unknown key {}; did you mean '{}'?", in_quotes(*word), nearest(*word, words)));
    }
  }
  if (layer) layer->name = name;
  if (!layer && all_known) place.mistake(map, "which layer? One of " + listed(type_words()) + " is missing");
  return layer;
}

void LayerReader::read_attributes(const YAML::Node& value, const YAML::Node& item, const Place& place,
                                  const LayerType& type, LayerSpec& layer) {
  std::set<std::string> seen;
  if (value.IsMap()) {
    for (const auto& entry : value) {
      const YAML::Node key = entry.first;
      const auto word = key_text(key, place, seen);
      if (!word) continue;
      const auto* attribute = find_attribute(type, *word);
      if (attribute != nullptr && attribute->read) {
        attribute->read(entry.second, place.key(*word), layer);
      } else if (attribute != nullptr) {
        read_branch(*word, entry.second, place.key(*word), std::get<ResidualSpec>(layer.layer));
      } else if (type.attributes.empty()) {
        place.mistake(key, fmt::format("unknown attribute {}; {} has none", in_quotes(*word), type.word));
      } else {
        std::vector<std::string> words;
        for (const auto& known : type.attributes) words.push_back(known.path);
        place.mistake(key, fmt::format("unknown attribute {}; did you mean '{}'?", in_quotes(*word),
                                       nearest(*word, words)));
      }
    }
  } else if (value.IsDefined() && !value.IsNull()) {
    return place.expected(value, "the layer's attributes, a map");
  }
  for (const std::string& attribute : type.required) {
    if (!seen.contains(attribute)) place.mistake(item, fmt::format("'{}' is missing", attribute));
  }
}

void LayerReader::read_branch(const std::string& name, const YAML::Node& value, const Place& place,
                              ResidualSpec& residual) {
  const bool body = name == "body";
  read_list(value, place, !body, body ? residual.body : residual.shortcut);
}

}  // namespace

void read_layers(const YAML::Node& value, const Place& place, std::vector<LayerSpec>& layers) {
  LayerReader().read_list(value, place, false, layers);
}

}  // namespace lockstep
