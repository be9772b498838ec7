#include "trainer/config/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "comm/base/text.h"

namespace lockstep {

namespace {
constexpr std::size_t longest = 64;
}

std::size_t edit_distance(std::string_view one, std::string_view other) {
  one = one.substr(0, longest);
  other = other.substr(0, longest);
  // Rows of the table of distances between prefixes: the last two and the one being filled.
  std::array<std::array<std::size_t, longest + 1>, 3> rows{};
  std::iota(rows[0].begin(), rows[0].end(), 0);
  for (std::size_t i = 1; i <= one.size(); ++i) {
    auto& row = rows[i % 3];
    const auto& above = rows[(i + 2) % 3];
    const auto& two_above = rows[(i + 1) % 3];
    row[0] = i;
    for (std::size_t j = 1; j <= other.size(); ++j) {
      const bool same = one[i - 1] == other[j - 1];
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, above[j - 1] + (same ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1];
      if (swapped) row[j] = std::min(row[j], two_above[j - 2] + 1);
    }
  }
  return rows[one.size() % 3][other.size()];
}

std::size_t typing_distance(std::string_view typed, std::string_view word) {
  return std::min(edit_distance(typed, word), edit_distance(typed, word.substr(0, typed.size())) + 1);
}

std::string nearest(std::string_view typed, std::span<const std::string> candidates) {
  std::vector<std::size_t> distances;
  distances.reserve(candidates.size());
  for (const std::string& candidate : candidates) distances.push_back(typing_distance(typed, candidate));
  const auto least = std::ranges::min_element(distances) - distances.begin();
  return candidates[static_cast<std::size_t>(least)];
}

std::string in_quotes(std::string_view word) {
  return fmt::format("'{}'", printable(word, longest));
}

std::string listed(std::span<const std::string> words) {
  return fmt::format("{}", fmt::join(words, ", "));
}

}  // namespace lockstep
