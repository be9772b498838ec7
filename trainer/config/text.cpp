#include "trainer/config/text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace lockstep {

namespace {

constexpr std::size_t line_width = 100;

// A word that no reader of YAML takes for anything but text.
bool is_plain(const std::string& word) {
  const auto letter = [](unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto plain = [&](unsigned char c) {
    return letter(c) || (c >= '0' && c <= '9') || c == '_' || c == '.';
  };
  const bool path = word.starts_with('/') && word.size() > 1;
  if (word.empty() || !(letter(static_cast<unsigned char>(word[0])) || path)) return false;
  if (!std::all_of(word.begin(), word.end(),
                   [&](unsigned char c) { return plain(c) || c == '/' || c == '-' || c == ':'; })) {
    return false;
  }
  if (word.ends_with(':')) return false;
  std::string lower = word;
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const std::vector<std::string> taken{"null", "true", "false", "yes", "no", "y", "n", "on", "off"};
  return std::find(taken.begin(), taken.end(), lower) == taken.end();
}

std::string scalar_text(const Json& value) {
  if (!value.is_string()) return value.dump();
  const auto& word = value.get_ref<const std::string&>();
  return is_plain(word) ? word : value.dump();
}

void write_block(const Json& map, std::size_t indent, std::string& text);

void write_list(const Json& list, std::size_t indent, std::string& text) {
  const std::string margin(indent, ' ');
  for (const Json& item : list) {
    const std::string line = flow_yaml(item);
    if (!item.is_object() || margin.size() + 2 + line.size() <= line_width) {
      text += fmt::format("{}- {}\n", margin, line);
      continue;
    }
    std::string block;
    write_block(item, indent + 2, block);
    block[indent] = '-';
    text += block;
  }
}

void write_block(const Json& map, std::size_t indent, std::string& text) {
  const std::string margin(indent, ' ');
  for (const auto& [key, value] : map.items()) {
    const std::string line = fmt::format("{}{}: {}\n", margin, key, flow_yaml(value));
    const bool group = value.is_object() && indent == 0;
    if (!group && (line.size() <= line_width || !value.is_structured())) {
      text += line;
      continue;
    }
    text += fmt::format("{}{}:\n", margin, key);
    if (value.is_object()) {
      write_block(value, indent + 2, text);
    } else {
      write_list(value, indent + 2, text);
    }
  }
}

}  // namespace

std::string flow_yaml(const Json& value) {
  if (!value.is_structured()) return scalar_text(value);
  std::vector<std::string> items;
  for (const auto& [key, item] : value.items()) {
    items.push_back(value.is_object() ? fmt::format("{}: {}", key, flow_yaml(item)) : flow_yaml(item));
  }
  const std::string inside = listed(items);
  return value.is_object() ? "{" + inside + "}" : "[" + inside + "]";
}

std::string block_yaml(const Json& map) {
  std::string text;
  write_block(map, 0, text);
  return text;
}

}  // namespace lockstep
