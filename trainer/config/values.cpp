#include "trainer/config/values.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "trainer/config/nearest.h"

namespace lockstep {

namespace {

// The text of a scalar without quotes; yaml-cpp tags a quoted one "!".
std::optional<std::string> plain(const YAML::Node& value) {
  if (!value.IsScalar() || value.Tag() == "!") return std::nullopt;
  return value.Scalar();
}

template <class T>
std::optional<T> whole_from(const YAML::Node& value) {
  const auto text = plain(value);
  if (!text) return std::nullopt;
  const std::size_t first_digit = text->starts_with('-') ? 1 : 0;
  if (text->size() > first_digit + 1 && (*text)[first_digit] == '0') return std::nullopt;
  T result{};
  const char* end = text->data() + text->size();
  const auto [stop, error] = std::from_chars(text->data(), end, result);
  if (error != std::errc{} || stop != end) return std::nullopt;
  return result;
}

bool is_utf8(const std::string& text) {
  try {
    return !nlohmann::json(text).dump().empty();
  } catch (const nlohmann::json::exception&) {
    return false;
  }
}

}  // namespace

std::optional<std::int64_t> as_whole(const YAML::Node& value) {
  return whole_from<std::int64_t>(value);
}

std::optional<std::uint64_t> as_seed(const YAML::Node& value) {
  return whole_from<std::uint64_t>(value);
}

std::optional<double> as_number(const YAML::Node& value) {
  const auto text = plain(value);
  return text ? number_from(*text) : std::nullopt;
}

std::optional<double> as_seconds(const YAML::Node& value) {
  constexpr std::array<std::pair<char, double>, 4> units{{{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}}};
  const auto text = plain(value);
  if (!text || text->empty()) return std::nullopt;
  for (const auto& [unit, seconds] : units) {
    if (text->back() != unit) continue;
    const auto number = number_from(std::string_view(*text).substr(0, text->size() - 1));
    return number ? std::optional(*number * seconds) : std::nullopt;
  }
  return number_from(*text);
}

std::optional<double> number_from(std::string_view text) {
  double result = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, result);
  if (error != std::errc{} || stop != end || !std::isfinite(result)) return std::nullopt;
  return result + 0.0;  // -0 and 0 are one value, and one text
}

std::optional<bool> as_boolean(const YAML::Node& value) {
  const auto text = plain(value);
  if (text == "true") return true;
  if (text == "false") return false;
  return std::nullopt;
}

std::optional<std::string> as_text(const YAML::Node& value) {
  if (!value.IsScalar() || !is_utf8(value.Scalar())) return std::nullopt;
  return value.Scalar();
}

std::string found(const YAML::Node& value) {
  if (value.IsSequence()) return "a list";
  if (value.IsMap()) return "a map";
  if (!value.IsScalar()) return "nothing";
  if (!is_utf8(value.Scalar())) return "text that is not UTF-8";
  return value.Tag() == "!" ? "the text " + in_quotes(value.Scalar()) : in_quotes(value.Scalar());
}

template <class T>
std::string Interval<T>::text() const {
  const bool bounded_below = least != std::numeric_limits<T>::lowest();
  const bool bounded_above = most != std::numeric_limits<T>::max();
  if (!bounded_below && !bounded_above) return "";
  if (!bounded_above) return fmt::format("{} {}", above ? "above" : "at least", least);
  return fmt::format("{}{} to {}{}", above ? "above " : "", least, below ? "below " : "", most);
}
template struct Interval<std::int64_t>;
template struct Interval<double>;

Place Place::key(const std::string& name) const {
  return {*mistakes_, source_, path_.empty() ? name : path_ + "." + name};
}

Place Place::item(std::size_t index) const {
  return {*mistakes_, source_, fmt::format("{}[{}]", path_, index)};
}

Origin Place::origin(const YAML::Mark& at) const {
  return {.source = source_, .line = at.line + 1, .column = at.column + 1};
}

void Place::mistake(Origin at, const std::string& text) const {
  mistakes_->add(at, path_, text);
}

void Place::expected(const YAML::Node& at, const std::string& what) const {
  mistake(at, fmt::format("expected {}; found {}", what, found(at)));
}

void Place::stray(const YAML::Node& at, const std::string& text) const {
  mistakes_->add(origin(at), "", text);
}

}  // namespace lockstep
