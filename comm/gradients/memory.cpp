#include "comm/gradients/memory.h"

#include <algorithm>
#include <vector>

namespace lockstep {

std::shared_ptr<float> GradientMemory::floats(std::size_t count) const {
  const auto values = std::make_shared<std::vector<float>>(count);
  return {values, values->data()};
}

void GradientMemory::copy(const float* from, float* to, std::size_t count) const {
  std::copy_n(from, count, to);
}

void GradientMemory::fold(Range node, std::span<const Part<float>> parts, float* out,
                          std::size_t count) const {
  std::vector<Part<const float>> values;
  values.reserve(parts.size());
  for (const Part<float>& part : parts) values.push_back({part.node, part.values});
  fold_sums(node, values, out, count);
}

}  // namespace lockstep
