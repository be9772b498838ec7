#include "trainer/checkpoint/strict_json.h"

#include <fmt/format.h>

#include <cstddef>
#include <cstdint>
#include <set>
#include <vector>

#include "comm/base/text.h"

namespace lockstep {

using nlohmann::json;

namespace {

// A value of a few bytes takes hundreds when it is read.
constexpr std::size_t most_values = 1'000'000;

using Reader = nlohmann::detail::json_sax_dom_parser<json>;

// Looks at what comes before it is taken. The library's own callback would do, but then it goes through all
// members of the outer object at the end of each inner one.
class StrictReader : public Reader {
 public:
  StrictReader(json& result, std::size_t deepest, const KeyWatcher& key_watcher)
      : Reader(result), deepest_(deepest), key_watcher_(key_watcher) {}

  bool start_object(std::size_t size) {
    enter();
    return Reader::start_object(size);
  }
  bool start_array(std::size_t size) {
    enter();
    return Reader::start_array(size);
  }
  bool end_object() {
    open_.pop_back();
    return Reader::end_object();
  }
  bool end_array() {
    open_.pop_back();
    return Reader::end_array();
  }
  bool key(std::string& key) {
    count();
    if (!open_.back().insert(key).second) {
      throw JsonError(fmt::format("has the key \"{}\" twice", printable(key)));
    }
    if (key_watcher_) key_watcher_(open_.size(), key);
    return Reader::key(key);
  }

  bool null() {
    count();
    return Reader::null();
  }
  bool boolean(bool value) {
    count();
    return Reader::boolean(value);
  }
  bool number_integer(std::int64_t value) {
    count();
    return Reader::number_integer(value);
  }
  bool number_unsigned(std::uint64_t value) {
    count();
    return Reader::number_unsigned(value);
  }
  bool number_float(double value, const std::string& text) {
    count();
    return Reader::number_float(value, text);
  }
  bool string(std::string& value) {
    count();
    return Reader::string(value);
  }

 private:
  void count() {
    if (++values_ > most_values)
      throw JsonError(fmt::format("has more than {} keys and values", most_values));
  }
  void enter() {
    count();
    if (open_.size() == deepest_) throw JsonError(fmt::format("is nested deeper than {} levels", deepest_));
    open_.emplace_back();
  }

  std::size_t deepest_;
  const KeyWatcher& key_watcher_;
  std::vector<std::set<std::string>> open_;  // keys so far, of every object and array that is open
  std::size_t values_ = 0;
};

}  // namespace

json parse_strictly(std::string_view text, std::size_t deepest, const KeyWatcher& key_watcher) {
  // The parser would take a zero byte for the end of the text.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw JsonError(fmt::format("has a zero byte at {}", zero));
  }
  json result;
  StrictReader reader(result, deepest, key_watcher);
  try {
    json::sax_parse(text, &reader);
  } catch (const json::parse_error& error) {
    throw JsonError(fmt::format("is not JSON in UTF-8 (at byte {})", error.byte));
  } catch (const json::exception&) {
    throw JsonError("has a number that is out of range");
  }
  return result;
}

}  // namespace lockstep
