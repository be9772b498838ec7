#include "comm/gradients/buckets.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace lockstep {

namespace {

// `range` in as few equal parts as `most` elements allow.
void append_parts(std::vector<Range>& buckets, Range range, std::int64_t most) {
  const std::int64_t parts = (range.size() + most - 1) / most;
  for (std::int64_t index = 0; index < parts; ++index) {
    const Range piece = part(range.size(), parts, index);
    buckets.push_back({range.begin + piece.begin, range.begin + piece.end});
  }
}

}  // namespace

std::vector<Range> plan_buckets(std::span<const Range> tensors, std::size_t bucket_elements) {
  const auto full = std::max<std::int64_t>(static_cast<std::int64_t>(bucket_elements), 1);
  std::vector<Range> buckets;
  Range open{0, 0};
  for (const Range tensor : tensors) {
    if (tensor.begin != open.end || tensor.end < tensor.begin) {
      throw std::logic_error(
          fmt::format("gradient tensor [{}, {}) does not follow on {}", tensor.begin, tensor.end, open.end));
    }
    open.end = tensor.end;
    const std::int64_t enough = std::max<std::int64_t>(buckets.empty() ? full / 8 : full, 1);
    if (open.size() < enough) continue;
    append_parts(buckets, open, full);
    open.begin = open.end;
  }
  if (!open.empty()) buckets.push_back(open);
  return buckets;
}

}  // namespace lockstep
