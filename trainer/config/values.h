#pragma once

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "trainer/config/mistakes.h"

// YAML values as typed values. Stricter than YAML: a number is written as one (no quotes, no leading zeros,
// no 0x10, a whole number without a point or exponent), finite and within its type; a boolean is true or
// false.
namespace lockstep {

// Answer nothing where the value is no such thing.
std::optional<std::int64_t> as_whole(const YAML::Node& value);
std::optional<std::uint64_t> as_seed(const YAML::Node& value);
std::optional<double> as_number(const YAML::Node& value);
std::optional<double> as_seconds(const YAML::Node& value);  // a number of seconds, or 90s, 30m, 2h, 1d
std::optional<double> number_from(std::string_view text);
std::optional<bool> as_boolean(const YAML::Node& value);
std::optional<std::string> as_text(const YAML::Node& value);  // UTF-8

// What stands there instead, for a message: "'abc'", "a list", "a map", "nothing".
std::string found(const YAML::Node& value);

// The values a number may have, and how that is said: "at least 1", "0 to below 1".
template <class T>
struct Interval {
  T least;
  T most = std::numeric_limits<T>::max();
  bool above = false;  // `least` itself is out
  bool below = false;  // `most` itself is out

  bool contains(T value) const {
    return (above ? value > least : value >= least) && (below ? value < most : value <= most);
  }
  std::string text() const;
};

// A value that is being read: where it belongs and where its mistakes go.
class Place {
 public:
  Place(Mistakes& mistakes, std::size_t source, std::string path = {})
      : mistakes_(&mistakes), source_(source), path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  Place key(const std::string& name) const;  // "data.augment" of "data"
  Place item(std::size_t index) const;       // "data.mean[1]"
  Origin origin(const YAML::Mark& at) const;
  Origin origin(const YAML::Node& at) const { return origin(at.Mark()); }
  void mistake(Origin at, const std::string& text) const;
  void mistake(const YAML::Node& at, const std::string& text) const { mistake(origin(at), text); }
  // "expected ...; found ..."
  void expected(const YAML::Node& at, const std::string& what) const;
  // About something that is no key of ours: the text says which.
  void stray(const YAML::Node& at, const std::string& text) const;

 private:
  Mistakes* mistakes_;
  std::size_t source_;
  std::string path_;
};

}  // namespace lockstep
