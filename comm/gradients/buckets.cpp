#include "comm/gradients/buckets.h"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace lockstep {

std::vector<Range> plan_buckets(std::span<const Range> tensors, std::size_t bucket_elements) {
  const auto full = static_cast<std::int64_t>(bucket_elements);
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
    buckets.push_back(open);
    open.begin = open.end;
  }
  if (!open.empty()) buckets.push_back(open);
  return buckets;
}

}  // namespace lockstep
