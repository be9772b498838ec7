#include "trainer/config/layer_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

namespace lockstep {

namespace {

using Whole = Interval<std::int64_t>;

// Aliases of YAML may make a short file into an endless network.
constexpr std::size_t deepest = 16;
constexpr std::size_t most_layers = 10'000;

constexpr Whole one_or_more{1, 1'000'000};
constexpr Whole zero_or_more{0, 1'000'000};

// A kind of layer: its word, what its unnamed ones are called (conv1, conv2, ...), and its attributes.
struct Type {
  std::string word;
  std::string default_name;
  std::string meaning;
  LayerSpec fresh;
  std::vector<Entry<LayerSpec>> attributes;
  std::vector<std::string> required;
};

// NOLINTNEXTLINE(cppcoreguidelines-macro-usage): a member by name, of a const or mutable LayerSpec.
#define FIELD(Spec, member)                    \
  [](auto& layer) -> auto& {                   \
    return std::get<Spec>(layer.layer).member; \
  }

template <class Spec>
std::vector<Entry<LayerSpec>> pooling() {
  return {whole<LayerSpec>("window", FIELD(Spec, window), one_or_more, "rows and columns that become one"),
          whole<LayerSpec>("stride", FIELD(Spec, stride), zero_or_more,
                           "step between two windows; 0: the window"),
          whole<LayerSpec>("padding", FIELD(Spec, padding), zero_or_more, "empty rows and columns a side")};
}

std::vector<Type> make_types() {
  return {
      {"conv2d",
       "conv",
       "convolution over the image",
       {{}, Conv2dSpec{}},
       {whole<LayerSpec>("out", FIELD(Conv2dSpec, out), one_or_more, "channels it makes"),
        whole<LayerSpec>("kernel", FIELD(Conv2dSpec, kernel), one_or_more, "rows and columns it sees"),
        whole<LayerSpec>("stride", FIELD(Conv2dSpec, stride), one_or_more, "step between two outputs"),
        whole<LayerSpec>("padding", FIELD(Conv2dSpec, padding), zero_or_more, "zeros a side"),
        whole<LayerSpec>("groups", FIELD(Conv2dSpec, groups), one_or_more,
                         "channels are split into so many, apart from each other"),
        boolean<LayerSpec>("bias", FIELD(Conv2dSpec, bias), "add a learned value a channel")},
       {"out"}},
      {"linear",
       "fc",
       "matrix product; flatten comes first where there is an image",
       {{}, LinearSpec{}},
       {whole<LayerSpec>("out", FIELD(LinearSpec, out), one_or_more, "values it makes"),
        boolean<LayerSpec>("bias", FIELD(LinearSpec, bias), "add a learned value each")},
       {"out"}},
      {"batch_norm",
       "bn",
       "normalization over the batch, see `normalization`",
       {{}, BatchNormSpec{}},
       {boolean<LayerSpec>("affine", FIELD(BatchNormSpec, affine), "followed by a learned scale and shift")},
       {}},
      {"relu", "relu", "negative values become 0", {{}, ReluSpec{}}, {}, {}},
      {"max_pool", "pool", "largest value of each window", {{}, MaxPoolSpec{}}, pooling<MaxPoolSpec>(), {}},
      {"avg_pool", "pool", "mean of each window", {{}, AvgPoolSpec{}}, pooling<AvgPoolSpec>(), {}},
      {"global_avg_pool", "pool", "mean of each channel", {{}, GlobalAvgPoolSpec{}}, {}, {}},
      {"flatten", "flatten", "an image becomes one row of values", {{}, FlattenSpec{}}, {}, {}},
      {"dropout",
       "dropout",
       "training sets values to 0 at random",
       {{}, DropoutSpec{}},
       {number<LayerSpec>("probability", FIELD(DropoutSpec, probability),
                          {.least = 0, .most = 1, .below = true}, "share of values dropped")},
       {}},
      {"residual",
       "layer",
       "the sum of two branches",
       {{}, ResidualSpec{}},
       {{.path = "body",
         .type = "list of layers",
         .range = "at least one",
         .meaning = "the first branch",
         .read = {},
         .write =
             [](const LayerSpec& layer) { return write_layers(std::get<ResidualSpec>(layer.layer).body); }},
        {.path = "shortcut",
         .type = "list of layers",
         .range = "",
         .meaning = "the second branch; empty: what went in",
         .read = {},
         .write =
             [](const LayerSpec& layer) {
               return write_layers(std::get<ResidualSpec>(layer.layer).shortcut);
             }}},
       {"body"}},
  };
}
#undef FIELD

const std::vector<Type>& types() {
  static const std::vector<Type> all = make_types();
  return all;
}

template <class Named, class Name>
const Named* find_named(const std::vector<Named>& all, const std::string& word, Name name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const Named& one) { return one.*name == word; });
  return found == all.end() ? nullptr : &*found;
}

const Type* find_type(const std::string& word) {
  return find_named(types(), word, &Type::word);
}

const Type& type_of(const LayerSpec& layer) {
  return *std::find_if(types().begin(), types().end(),
                       [&](const Type& type) { return type.fresh.layer.index() == layer.layer.index(); });
}

std::vector<std::string> type_words() {
  std::vector<std::string> words;
  for (const Type& type : types()) words.push_back(type.word);
  return words;
}

bool is_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

// The text of a key, or a mistake and nothing: of what is no word, or stands there twice.
std::optional<std::string> key_text(const YAML::Node& key, const Place& place, std::set<std::string>& seen) {
  const auto text = as_text(key);
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
  void read_attributes(const YAML::Node& value, const YAML::Node& item, const Place& place, const Type& type,
                       LayerSpec& layer);
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
    const std::string& word = type_of(layers[i]).default_name;
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
  const Type* type = find_type(*word);
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
    const Type* type = find_type(*word);
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
                                  const Type& type, LayerSpec& layer) {
  std::set<std::string> seen;
  if (value.IsMap()) {
    for (const auto& entry : value) {
      const YAML::Node key = entry.first;
      const auto word = key_text(key, place, seen);
      if (!word) continue;
      const auto* attribute = find_named(type.attributes, *word, &Entry<LayerSpec>::path);
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

Json write_layers(const std::vector<LayerSpec>& layers) {
  Json list = Json::array();
  for (const LayerSpec& layer : layers) {
    const Type& type = type_of(layer);
    Json attributes = Json::object();
    for (const auto& attribute : type.attributes) attributes[attribute.path] = attribute.write(layer);
    list.push_back({{"name", layer.name}, {type.word, attributes}});
  }
  return list;
}

std::string layers_markdown() {
  std::string text = "| layer | attribute | type | range | default | meaning |\n|---|---|---|---|---|---|\n";
  for (const Type& type : types()) {
    text += fmt::format("| `{}` | | | | | {} |\n", type.word, type.meaning);
    for (const auto& attribute : type.attributes) {
      const auto& required = type.required;
      const bool needed = std::find(required.begin(), required.end(), attribute.path) != required.end();
      text += fmt::format("| | `{}` | {} | {} | {} | {} |\n", attribute.path, attribute.type, attribute.range,
                          needed ? "needed" : fmt::format("`{}`", attribute.write(type.fresh).dump()),
                          attribute.meaning);
    }
  }
  return text;
}

}  // namespace lockstep
