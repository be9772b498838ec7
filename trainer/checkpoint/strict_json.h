#pragma once

#include <cstddef>
#include <functional>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace lockstep {

// What is wrong with a text that should be JSON, as the end of a sentence: "is not JSON in UTF-8 (at byte
// 3)".
class JsonError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Called with every key as it stands in the text; depth 1 is the outermost object's.
using KeyWatcher = std::function<void(std::size_t depth, const std::string& key)>;

// JSON of a file that may be a stranger's: in UTF-8, without duplicate keys, zero bytes or anything behind
// it, its objects and arrays nested at most `deepest` deep, and of a million keys and values at most. Throws
// JsonError.
nlohmann::json parse_strictly(std::string_view text, std::size_t deepest,
                              const KeyWatcher& key_watcher = nullptr);

}  // namespace lockstep
