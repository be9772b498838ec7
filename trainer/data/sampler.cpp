#include "trainer/data/sampler.h"

#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <utility>

namespace lockstep {

std::vector<std::int64_t> shuffled(const Random& random, std::uint64_t position, std::int64_t size) {
  std::vector<std::int64_t> order(static_cast<std::size_t>(size));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  for (std::size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[random.below(i, position, i - 1)]);
  }
  return order;
}

std::vector<std::int64_t> epoch_order(std::uint64_t seed, std::int64_t epoch, std::int64_t size) {
  return shuffled(Random(seed, "order"), static_cast<std::uint64_t>(epoch), size);
}

std::int64_t steps_per_epoch(std::int64_t size, std::int64_t global, bool drop_last) {
  return (drop_last ? size : size + global - 1) / global;
}

StepPlace step_place(std::int64_t step, std::int64_t size, std::int64_t global, bool drop_last) {
  const std::int64_t steps = steps_per_epoch(size, global, drop_last);
  if (steps == 0) throw std::invalid_argument("step_place: an epoch without a step");
  const std::int64_t begin = step % steps * global;
  return {step / steps, begin, std::min(global, size - begin)};
}

}  // namespace lockstep
