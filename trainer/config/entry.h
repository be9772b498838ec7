#pragma once

#include <fmt/format.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "trainer/config/environment.h"
#include "trainer/config/nearest.h"
#include "trainer/config/values.h"

// One key that a user may write, with all that the program knows about it. What reads, checks, prints and
// documents keys goes by lists of entries, so a new key is one more entry.
namespace lockstep {

using Json = nlohmann::ordered_json;

template <class Target>
struct Entry {
  std::string path;  // "optimizer.lr"
  std::string type;  // "number"
  std::string range;
  std::string meaning;
  // Reads the value into the target, or tells `place` what is wrong with it.
  std::function<void(const YAML::Node& value, const Place& place, Target& target)> read;
  // The value, or null where it is not set.
  std::function<Json(const Target&)> write;
};

// The makers of entries. `field` answers a reference to the member of the target that holds the value.

template <class T>
struct ValueOf {
  using Type = T;
};
template <class T>
struct ValueOf<std::optional<T>> {
  using Type = T;
};

template <class Value>
Json to_json_value(const Value& value) {
  return value;
}
template <class Value>
Json to_json_value(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

template <class Target, class Field, class Read>
Entry<Target> scalar(const std::string& path, const std::string& type, const std::string& range,
                     const std::string& meaning, Field field, const std::string& expected, Read read) {
  return {.path = path,
          .type = type,
          .range = range,
          .meaning = meaning,
          .read =
              [field, read, expected](const YAML::Node& value, const Place& place, Target& target) {
                using Value = typename ValueOf<std::remove_cvref_t<decltype(field(target))>>::Type;
                if (const auto good = read(value)) {
                  field(target) = static_cast<Value>(*good);
                } else {
                  place.expected(value, expected);
                }
              },
          .write = [field](const Target& target) { return to_json_value(field(target)); }};
}

inline std::string with_range(const std::string& type, const std::string& range) {
  return range.empty() ? type : type + ", " + range;
}

template <class Target, class Field>
Entry<Target> whole(const std::string& path, Field field, Interval<std::int64_t> interval,
                    const std::string& meaning) {
  return scalar<Target>(path, "whole number", interval.text(), meaning, field,
                        with_range("a whole number", interval.text()), [interval](const YAML::Node& value) {
                          auto read = as_whole(value);
                          return read && interval.contains(*read) ? read : std::nullopt;
                        });
}

template <class Target, class Field>
Entry<Target> number(const std::string& path, Field field, Interval<double> interval,
                     const std::string& meaning) {
  return scalar<Target>(path, "number", interval.text(), meaning, field,
                        with_range("a number", interval.text()), [interval](const YAML::Node& value) {
                          auto read = as_number(value);
                          return read && interval.contains(*read) ? read : std::nullopt;
                        });
}

// Kept in seconds.
template <class Target, class Field>
Entry<Target> duration(const std::string& path, Field field, Interval<double> seconds,
                       const std::string& meaning) {
  const std::string range = seconds.text() + " seconds, also as 90s, 30m, 2h or 1d";
  return scalar<Target>(path, "duration", range, meaning, field, "a duration, " + range,
                        [seconds](const YAML::Node& value) {
                          auto read = as_seconds(value);
                          return read && seconds.contains(*read) ? read : std::nullopt;
                        });
}

template <class Target, class Field>
Entry<Target> boolean(const std::string& path, Field field, const std::string& meaning) {
  return scalar<Target>(path, "true or false", "", meaning, field, "true or false", as_boolean);
}

template <class Target, class Field>
Entry<Target> text(const std::string& path, Field field, bool may_be_empty, const std::string& meaning) {
  return scalar<Target>(path, "text", may_be_empty ? "" : "not empty", meaning, field,
                        may_be_empty ? "text" : "text, not empty", [may_be_empty](const YAML::Node& value) {
                          auto read = as_text(value);
                          return read && (may_be_empty || !read->empty()) ? read : std::nullopt;
                        });
}

// Text in which environment variables are put in when it is read.
template <class Target, class Field>
Entry<Target> file_path(const std::string& path, Field field, bool may_be_empty, const std::string& meaning) {
  const std::string expected = may_be_empty ? "text" : "text, not empty";
  const auto read = [field, may_be_empty, expected](const YAML::Node& value, const Place& place,
                                                    Target& target) {
    const auto written = as_text(value);
    if (!written || (written->empty() && !may_be_empty)) return place.expected(value, expected);
    const Expansion expanded = expand_variables(*written);
    if (!expanded.wrong.empty()) return place.mistake(value, expanded.wrong);
    const auto text = as_text(YAML::Node(expanded.text));
    if (!text || (text->empty() && !may_be_empty)) {
      return place.mistake(value, fmt::format("with its variables put in, it is {}; expected {}",
                                              found(YAML::Node(expanded.text)), expected));
    }
    field(target) = *text;
  };
  return {.path = path,
          .type = "path",
          .range = may_be_empty ? "" : "not empty",
          .meaning = meaning,
          .read = read,
          .write = [field](const Target& target) { return Json(escape_variables(field(target))); }};
}

// Words with the value that each stands for; and those that this version or build refuses, known or not.
template <class Value>
struct Words {
  std::vector<std::pair<std::string, Value>> known;
  std::vector<std::pair<std::string, std::string>> refused;  // word, reason
};

template <class Target, class Value, class Field>
Entry<Target> word(const std::string& path, Field field, Words<Value> words, const std::string& meaning) {
  std::vector<std::string> names;
  for (const auto& [name, value] : words.known) names.push_back(name);
  std::string range = listed(names);
  const auto read = [field, words, names](const YAML::Node& value, const Place& place, Target& target) {
    const auto text = as_text(value);
    for (const auto& [name, reason] : words.refused) {
      if (text == name) return place.mistake(value, in_quotes(name) + " is " + reason);
    }
    for (const auto& [name, meant] : words.known) {
      if (text == name) {
        field(target) = meant;
        return;
      }
    }
    const std::string hint =
        text && names.size() > 1 ? "; did you mean " + in_quotes(nearest(*text, names)) + "?" : "";
    place.mistake(value, (names.size() > 1 ? "expected one of " : "expected ") + listed(names) + "; found " +
                             found(value) + hint);
  };
  const auto write = [field, words](const Target& target) {
    for (const auto& [name, meant] : words.known) {
      if (field(target) == meant) return Json(name);
    }
    return Json(nullptr);
  };
  return {.path = path, .type = "word", .range = range, .meaning = meaning, .read = read, .write = write};
}

// A list of numbers; each is read by `read_item` (as_whole, as_number) and lies in the interval.
template <class Target, class Number, class Field, class ReadItem>
Entry<Target> list(const std::string& path, Field field, Interval<Number> interval, const std::string& type,
                   ReadItem read_item, const std::string& meaning) {
  const std::string expected = with_range("a " + type, interval.text());
  const auto read = [=](const YAML::Node& value, const Place& place, Target& target) {
    if (!value.IsSequence()) return place.expected(value, "a list, each " + expected);
    std::vector<Number> items;
    for (std::size_t i = 0; i < value.size(); ++i) {
      const auto item = read_item(value[i]);
      if (item && interval.contains(*item)) {
        items.push_back(*item);
      } else {
        place.item(i).expected(value[i], expected);
      }
    }
    field(target) = std::move(items);
  };
  return {.path = path,
          .type = "list, each " + type,
          .range = interval.text(),
          .meaning = meaning,
          .read = read,
          .write = [field](const Target& target) { return Json(field(target)); }};
}

}  // namespace lockstep
