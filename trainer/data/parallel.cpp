#include "trainer/data/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "comm/watch/life.h"

namespace lockstep {

void for_each_index(std::int64_t count, int threads,
                    const std::function<void(std::size_t thread, std::int64_t index)>& work,
                    const Meanwhile& meanwhile) {
  std::atomic<std::int64_t> next = 0;
  std::mutex mutex;
  std::int64_t failed = count;  // the lowest index that did
  std::exception_ptr failure;
  const auto go_through = [&](std::size_t thread) {
    for (std::int64_t index = next++; index < count; index = next++) {
      try {
        work(thread, index);
        if (thread == 0) meanwhile();
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (index < failed) failure = std::current_exception();
        failed = std::min(failed, index);
        next = count;  // indices are taken in order, so each lower one is in hand already
      }
      alive();
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (int i = 1; i < threads; ++i) helpers.emplace_back(go_through, static_cast<std::size_t>(i));
    go_through(0);
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace lockstep
