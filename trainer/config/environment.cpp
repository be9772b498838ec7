#include "trainer/config/environment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "trainer/config/nearest.h"

namespace lockstep {

namespace {

constexpr std::string_view opening = "${";
constexpr std::string_view escaped = "$${";
constexpr std::string_view before_default = ":-";

bool is_variable(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !name.empty() && !digit(name[0]) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || digit(c); });
}

// Of what stands between the braces.
Expansion value_of(std::string_view inside) {
  const auto colon = inside.find(before_default);
  const std::string name(inside.substr(0, colon));
  if (!is_variable(name)) {
    return {"", fmt::format("{} is no name of a variable; expected ${{NAME}} or ${{NAME:-default}}",
                            in_quotes(name))};
  }
  const char* const value = std::getenv(name.c_str());
  const bool has_default = colon != std::string_view::npos;
  if (has_default && (value == nullptr || *value == '\0')) {
    return {std::string(inside.substr(colon + before_default.size())), ""};
  }
  if (value != nullptr) return {value, ""};
  return {"", fmt::format("the environment has no {0}; set it, or write a default, as in ${{{0}:-folder}}",
                          name)};
}

}  // namespace

Expansion expand_variables(std::string_view text) {
  Expansion expanded;
  while (!text.empty()) {
    if (text.starts_with(escaped)) {
      expanded.text += opening;
      text.remove_prefix(escaped.size());
    } else if (text.starts_with(opening)) {
      const auto end = text.find('}');
      if (end == std::string_view::npos) return {"", "'${' has no '}' behind it; $${ stands for ${ itself"};
      Expansion value = value_of(text.substr(opening.size(), end - opening.size()));
      if (!value.wrong.empty()) return value;
      expanded.text += value.text;
      text.remove_prefix(end + 1);
    } else {
      expanded.text += text.front();
      text.remove_prefix(1);
    }
  }
  return expanded;
}

std::string escape_variables(std::string_view text) {
  std::string escaped_text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with(opening)) escaped_text += '$';
    escaped_text += text[i];
  }
  return escaped_text;
}

}  // namespace lockstep
