#include "trainer/config/layer_types.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace lockstep {

namespace {

using Whole = Interval<std::int64_t>;

constexpr Whole one_or_more{1, 1'000'000};
constexpr Whole zero_or_more{0, 1'000'000};

// A member by name, of a const or a mutable LayerSpec.
#define FIELD(Spec, member) ([](auto& layer) -> auto& { return std::get<Spec>(layer.layer).member; })

template <class Spec>
std::vector<Entry<LayerSpec>> pooling() {
  return {whole<LayerSpec>("window", FIELD(Spec, window), one_or_more, "rows and columns that become one"),
          whole<LayerSpec>("stride", FIELD(Spec, stride), zero_or_more,
                           "step between two windows; 0: the window"),
          whole<LayerSpec>("padding", FIELD(Spec, padding), zero_or_more, "empty rows and columns a side")};
}

std::deque<LayerType> make_types() {
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

// The one table of this process. It grows before the first configuration is read (custom_layers.h), and never
// after.
std::deque<LayerType>& table() {
  static std::deque<LayerType> all = make_types();
  return all;
}

bool is_of(const LayerSpec& layer, const LayerType& type) {
  if (type.fresh.layer.index() != layer.layer.index()) return false;
  const auto* custom = std::get_if<CustomSpec>(&layer.layer);
  return custom == nullptr || custom->type == std::get<CustomSpec>(type.fresh.layer).type;
}

}  // namespace

const std::deque<LayerType>& layer_types() {
  return table();
}

void add_layer_type(LayerType type) {
  table().push_back(std::move(type));
}

const LayerType* find_layer_type(const std::string& word) {
  const auto& all = layer_types();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const LayerType& it) { return it.word == word; });
  return found == all.end() ? nullptr : &*found;
}

const LayerType& layer_type_of(const LayerSpec& layer) {
  const auto found =
      std::ranges::find_if(layer_types(), [&](const LayerType& it) { return is_of(layer, it); });
  if (found != layer_types().end()) return *found;
  throw std::logic_error(fmt::format("layer '{}' is of a type that nobody registered", layer.name));
}

Json write_layers(const std::vector<LayerSpec>& layers) {
  Json list = Json::array();
  for (const LayerSpec& layer : layers) {
    const LayerType& type = layer_type_of(layer);
    Json attributes = Json::object();
    for (const auto& attribute : type.attributes) attributes[attribute.path] = attribute.write(layer);
    list.push_back({{"name", layer.name}, {type.word, attributes}});
  }
  return list;
}

bool is_name(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string layers_markdown() {
  std::string text = "| layer | attribute | type | range | default | meaning |\n|---|---|---|---|---|---|\n";
  for (const LayerType& type : layer_types()) {
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
