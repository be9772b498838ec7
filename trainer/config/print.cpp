#include <fmt/format.h>

#include "comm/base/error.h"
#include "trainer/config/config.h"
#include "trainer/config/keys.h"
#include "trainer/config/layer_types.h"
#include "trainer/config/text.h"

namespace lockstep {

namespace {

// The keys' values as nested maps; what is not set is left out.
template <class Wanted>
Json nested(const Config& config, Wanted wanted) {
  Json root = Json::object();
  for (const Key& key : keys()) {
    if (!wanted(key)) continue;
    Json value = key.write(config);
    if (value.is_null()) continue;
    Json* group = &root;
    std::size_t begin = 0;
    for (auto dot = key.path.find('.'); dot != std::string::npos; dot = key.path.find('.', begin)) {
      group = &(*group)[key.path.substr(begin, dot - begin)];
      begin = dot + 1;
    }
    (*group)[key.path.substr(begin)] = std::move(value);
  }
  return root;
}

const char* result_word(Key::Result result) {
  switch (result) {
    case Key::Result::no:
      return "";
    case Key::Result::yes:
      return "yes";
    case Key::Result::with_early_stopping:
      return "with early stopping";
    case Key::Result::on_gpus:
      return "yes";
  }
  return "";
}

// Sorted, and complete where `text` comes from a version that knew fewer keys.
nlohmann::json normalized(std::string_view text) {
  return nlohmann::json::parse(result_json(from_result_json(text)));
}

void compare(const std::string& path, const nlohmann::json& before, const nlohmann::json& after,
             std::vector<std::string>& found) {
  if (before == after) return;
  if (before.is_object() && after.is_object()) {
    nlohmann::json names = before;
    names.update(after);
    for (const auto& [name, unused] : names.items()) {
      const std::string inside = path.empty() ? name : fmt::format("{}.{}", path, name);
      compare(inside, before.value(name, nlohmann::json()), after.value(name, nlohmann::json()), found);
    }
  } else if (before.is_array() && after.is_array() && before.size() == after.size() &&
             before[0].is_object()) {
    for (std::size_t i = 0; i < before.size(); ++i) {
      compare(fmt::format("{}[{}]", path, i), before[i], after[i], found);
    }
  } else {
    const auto shown = [](const nlohmann::json& value) {
      return value.is_null() ? "not set" : flow_yaml(Json(value));
    };
    found.push_back(fmt::format("{}: {}, now {}", path, shown(before), shown(after)));
  }
}

}  // namespace

std::string to_yaml(const Config& config) {
  return block_yaml(nested(config, [](const Key&) { return true; }));
}

std::string result_json(const Config& config) {
  return nlohmann::json(nested(config, [&](const Key& key) { return in_result(key, config); })).dump();
}

std::vector<std::string> differences(std::string_view before, std::string_view after) {
  std::vector<std::string> found;
  compare("", normalized(before), normalized(after), found);
  return found;
}

std::string keys_markdown() {
  const Config defaults;
  std::string text = "| key | type | range | default | result | meaning |\n|---|---|---|---|---|---|\n";
  for (const Key& key : keys()) {
    const Json value = key.write(defaults);
    text += fmt::format("| `{}` | {} | {} | {} | {} | {} |\n", key.path, key.type, key.range,
                        value.is_null() ? "not set" : fmt::format("`{}`", flow_yaml(value)),
                        result_word(key.result), key.meaning);
  }
  return text + "\nLayers of `model.layers`:\n\n" + layers_markdown();
}

}  // namespace lockstep
