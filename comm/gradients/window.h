#pragma once

#include <algorithm>
#include <cstddef>

namespace lockstep {

// How many buckets may be under way at a time in the next step, while backward runs. Over a slow link the
// exchange of a batch_norm's statistics queues behind them, and everybody waits for it: so they are as few as
// still end in time. After a step of which less than a 128th was spent waiting for gradients at its end there
// are half as many; after one of which more than a 64th was, twice as many. Workers need not agree on it, and
// no bit hangs on it.
//
// window: in the step that ended. buckets: of a step, at least one. waited: a part of the step, 0 … 1.
constexpr std::size_t next_window(std::size_t window, std::size_t buckets, double waited) {
  window = std::clamp<std::size_t>(window, 1, buckets);
  if (waited > 1.0 / 64) return std::min(2 * window, buckets);
  if (waited < 1.0 / 128) return std::max<std::size_t>(window / 2, 1);
  return window;
}

}  // namespace lockstep
