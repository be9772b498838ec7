#include "trainer/config/optimizer_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

namespace lockstep {

namespace {

using Keys = std::vector<Entry<OptimizerRule>>;

#define FIELD(member) ([](auto& rule) -> auto& { return rule.member; })
const Keys& rule_keys() {
  static const Keys all{text<OptimizerRule>("match", FIELD(match), false, ""),
                        number<OptimizerRule>("lr_scale", FIELD(lr_scale), {.least = 0}, ""),
                        number<OptimizerRule>("weight_decay", FIELD(weight_decay), {.least = 0}, "")};
  return all;
}
#undef FIELD

void read_rule_key(const YAML::Node& key, const YAML::Node& value, const Place& place,
                   std::set<std::string>& seen, OptimizerRule& rule) {
  const auto word = as_text(key);
  if (!word) return place.expected(key, "a word as key");
  if (!seen.insert(*word).second) return place.mistake(key, "duplicate key " + in_quotes(*word));
  const auto known = std::ranges::find(rule_keys(), *word, &Entry<OptimizerRule>::path);
  if (known != rule_keys().end()) return known->read(value, place.key(*word), rule);
  std::vector<std::string> words;
  for (const auto& entry : rule_keys()) words.push_back(entry.path);
  place.mistake(key,
                fmt::format("unknown key {}; did you mean '{}'?", in_quotes(*word), nearest(*word, words)));
}

OptimizerRule read_rule(const YAML::Node& map, const Place& place) {
  OptimizerRule rule;
  if (!map.IsMap()) {
    place.expected(map, R"(a rule, as in {match: "*.bias", lr_scale: 2, weight_decay: 0})");
    return rule;
  }
  std::set<std::string> seen;
  for (const auto& entry : map) read_rule_key(entry.first, entry.second, place, seen, rule);
  if (!seen.contains("match")) place.mistake(map, "'match' is missing, the pattern of parameters' names");
  if (!seen.contains("lr_scale") && !seen.contains("weight_decay")) {
    place.mistake(map, "changes nothing: lr_scale or weight_decay is missing");
  }
  return rule;
}

}  // namespace

void read_rules(const YAML::Node& value, const Place& place, std::vector<OptimizerRule>& rules) {
  if (!value.IsSequence()) return place.expected(value, "a list of rules");
  rules.clear();
  for (std::size_t i = 0; i < value.size(); ++i) rules.push_back(read_rule(value[i], place.item(i)));
}

Json write_rules(const std::vector<OptimizerRule>& rules) {
  Json list = Json::array();
  for (const OptimizerRule& rule : rules) {
    Json map = Json::object();
    for (const auto& key : rule_keys()) {
      if (Json value = key.write(rule); !value.is_null()) map[key.path] = std::move(value);
    }
    list.push_back(std::move(map));
  }
  return list;
}

}  // namespace lockstep
