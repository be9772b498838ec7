#include "trainer/checkpoint/strict_json.h"

#include <fmt/format.h>

#include <set>
#include <vector>

#include "comm/base/text.h"

namespace lockstep {

using nlohmann::json;

json parse_strictly(std::string_view text, std::size_t deepest, const KeyWatcher& key_watcher) {
  // The parser would take a zero byte for the end of the text.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    throw JsonError(fmt::format("has a zero byte at {}", zero));
  }
  std::vector<std::set<std::string>> open;  // keys so far, of every object and array that is open
  const auto watch = [&](int /*depth*/, json::parse_event_t event, const json& value) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        if (open.size() == deepest) throw JsonError(fmt::format("is nested deeper than {} levels", deepest));
        open.emplace_back();
        break;
      case json::parse_event_t::key: {
        const auto& key = value.get_ref<const std::string&>();
        if (!open.back().insert(key).second) {
          throw JsonError(fmt::format("has the key \"{}\" twice", printable(key)));
        }
        if (key_watcher) key_watcher(open.size(), key);
        break;
      }
      case json::parse_event_t::object_end:
      case json::parse_event_t::array_end:
        open.pop_back();
        break;
      case json::parse_event_t::value:
        break;
    }
    return true;
  };
  try {
    return json::parse(text, watch);
  } catch (const json::parse_error& error) {
    throw JsonError(fmt::format("is not JSON in UTF-8 (at byte {})", error.byte));
  } catch (const json::exception&) {
    throw JsonError("has a number that is out of range");
  }
}

}  // namespace lockstep
