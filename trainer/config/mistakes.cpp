#include "trainer/config/mistakes.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "comm/base/error.h"

namespace lockstep {

namespace {
constexpr std::size_t most_shown = 50;
}

std::size_t Mistakes::open_file(const std::string& name) {
  sources_.push_back({.name = name, .is_file = true, .path = {}});
  return sources_.size() - 1;
}

std::size_t Mistakes::open_setting(const std::string& setting, const std::string& path) {
  sources_.push_back({.name = "--set " + setting, .is_file = false, .path = path});
  return sources_.size() - 1;
}

void Mistakes::add(Origin origin, const std::string& path, const std::string& text) {
  const Source& source = sources_[origin.source];
  // A setting begins with its key already.
  const std::string subject = path.empty() || path == source.path ? "" : path + ": ";
  found_.push_back({.origin = origin,
                    .line = source.is_file ? fmt::format("{}:{}:{}: {}{}", source.name, origin.line,
                                                         origin.column, subject, text)
                                           : fmt::format("{}: {}{}", source.name, subject, text)});
}

void Mistakes::raise() const {
  if (found_.empty()) return;
  std::vector<Mistake> sorted = found_;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Mistake& left, const Mistake& right) {
    const auto key = [](const Origin& at) { return std::tuple(at.source, at.line, at.column); };
    return key(left.origin) < key(right.origin);
  });
  std::string text;
  for (const Mistake& mistake : sorted) {
    if (&mistake - sorted.data() == static_cast<std::ptrdiff_t>(most_shown)) {
      text += fmt::format("\n... and {} more mistakes", sorted.size() - most_shown);
      break;
    }
    text += (text.empty() ? "" : "\n") + mistake.line;
  }
  throw UsageError(text);
}

}  // namespace lockstep
